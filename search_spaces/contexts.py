"""Context modules by kind: what the last feature learns of the whole picture. Knows nothing of networks.

Legend: N frames, C channels, H/W feature pixels.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.activations import activation
from search_spaces.ops.dense import conv_bn
from search_spaces.ops.separable import depthwise_separable
from search_spaces.resizing import resize

BINS = (1, 2, 3, 6)
"""Windows a side on every level of the pyramid: arXiv:1612.01105, section 3.2."""

REACHES = (48, 96, 144)
"""How far a kernel's outer taps lie from its centre, in pixels of the (scaled) frame."""


WINDOWS = ((5, 2), (9, 4), (17, 8))
"""(kernel, stride) of the averages of a deep aggregation: arXiv:2101.06085, figure 5."""


class NoContext(nn.Identity):
    """The feature as it is: what every other kind is compared with. Original."""

    def __init__(self, channels: int, stride: int, act: str, out_channels: int) -> None:
        super().__init__()


class GlobalPool(nn.Module):
    """Gates the feature by its global average (the pooling branch of LR-ASPP, arXiv:1905.02244, section 6.4)."""

    def __init__(self, channels: int, stride: int, act: str, out_channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        pooled = feature_NCHW.mean((2, 3), keepdim=True)
        return feature_NCHW * torch.sigmoid(self.gate(pooled))


class PyramidPooling(nn.Module):
    """Averages over a pyramid of windows beside the feature, mixed by a 1x1 convolution (PSPNet, arXiv:1612.01105).

    Differs: the windows of a level are equally large and may overlap (adaptive pooling where the bins divide the
    side), of a size that is known when the step is traced; a level has at most as many bins as the side has pixels;
    its convolution has a bias and no batch norm, which could not learn from the single value of the coarsest level.
    """

    def __init__(self, channels: int, stride: int, act: str, out_channels: int) -> None:
        super().__init__()
        width = max(1, channels // len(BINS))
        self.levels = nn.ModuleList(_bare(channels, width, act) for _ in BINS)
        self.mix = conv_bn(channels + len(BINS) * width, channels, 1, act=act)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        levels = (
            _spread(level(_pooled(feature_NCHW, bins)), feature_NCHW)
            for bins, level in zip(BINS, self.levels, strict=True)
        )
        out: Tensor = self.mix(torch.cat([feature_NCHW, *levels], 1))
        return out


class DilatedPyramid(nn.Module):
    """A 1x1, three separable 3x3 convolutions of growing dilation and the average, mixed (ASPP, arXiv:1706.05587).

    Separable as in DeepLabV3+ (arXiv:1802.02611). Differs: branches have a quarter of the channels, and the
    dilations reach half as many pixels of the frame as theirs (3, 6, 9 at stride 16), for the frames of a video are
    smaller than their crops of 513 and a kernel that reaches beyond the feature is a dear 1x1.
    """

    def __init__(self, channels: int, stride: int, act: str, out_channels: int) -> None:
        super().__init__()
        width = max(1, channels // 4)
        self.branches = nn.ModuleList(
            [
                conv_bn(channels, width, 1, act=act),
                *(depthwise_separable(channels, width, 3, 1, rate, act) for rate in dilations(stride)),
            ]
        )
        self.average = _bare(channels, width, act)
        self.mix = conv_bn((2 + len(REACHES)) * width, channels, 1, act=act)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        average = _spread(self.average(_pooled(feature_NCHW, 1)), feature_NCHW)
        out: Tensor = self.mix(torch.cat([*(branch(feature_NCHW) for branch in self.branches), average], 1))
        return out


class DeepAggregation(nn.Module):
    """Averages of growing windows, each refined together with the one before (DDRNet, arXiv:2101.06085, figure 5 and
    equation 2: DAPPM). Convolutions come behind batch norm and activation, so that it takes a feature without one.

    Differs: the pooled branches have a bias where the paper has batch norm, and their windows count pixels of the
    feature alone: at 1/64 of small frames there are few of them. Within, a quarter of the channels.
    """

    def __init__(self, channels: int, stride: int, act: str, out_channels: int) -> None:
        super().__init__()
        width, count = max(1, channels // 4), len(WINDOWS) + 1
        self.first = _pre_activated(channels, width, 1, act)
        self.act = nn.Sequential(*activation(act, channels))
        self.branches = nn.ModuleList(nn.Conv2d(channels, width, 1) for _ in range(count))
        self.refine = nn.ModuleList(_pre_activated(width, width, 3, act) for _ in range(count))
        self.mix = _pre_activated(width * (count + 1), out_channels, 1, act)
        self.shortcut = _pre_activated(channels, out_channels, 1, act)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature of the same size and `out_channels`."""
        pooled = [
            F.avg_pool2d(feature_NCHW, kernel, stride, kernel // 2, count_include_pad=False)
            for kernel, stride in WINDOWS
        ]
        pooled.append(_pooled(feature_NCHW, 1))
        scales = [self.first(feature_NCHW)]
        for coarse, branch, refine in zip(pooled, self.branches, self.refine, strict=True):
            scales.append(refine(_spread(branch(self.act(coarse)), feature_NCHW) + scales[-1]))
        out: Tensor = self.mix(torch.cat(scales, 1)) + self.shortcut(feature_NCHW)
        return out


def _pre_activated(in_channels: int, out_channels: int, kernel: int, act: str) -> nn.Sequential:
    """Batch norm, activation, convolution."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(in_channels), *activation(act, in_channels), conv)


def dilations(stride: int) -> tuple[int, ...]:
    """The dilations at this stride that reach REACHES pixels of the frame."""
    return tuple(max(1, (reach + stride // 2) // stride) for reach in REACHES)


def _bare(in_channels: int, out_channels: int, act: str) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), *activation(act, out_channels))


def _pooled(feature_NCHW: Tensor, bins: int) -> Tensor:
    """Averages over min(bins, side) equally large windows each way, which cover the feature."""
    if bins == 1:
        return feature_NCHW.mean((2, 3), keepdim=True)
    sides = (feature_NCHW.shape[-2], feature_NCHW.shape[-1])
    counts = [min(bins, side) for side in sides]
    strides = [side // count for side, count in zip(sides, counts, strict=True)]
    windows = [side - (count - 1) * stride for side, count, stride in zip(sides, counts, strides, strict=True)]
    return F.avg_pool2d(feature_NCHW, windows, strides)


def _spread(pooled_NCHW: Tensor, like_NCHW: Tensor) -> Tensor:
    """At the size of `like_NCHW`; a single value is repeated, which costs no interpolation."""
    height, width = like_NCHW.shape[-2:]
    if pooled_NCHW.shape[-2:] == (1, 1):
        return pooled_NCHW.expand(-1, -1, height, width)
    return resize(pooled_NCHW, height, width)


CONTEXTS: Mapping[str, Callable[[int, int, str, int], nn.Module]] = {
    "none": NoContext,
    "global_pool": GlobalPool,
    "pyramid_pooling": PyramidPooling,
    "dilated_pyramid": DilatedPyramid,
    "deep_aggregation": DeepAggregation,
}
"""(channels, stride of the feature, activation, channels of what it gives) -> module that keeps the feature's size.

Only a deep aggregation gives others than it got.
"""
