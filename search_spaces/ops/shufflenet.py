"""The units of ShuffleNet V1 and V2. Knows nothing of networks."""

import torch
from torch import Tensor, nn

from search_spaces.activations import activation
from search_spaces.architecture import StageSpec
from search_spaces.ops.dense import GROUPS, conv_bn


class ShuffleNetV1(nn.Module):
    """Grouped 1 x 1 to a quarter, shuffle, depthwise, grouped 1 x 1, shortcut (Zhang et al. 2017, arXiv:1707.01083).

    With a stride the shortcut is averaged over 3 x 3 and brings its own channels, as there. Where ours differs: a
    shortcut that cannot (no stride, or not more channels than came in) is a 1 x 1 convolution.
    """

    def __init__(self, stage: StageSpec, in_channels: int, stride: int) -> None:
        super().__init__()
        conv, out, act = stage.conv, stage.channels, stage.activation
        self.joins = stride > 1 and out > in_channels
        hidden = GROUPS * -(-out // (4 * GROUPS))
        self.reduce = conv_bn(in_channels, hidden, 1, groups=GROUPS, act=act)
        self.expand = nn.Sequential(
            *conv_bn(hidden, hidden, conv.kernel, stride=stride, dilation=conv.dilation, groups=hidden),
            *conv_bn(hidden, out - in_channels if self.joins else out, 1, groups=GROUPS),
        )
        self.shortcut = self._shortcut(in_channels, out, stride)
        self.act = nn.Sequential(*activation(act, out))

    def _shortcut(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        if self.joins:
            return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        if stride == 1 and in_channels == out_channels:
            return nn.Identity()
        return conv_bn(in_channels, out_channels, 1, stride=stride)

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        branch = self.expand(_shuffled(self.reduce(feature_BCHW), GROUPS))
        shortcut = self.shortcut(feature_BCHW)
        out: Tensor = self.act(torch.cat([shortcut, branch], 1) if self.joins else shortcut + branch)
        return out


class ShuffleNetV2(nn.Module):
    """Half passes by, half goes 1 x 1, depthwise, 1 x 1; then a shuffle (Ma et al. 2018, arXiv:1807.11164).

    Where the shape changes, both halves come from all channels and the one passing by is depthwise and 1 x 1.
    """

    def __init__(self, stage: StageSpec, in_channels: int, stride: int) -> None:
        super().__init__()
        kernel, dilation, act = stage.conv.kernel, stage.conv.dilation, stage.activation
        half = stage.channels // 2
        self.splits = stride == 1 and in_channels == stage.channels
        self.passing = (
            nn.Identity()
            if self.splits
            else nn.Sequential(
                *conv_bn(in_channels, in_channels, kernel, stride=stride, dilation=dilation, groups=in_channels),
                *conv_bn(in_channels, half, 1, act=act),
            )
        )
        self.branch = nn.Sequential(
            *conv_bn(half if self.splits else in_channels, half, 1, act=act),
            *conv_bn(half, half, kernel, stride=stride, dilation=dilation, groups=half),
            *conv_bn(half, half, 1, act=act),
        )

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        one, other = feature_BCHW.chunk(2, 1) if self.splits else (feature_BCHW, feature_BCHW)
        return _shuffled(torch.cat([self.passing(one), self.branch(other)], 1), 2)


def _shuffled(feature_BCHW: Tensor, groups: int) -> Tensor:
    """Channel i of group g becomes channel i * groups + g, so that every later group sees every earlier one."""
    batch, channels, height, width = feature_BCHW.shape
    grouped = feature_BCHW.reshape(batch, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).reshape(batch, channels, height, width)
