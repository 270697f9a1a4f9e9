"""Partial convolution: k x k on a quarter of the channels, then 1 x 1. Knows nothing of blocks."""

import torch
from torch import Tensor, nn

from search_spaces.ops.dense import conv_bn

PART = 4
"""One channel in PART is convolved in space (the paper's ratio of 1/4)."""


class Partial(nn.Module):
    """k x k on the first quarter of the channels, then 1 x 1 on all (Chen et al. 2023, FasterNet, arXiv:2303.03667).

    Where ours differs: with a stride, which the paper leaves to separate layers, the other channels are averaged
    over 3 x 3; the 1 x 1 does not expand.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
    ) -> None:
        super().__init__()
        convolved = in_channels // PART
        self.parts = [convolved, in_channels - convolved]
        padding = dilation * (kernel // 2)
        self.spatial = nn.Conv2d(convolved, convolved, kernel, stride, padding, dilation, bias=False)
        pool = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        self.passed = pool if stride > 1 else nn.Identity()
        self.mix = conv_bn(in_channels, out_channels, 1, act=act)

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        convolved, passed = torch.split(feature_BCHW, self.parts, 1)
        out: Tensor = self.mix(torch.cat([self.spatial(convolved), self.passed(passed)], 1))
        return out
