"""DDRNet-23-slim as a plain module. Knows nothing of video, data or searches.

Source: Hong, Pan, Sun, Jia 2021, arXiv:2101.06085: table 1 (DDRNet-23-slim), figures 3 to 5 (bilateral fusion, DAPPM).
Differs: no auxiliary head and no pre-training, for all designs are trained by one recipe; the pooled branches of
DAPPM have a bias where the paper has batch norm, and their windows count pixels of the feature alone, because at
1/64 of small frames there are few of them; the width multiplies all channels.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.designs.common import Design, resize, scaled
from search_spaces.activations import activation
from search_spaces.ops.dense import conv_bn

_POOLS = ((5, 2), (9, 4), (17, 8))
"""(kernel, stride) of the windows of DAPPM; a fourth branch averages everything."""


class _Residual(nn.Module):
    """A body and a shortcut; without the last activation where a fusion follows (figure 4)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, *, last: bool) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut
        self.act = nn.Identity() if last else nn.ReLU(inplace=True)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        out: Tensor = self.act(self.body(feature_NCHW) + self.shortcut(feature_NCHW))
        return out


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    same = stride == 1 and in_channels == out_channels
    return nn.Identity() if same else conv_bn(in_channels, out_channels, 1, stride=stride)


def _basic(in_channels: int, out_channels: int, stride: int = 1, *, last: bool = False) -> _Residual:
    first = conv_bn(in_channels, out_channels, 3, stride=stride, act="relu")
    body = nn.Sequential(*first, *conv_bn(out_channels, out_channels, 3))
    return _Residual(body, _shortcut(in_channels, out_channels, stride), last=last)


def _two_basic(in_channels: int, out_channels: int, stride: int = 1, *, last: bool = False) -> nn.Sequential:
    return nn.Sequential(_basic(in_channels, out_channels, stride), _basic(out_channels, out_channels, last=last))


def _bottleneck(in_channels: int, out_channels: int, stride: int = 1) -> _Residual:
    """1x1, 3x3, 1x1 to twice the width; ends a branch."""
    body = nn.Sequential(
        *conv_bn(in_channels, in_channels, 1, act="relu"),
        *conv_bn(in_channels, in_channels, 3, stride=stride, act="relu"),
        *conv_bn(in_channels, out_channels, 1),
    )
    return _Residual(body, _shortcut(in_channels, out_channels, stride), last=True)


def _pre_activated(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Batch norm, ReLU, convolution."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(in_channels), *activation("relu", in_channels), conv)


class _Fusion(nn.Module):
    """Bilateral fusion (equation 1): fine to coarse by strided 3x3, coarse to fine by 1x1 and resizing."""

    def __init__(self, fine_channels: int, coarse_channels: tuple[int, ...]) -> None:
        super().__init__()
        widths = (fine_channels, *coarse_channels)
        steps = zip(widths, coarse_channels, strict=False)
        acts = ["relu"] * (len(coarse_channels) - 1) + [None]
        self.down = nn.Sequential(
            *(conv_bn(a, b, 3, stride=2, act=act) for (a, b), act in zip(steps, acts, strict=True))
        )
        self.up = conv_bn(coarse_channels[-1], fine_channels, 1)

    def forward(self, fine_NCHW: Tensor, coarse_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """(fine, coarse) before their activations to (fine, coarse) before theirs."""
        down = self.down(F.relu(fine_NCHW))
        up = resize(self.up(F.relu(coarse_NCHW)), fine_NCHW)
        return fine_NCHW + up, coarse_NCHW + down


class _DAPPM(nn.Module):
    """Deep aggregation pyramid pooling (figure 5, equation 2): every scale refined together with the one before."""

    def __init__(self, in_channels: int, middle: int, out_channels: int) -> None:
        super().__init__()
        count = len(_POOLS) + 1
        self.first = _pre_activated(in_channels, middle, 1)
        self.branches = nn.ModuleList(nn.Conv2d(in_channels, middle, 1) for _ in range(count))
        self.refine = nn.ModuleList(_pre_activated(middle, middle, 3) for _ in range(count))
        self.mix = _pre_activated(middle * (count + 1), out_channels, 1)
        self.shortcut = _pre_activated(in_channels, out_channels, 1)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature of the same size."""
        scales = [self.first(feature_NCHW)]
        for pool, branch, refine in zip(_pools(), self.branches, self.refine, strict=True):
            coarse = branch(F.relu(pool(feature_NCHW)))
            scales.append(refine(resize(coarse, feature_NCHW) + scales[-1]))
        out: Tensor = self.mix(torch.cat(scales, 1)) + self.shortcut(feature_NCHW)
        return out


def _pools() -> list[Callable[[Tensor], Tensor]]:
    def window(kernel: int, stride: int) -> Callable[[Tensor], Tensor]:
        return lambda feature: F.avg_pool2d(feature, kernel, stride, kernel // 2, count_include_pad=False)

    return [*(window(kernel, stride) for kernel, stride in _POOLS), lambda feature: feature.mean((2, 3), keepdim=True)]


class DDRNet(Design):
    """A fine branch at 1/8 and a coarse one to 1/64, fused twice and, after DAPPM, a last time."""

    stride = 8

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__(num_classes, width)
        c32, c64, c128, c256, c512 = (scaled(channels, width) for channels in (32, 64, 128, 256, 512))
        self.stem = nn.Sequential(
            *conv_bn(3, c32, 3, stride=2, act="relu"),
            *conv_bn(c32, c32, 3, stride=2, act="relu"),
            _two_basic(c32, c32),
            _two_basic(c32, c64, 2),
        )
        self.fine_4, self.coarse_4 = _two_basic(c64, c64, last=True), _two_basic(c64, c128, 2, last=True)
        self.fuse_4 = _Fusion(c64, (c128,))
        self.fine_5, self.coarse_5 = _two_basic(c64, c64, last=True), _two_basic(c128, c256, 2, last=True)
        self.fuse_5 = _Fusion(c64, (c128, c256))
        self.fine_6, self.coarse_6 = _bottleneck(c64, c128), _bottleneck(c256, c512, 2)
        self.pyramid = _DAPPM(c512, c128, c128)
        self.classify = nn.Sequential(
            _pre_activated(c128, c64, 3), nn.BatchNorm2d(c64), *activation("relu", c64), nn.Conv2d(c64, num_classes, 1)
        )

    def scores(self, frame_NCHW: Tensor) -> Tensor:
        """Class scores at 1/8."""
        shared = self.stem(frame_NCHW)
        fine, coarse = self.fuse_4(self.fine_4(shared), self.coarse_4(shared))
        fine, coarse = self.fuse_5(self.fine_5(F.relu(fine)), self.coarse_5(F.relu(coarse)))
        fine, coarse = self.fine_6(F.relu(fine)), self.coarse_6(F.relu(coarse))
        out: Tensor = self.classify(fine + resize(self.pyramid(coarse), fine))
        return out
