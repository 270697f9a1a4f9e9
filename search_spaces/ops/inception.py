"""The inception block: kernels of several sizes side by side. Knows nothing of networks."""

import torch
from torch import Tensor, nn

from search_spaces.architecture import StageSpec
from search_spaces.ops.dense import conv_bn


class Inception(nn.Module):
    """1 x 1; reduction and 3 x 3; reduction and 5 x 5; pooling and 1 x 1: a quarter of the channels each.

    Source: Szegedy et al. 2015, GoogLeNet, arXiv:1409.4842, with dimension reductions; its shares differ a layer.
    """

    def __init__(self, stage: StageSpec, in_channels: int, stride: int) -> None:
        super().__init__()
        act = stage.activation
        quarter = stage.channels // 4

        def spatial(kernel: int) -> nn.Sequential:
            return nn.Sequential(
                *conv_bn(in_channels, quarter, 1, act=act),
                *conv_bn(quarter, quarter, kernel, stride=stride, dilation=stage.conv.dilation, act=act),
            )

        self.branches = nn.ModuleList(
            [
                conv_bn(in_channels, stage.channels - 3 * quarter, 1, stride=stride, act=act),
                spatial(3),
                spatial(5),
                nn.Sequential(nn.MaxPool2d(3, stride, 1), *conv_bn(in_channels, quarter, 1, act=act)),
            ]
        )

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        return torch.cat([branch(feature_BCHW) for branch in self.branches], 1)
