"""The dense-connection block: every layer sees all before it. Knows nothing of networks."""

import torch
from torch import Tensor, nn

from search_spaces.architecture import StageSpec
from search_spaces.ops.dense import conv_bn

LAYERS = 3
"""With k = 3 and a growth of a quarter they cost about what one dense convolution does."""


class DenseConnection(nn.Module):
    """LAYERS k x k convolutions, each adding a quarter of the channels to what it got, then 1 x 1.

    Source: Huang et al. 2017, DenseNet, arXiv:1608.06993. Where ours differs: batch norm and activation follow the
    convolutions, so that they fuse with them; with a stride the first layer takes it, and what it got is averaged.
    """

    def __init__(self, stage: StageSpec, in_channels: int, stride: int) -> None:
        super().__init__()
        conv, act = stage.conv, stage.activation
        growth = -(-stage.channels // 4)
        self.layers = nn.ModuleList(
            conv_bn(
                in_channels + index * growth,
                growth,
                conv.kernel,
                stride=1 if index else stride,
                dilation=conv.dilation,
                act=act,
            )
            for index in range(LAYERS)
        )
        pool = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        self.passed = pool if stride > 1 else nn.Identity()
        self.transition = conv_bn(in_channels + LAYERS * growth, stage.channels, 1, act=act)

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        seen = self.passed(feature_BCHW)
        grown = self.layers[0](feature_BCHW)
        for layer in self.layers[1:]:
            seen = torch.cat([seen, grown], 1)
            grown = layer(seen)
        out: Tensor = self.transition(torch.cat([seen, grown], 1))
        return out
