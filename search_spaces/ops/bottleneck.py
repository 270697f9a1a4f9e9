"""Residual bottlenecks: the spatial convolution sees few channels. Knows nothing of stages' order."""

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.activations import activation
from search_spaces.architecture import StageSpec
from search_spaces.ops.dense import conv_bn
from search_spaces.ops.registry import CONVS
from search_spaces.stage_spec import quarter


class Bottleneck(nn.Module):
    """1 x 1 to `hidden` channels, k x k with the stride, linear 1 x 1, and a shortcut (He et al. 2016,
    arXiv:1512.03385, figure 5). Without `hidden` a quarter of what comes in, in multiples of 8.
    """

    def __init__(self, stage: StageSpec, in_channels: int, stride: int) -> None:
        super().__init__()
        act, out = stage.activation, stage.channels
        hidden = stage.hidden or quarter(in_channels)
        self.body = nn.Sequential(
            conv_bn(in_channels, hidden, 1, act=act),
            CONVS[stage.conv.factorization](hidden, hidden, stage.conv.kernel, stride, stage.conv.dilation, act),
            conv_bn(hidden, out, 1),
        )
        same = stride == 1 and in_channels == out
        self.shortcut = nn.Identity() if same else conv_bn(in_channels, out, 1, stride=stride)
        self.act = nn.Sequential(*activation(act, out))

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        out: Tensor = self.act(self.body(feature_BCHW) + self.shortcut(feature_BCHW))
        return out


class PooledBottleneck(nn.Module):
    """The bottleneck that ENet changes size with: 2 x 2 with the stride in front, beside the pooled feature, which is
    filled up with empty channels (Paszke et al. 2016, arXiv:1606.02147, figure 2b).

    Differs: no dropout, and the places of the maxima are not remembered. Where nothing changes it is a Bottleneck.
    """

    def __init__(self, stage: StageSpec, in_channels: int, stride: int) -> None:
        super().__init__()
        act, out = stage.activation, stage.channels
        hidden = stage.hidden or quarter(in_channels)
        self.halves = stride == 2
        self.extra = out - in_channels
        self.body = nn.Sequential(
            conv_bn(in_channels, hidden, stride, stride=stride, act=act),
            CONVS[stage.conv.factorization](hidden, hidden, stage.conv.kernel, 1, stage.conv.dilation, act),
            conv_bn(hidden, out, 1),
        )
        self.act = nn.Sequential(*activation(act, out))

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        passed, given = feature_BCHW, feature_BCHW
        if self.halves:
            # Not a pooling of the padded feature: onnxruntime 1.31 would pull the zeros into the pooling.
            passed = F.max_pool2d(feature_BCHW, 2, ceil_mode=True)
            height, width = feature_BCHW.shape[-2:]
            if height % 2 or width % 2:
                given = F.pad(feature_BCHW, (0, width % 2, 0, height % 2))
        if self.extra:
            passed = F.pad(passed, (0, 0, 0, 0, 0, self.extra))
        out: Tensor = self.act(passed + self.body(given))
        return out
