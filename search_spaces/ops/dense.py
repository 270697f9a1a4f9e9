"""Dense and grouped k x k convolutions with batch norm. Knows nothing of blocks or stages."""

import math

from torch import nn

from search_spaces.activations import activation

GROUPS = 4
"""Groups of the grouped convolution; fewer where the channels do not divide."""


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    dilation: int = 1,
    groups: int = 1,
    act: str | None = None,
) -> nn.Sequential:
    """Convolution, batch norm, activation; padded so that the output is ceil(size / stride)."""
    kernel_hw = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding_hw = (dilation * (kernel_hw[0] - 1) // 2, dilation * (kernel_hw[1] - 1) // 2)
    conv = nn.Conv2d(in_channels, out_channels, kernel_hw, stride, padding_hw, dilation, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *activation(act))


def dense(in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None) -> nn.Module:
    """The ordinary k x k convolution."""
    return conv_bn(in_channels, out_channels, kernel, stride=stride, dilation=dilation, act=act)


def grouped(in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None) -> nn.Module:
    """Grouped convolution (Xie et al. 2017, arXiv:1611.05431) with up to GROUPS groups."""
    groups = math.gcd(GROUPS, math.gcd(in_channels, out_channels))
    return conv_bn(in_channels, out_channels, kernel, stride=stride, dilation=dilation, groups=groups, act=act)
