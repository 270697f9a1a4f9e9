"""Blocks of a stage by name; the elementary ones stand here. Knows nothing of where they stand in a network."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from search_spaces.activations import activation
from search_spaces.architecture import Block, StageSpec
from search_spaces.ops.attention import within
from search_spaces.ops.bottleneck import Bottleneck, PooledBottleneck
from search_spaces.ops.dense import conv_bn
from search_spaces.ops.dense_connection import DenseConnection
from search_spaces.ops.inception import Inception
from search_spaces.ops.registry import CONVS
from search_spaces.ops.shufflenet import ShuffleNetV1, ShuffleNetV2
from search_spaces.ops.universal_inverted_bottleneck import UniversalInvertedBottleneck


def plain(stage: StageSpec, in_channels: int, stride: int) -> nn.Module:
    """One convolution unit."""
    conv = stage.conv
    return CONVS[conv.factorization](in_channels, stage.channels, conv.kernel, stride, conv.dilation, stage.activation)


class Residual(nn.Module):
    """Two convolution units and a shortcut (He et al. 2016, arXiv:1512.03385, basic block)."""

    def __init__(self, stage: StageSpec, in_channels: int, stride: int) -> None:
        super().__init__()
        conv = stage.conv
        make = CONVS[conv.factorization]
        out = stage.channels
        self.first = make(in_channels, out, conv.kernel, stride, conv.dilation, stage.activation)
        self.second = make(out, out, conv.kernel, 1, conv.dilation, None)
        same = stride == 1 and in_channels == out
        self.shortcut = nn.Identity() if same else conv_bn(in_channels, out, 1, stride=stride)
        self.act = nn.Sequential(*activation(stage.activation, out))

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        out: Tensor = self.act(self.second(self.first(feature_BCHW)) + self.shortcut(feature_BCHW))
        return out


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise k x k, linear 1x1 (Sandler et al. 2018, arXiv:1801.04381)."""

    def __init__(self, stage: StageSpec, in_channels: int, stride: int) -> None:
        super().__init__()
        conv = stage.conv
        hidden = stage.hidden or in_channels * stage.expansion
        self.body = nn.Sequential(
            *(conv_bn(in_channels, hidden, 1, act=stage.activation) if hidden != in_channels else ()),
            *conv_bn(
                hidden,
                hidden,
                conv.kernel,
                stride=stride,
                dilation=conv.dilation,
                groups=hidden,
                act=stage.activation,
            ),
            *within(stage.attention, hidden),
            *conv_bn(hidden, stage.channels, 1),
        )
        self.same = stride == 1 and in_channels == stage.channels

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        out: Tensor = self.body(feature_BCHW)
        return out + feature_BCHW if self.same else out


BLOCKS: Mapping[Block, Callable[[StageSpec, int, int], nn.Module]] = {
    "plain": plain,
    "residual": Residual,
    "inverted_residual": InvertedResidual,
    "universal_inverted_bottleneck": UniversalInvertedBottleneck,
    "shufflenet_v1": ShuffleNetV1,
    "shufflenet_v2": ShuffleNetV2,
    "inception": Inception,
    "dense_connection": DenseConnection,
    "bottleneck": Bottleneck,
    "pooled_bottleneck": PooledBottleneck,
}
"""(stage, in channels, stride) -> block."""
