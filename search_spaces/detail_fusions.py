"""How a detail feature and a context feature become one, by name. Knows nothing of where either comes from.

Legend: N frames, C channels, H/W pixels of the detail feature, h/w of the context feature.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.activations import GATES, activation
from search_spaces.fusion import FUSIONS
from search_spaces.ops.dense import conv_bn
from search_spaces.resizing import resize


@dataclass(frozen=True, slots=True)
class Meeting:
    """What meets: channels of both features, of what is wanted, the context's stride over the detail's, activation."""

    detail_channels: int
    context_channels: int
    channels: int
    ratio: int
    activation: str


class _Projected(nn.Module):
    """The context is projected and enlarged, then joined as a temporal cell's output is: search_spaces/fusion.py."""

    name: str

    def __init__(self, meeting: Meeting) -> None:
        super().__init__()
        self.project = conv_bn(meeting.context_channels, meeting.channels, 1)
        self.fusion = FUSIONS[self.name](meeting.channels)

    def forward(self, detail_NCHW: Tensor, context_NChw: Tensor) -> Tensor:
        """(detail, context) -> feature of the detail's size."""
        enlarged = resize(self.project(context_NChw), *detail_NCHW.shape[-2:])
        out: Tensor = self.fusion(detail_NCHW, enlarged)
        return out


class Add(_Projected):
    """Their sum (the form of DDRNet, arXiv:2101.06085)."""

    name = "add"


class Gate(_Projected):
    """A gate between them, a value a pixel and channel (PIDNet, arXiv:2206.02066, section 3.3).

    Differs: the gate is a 1x1 convolution of both features; theirs comes from a third branch.
    """

    name = "gate"


class Sum(nn.Module):
    """Their sum as it is, normalized and activated: for branches that end without an activation (DDRNet,
    arXiv:2101.06085, figure 4).
    """

    def __init__(self, meeting: Meeting) -> None:
        super().__init__()
        self.norm = nn.Sequential(nn.BatchNorm2d(meeting.channels), *activation(meeting.activation, meeting.channels))

    def forward(self, detail_NCHW: Tensor, context_NChw: Tensor) -> Tensor:
        """(detail, context) -> feature of the detail's size."""
        out: Tensor = self.norm(detail_NCHW + resize(context_NChw, *detail_NCHW.shape[-2:]))
        return out


class FeatureFusion(nn.Module):
    """Both by 1x1, the context enlarged and convolved first, summed and activated.

    Source: ContextNet (Poudel et al. 2018, arXiv:1805.04554, table 3) and Fast-SCNN (arXiv:1902.04502, table 3),
    with their dilation of 4, the factor by which they enlarge.
    """

    DILATION = 4

    def __init__(self, meeting: Meeting) -> None:
        super().__init__()
        act, context, channels = meeting.activation, meeting.context_channels, meeting.channels
        self.detail = conv_bn(meeting.detail_channels, channels, 1)
        self.context = nn.Sequential(
            conv_bn(context, context, 3, dilation=self.DILATION, groups=context, act=act), conv_bn(context, channels, 1)
        )
        self.act = nn.Sequential(*activation(act, channels))

    def forward(self, detail_NCHW: Tensor, context_NChw: Tensor) -> Tensor:
        """(detail, context) -> feature of the detail's size."""
        enlarged = resize(context_NChw, *detail_NCHW.shape[-2:])
        out: Tensor = self.act(self.detail(detail_NCHW) + self.context(enlarged))
        return out


class GuidedAggregation(nn.Module):
    """Each branch gates the other at that one's resolution; both are summed and convolved.

    Source: BiSeNetV2 (Yu et al. 2020, arXiv:2004.02147, section 4.3 and figure 6: bilateral guided aggregation).
    The detail feature goes down by a strided convolution and, beyond a factor of 2, averages of 3x3.
    Differs: only in other factors than the paper's 4, and a 3x3 convolution's count of channels that come in.
    """

    def __init__(self, meeting: Meeting) -> None:
        super().__init__()
        detail, context, channels = meeting.detail_channels, meeting.context_channels, meeting.channels
        halvings = meeting.ratio.bit_length() - 1
        self.detail_kept = _depthwise_then(detail, channels)
        self.detail_down = nn.Sequential(
            conv_bn(detail, channels, 3, stride=2),
            *(nn.AvgPool2d(3, 2, 1, count_include_pad=False) for _ in range(halvings - 1)),
        )
        self.context_up = conv_bn(context, channels, 3)
        self.context_kept = _depthwise_then(context, channels)
        self.mix = conv_bn(channels, channels, 3)

    def forward(self, detail_NCHW: Tensor, context_NChw: Tensor) -> Tensor:
        """(detail, context) -> feature of the detail's size."""
        size_hw = detail_NCHW.shape[-2:]
        fine = self.detail_kept(detail_NCHW) * torch.sigmoid(resize(self.context_up(context_NChw), *size_hw))
        coarse = self.detail_down(detail_NCHW) * torch.sigmoid(self.context_kept(context_NChw))
        out: Tensor = self.mix(fine + resize(coarse, *size_hw))
        return out


def _depthwise_then(in_channels: int, out_channels: int) -> nn.Sequential:
    """Depthwise 3x3 with batch norm, then 1x1 without."""
    return nn.Sequential(
        conv_bn(in_channels, in_channels, 3, groups=in_channels), nn.Conv2d(in_channels, out_channels, 1, bias=False)
    )


class Modulate(nn.Module):
    """The detail feature, projected, times a hard gate from the context (SeaFormer's fusion block,
    arXiv:2301.13156, section 3.4; TopFormer, arXiv:2204.05525, section 3.3, without its sum).
    """

    def __init__(self, meeting: Meeting) -> None:
        super().__init__()
        self.detail = conv_bn(meeting.detail_channels, meeting.channels, 1)
        self.context = conv_bn(meeting.context_channels, meeting.channels, 1)

    def forward(self, detail_NCHW: Tensor, context_NChw: Tensor) -> Tensor:
        """(detail, context) -> feature of the detail's size."""
        gate = GATES["hard_sigmoid"].function(self.context(context_NChw))
        out: Tensor = self.detail(detail_NCHW) * resize(gate, *detail_NCHW.shape[-2:])
        return out


DETAIL_FUSIONS: Mapping[str, Callable[[Meeting], nn.Module]] = {
    "add": Add,
    "gate": Gate,
    "feature_fusion": FeatureFusion,
    "guided_aggregation": GuidedAggregation,
    "modulate": Modulate,
    "sum": Sum,
}
"""meeting -> module (detail feature, context feature) -> feature of `channels` at the detail's size."""
