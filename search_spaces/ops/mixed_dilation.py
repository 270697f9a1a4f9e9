"""Depthwise convolution with another dilation for each group of channels. Knows nothing of blocks."""

import torch
from torch import Tensor, nn

from search_spaces.ops.dense import conv_bn

DILATIONS = (1, 2, 4)


class MixedDilation(nn.Module):
    """Depthwise k x k, a third of the channels each with dilation 1, 2 and 4, then 1 x 1, an activation after both.

    Source: Tan and Le 2019, MixConv, arXiv:1907.09595, the variant with dilations instead of larger kernels; the
    parallel dilations are those of Mehta et al. 2018, ESPNet, arXiv:1803.06815, whose groups are dense.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
    ) -> None:
        super().__init__()
        last = len(DILATIONS) - 1
        self.sizes = [(in_channels + last - index) // len(DILATIONS) for index in range(len(DILATIONS))]
        self.groups = nn.ModuleList(
            conv_bn(size, size, kernel, stride=stride, dilation=dilation * wider, groups=size, act=act)
            for size, wider in zip(self.sizes, DILATIONS, strict=True)
        )
        self.mix = conv_bn(in_channels, out_channels, 1, act=act)

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        parts = torch.split(feature_BCHW, self.sizes, 1)
        out: Tensor = self.mix(torch.cat([group(part) for group, part in zip(self.groups, parts, strict=True)], 1))
        return out
