"""Dense and grouped k x k convolutions with batch norm. Knows nothing of blocks or stages."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.activations import activation

GROUPS = 4
"""Groups of the grouped convolution; fewer where the channels do not divide."""


class StridedPointwise(nn.Conv2d):
    """A 1x1 convolution with a stride, which trains on a CPU by skipping the pixels first.

    oneDNN's gradient of it writes past its workspace where the pixels are channels-last and fewer channels come
    in than its block of 16 (uxlfoundation/oneDNN issue 6035): the process dies, or the gradient is wrong. What is
    exported and timed is the plain convolution.
    """

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        if feature_BCHW.is_cpu and torch.is_grad_enabled():
            kept = feature_BCHW[..., :: self.stride[0], :: self.stride[1]]
            return F.conv2d(kept, self.weight, self.bias, groups=self.groups)
        return super().forward(feature_BCHW)


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
    make = StridedPointwise if kernel_hw == (1, 1) and stride not in (1, (1, 1)) else nn.Conv2d
    conv = make(in_channels, out_channels, kernel_hw, stride, padding_hw, dilation, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *activation(act, out_channels))


def dense(in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None) -> nn.Module:
    """The ordinary k x k convolution."""
    return conv_bn(in_channels, out_channels, kernel, stride=stride, dilation=dilation, act=act)


def pointwise(
    in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
) -> nn.Module:
    """1 x 1 (Lin et al. 2013, arXiv:1312.4400); it has neither kernel nor dilation."""
    return conv_bn(in_channels, out_channels, 1, stride=stride, act=act)


def grouped(in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None) -> nn.Module:
    """Grouped convolution (Xie et al. 2017, arXiv:1611.05431) with up to GROUPS groups."""
    groups = math.gcd(GROUPS, math.gcd(in_channels, out_channels))
    return conv_bn(in_channels, out_channels, kernel, stride=stride, dilation=dilation, groups=groups, act=act)
