"""ENet as a plain module. Knows nothing of video, data or searches.

Source: Paszke, Chaurasia, Kim, Culurciello 2016, arXiv:1606.02147, table 1 and figure 2.
Differs: no unpooling by remembered maxima, which runtimes on devices lack: the decoder resizes bilinearly and
convolves, and the classes are found at half of the frame's size by a 3x3 convolution (the paper: transposed
convolutions); PReLU is written as two ReLUs, for the same reason; no dropout and no training in two stages, for all
designs are trained by one recipe; the width multiplies all channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.designs.common import Design, resize, scaled
from search_spaces.ops.dense import conv_bn

_SLOPE = 0.25
"""Where PReLU starts (He et al. 2015, arXiv:1502.01852, section 2.1)."""


class _PReLU(nn.Module):
    """relu(x) - a relu(-x), with one learned slope a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.full((1, channels, 1, 1), _SLOPE))

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        return F.relu(feature_NCHW) - self.slope * F.relu(-feature_NCHW)


def _conv(
    in_channels: int, out_channels: int, kernel: int | tuple[int, int], *, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Convolution, batch norm, PReLU."""
    return nn.Sequential(
        *conv_bn(in_channels, out_channels, kernel, stride=stride, dilation=dilation), _PReLU(out_channels)
    )


def _asymmetric(channels: int) -> nn.Sequential:
    return nn.Sequential(_conv(channels, channels, (5, 1)), _conv(channels, channels, (1, 5)))


def _halved(feature_NCHW: Tensor) -> Tensor:
    """Largest of 2x2, ceil(size / 2).

    Not a pooling of `_even`: onnxruntime 1.31 pulls a padding by zeros into the pooling, which pads by minus
    infinity, and computes something else.
    """
    return F.max_pool2d(feature_NCHW, 2, ceil_mode=True)


def _even(feature_NCHW: Tensor) -> Tensor:
    """Padded to even sides, so that a convolution by 2x2 gives ceil(size / 2)."""
    height, width = feature_NCHW.shape[-2:]
    if height % 2 == 0 and width % 2 == 0:
        return feature_NCHW
    return F.pad(feature_NCHW, (0, width % 2, 0, height % 2))


class _Initial(nn.Module):
    """A strided convolution beside a pooling (figure 2a)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels - 3, 3, 2, 1, bias=False)
        self.norm = nn.Sequential(nn.BatchNorm2d(channels), _PReLU(channels))

    def forward(self, frame_NCHW: Tensor) -> Tensor:
        """Frame to a feature at 1/2."""
        out: Tensor = self.norm(torch.cat([self.conv(frame_NCHW), _halved(frame_NCHW)], 1))
        return out


class _Regular(nn.Module):
    """1x1 to a quarter, a convolution, 1x1 back; summed with its input (figure 2b)."""

    def __init__(self, channels: int, dilation: int = 1, *, asymmetric: bool = False) -> None:
        super().__init__()
        inner = scaled(channels, 0.25)
        middle = _asymmetric(inner) if asymmetric else _conv(inner, inner, 3, dilation=dilation)
        self.body = nn.Sequential(_conv(channels, inner, 1), middle, *conv_bn(inner, channels, 1))
        self.act = _PReLU(channels)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        out: Tensor = self.act(feature_NCHW + self.body(feature_NCHW))
        return out


class _Down(nn.Module):
    """As `_Regular` with 2x2 and stride 2 in front; the input is pooled and padded with empty channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        inner = scaled(in_channels, 0.25)
        self.extra = out_channels - in_channels
        self.body = nn.Sequential(
            _conv(in_channels, inner, 2, stride=2), _conv(inner, inner, 3), *conv_bn(inner, out_channels, 1)
        )
        self.act = _PReLU(out_channels)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / 2)."""
        main = F.pad(_halved(feature_NCHW), (0, 0, 0, 0, 0, self.extra))
        out: Tensor = self.act(main + self.body(_even(feature_NCHW)))
        return out


class _Up(nn.Module):
    """The bottleneck that doubles the size: both paths resized bilinearly."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        inner = scaled(in_channels, 0.25)
        self.main = conv_bn(in_channels, out_channels, 1)
        self.project = _conv(in_channels, inner, 1)
        self.body = nn.Sequential(_conv(inner, inner, 3), *conv_bn(inner, out_channels, 1))
        self.act = _PReLU(out_channels)

    def forward(self, feature_NCHW: Tensor, like_NCHW: Tensor) -> Tensor:
        """Feature to feature of the other's size."""
        main = resize(self.main(feature_NCHW), like_NCHW)
        out: Tensor = self.act(main + self.body(resize(self.project(feature_NCHW), like_NCHW)))
        return out


def _section(channels: int) -> nn.Sequential:
    """Bottlenecks 2.1 to 2.8 of table 1, which section 3 repeats."""
    return nn.Sequential(
        _Regular(channels),
        _Regular(channels, 2),
        _Regular(channels, asymmetric=True),
        _Regular(channels, 4),
        _Regular(channels),
        _Regular(channels, 8),
        _Regular(channels, asymmetric=True),
        _Regular(channels, 16),
    )


class ENet(Design):
    """A long encoder at 1/8 and a small decoder, of bottlenecks throughout."""

    stride = 2

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__(num_classes, width)
        c16, c64, c128 = (scaled(channels, width) for channels in (16, 64, 128))
        self.initial = _Initial(c16)
        self.quarter = nn.Sequential(_Down(c16, c64), *(_Regular(c64) for _ in range(4)))
        self.eighth = nn.Sequential(_Down(c64, c128), _section(c128), _section(c128))
        self.up_quarter, self.decode_quarter = _Up(c128, c64), nn.Sequential(_Regular(c64), _Regular(c64))
        self.up_half, self.decode_half = _Up(c64, c16), _Regular(c16)
        self.classify = nn.Conv2d(c16, num_classes, 3, padding=1)

    def scores(self, frame_NCHW: Tensor) -> Tensor:
        """Class scores at 1/2."""
        half = self.initial(frame_NCHW)
        quarter = self.quarter(half)
        feature = self.decode_quarter(self.up_quarter(self.eighth(quarter), quarter))
        out: Tensor = self.classify(self.decode_half(self.up_half(feature, half)))
        return out
