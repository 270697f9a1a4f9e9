"""The universal inverted bottleneck: two 1 x 1 and optional depthwise convolutions. Knows nothing of stages' order."""

from torch import Tensor, nn

from search_spaces.architecture import StageSpec
from search_spaces.ops.attention import within
from search_spaces.ops.dense import conv_bn


class UniversalInvertedBottleneck(nn.Module):
    """Optional depthwise k x k, 1 x 1 expansion, optional depthwise k x k, linear 1 x 1.

    Source: Qin et al. 2024, MobileNetV4, arXiv:2404.10518. `before` alone is its ConvNext-like form, `both`
    its extra depthwise, `none` its feed-forward network; `between` is the inverted residual, a block of its own.
    The last depthwise convolution takes the stride. Both have one kernel, where the paper lets them differ.
    """

    def __init__(self, stage: StageSpec, in_channels: int, stride: int) -> None:
        super().__init__()
        kernel, dilation, act = stage.conv.kernel, stage.conv.dilation, stage.activation
        hidden = stage.hidden or in_channels * stage.expansion
        layers: list[nn.Module] = []
        if stage.depthwise in ("before", "both"):
            first = stride if stage.depthwise == "before" else 1
            layers += conv_bn(in_channels, in_channels, kernel, stride=first, dilation=dilation, groups=in_channels)
        layers += conv_bn(in_channels, hidden, 1, act=act)
        if stage.depthwise in ("between", "both"):
            layers += conv_bn(hidden, hidden, kernel, stride=stride, dilation=dilation, groups=hidden, act=act)
        layers += within(stage.attention, hidden)
        layers += conv_bn(hidden, stage.channels, 1)
        self.body = nn.Sequential(*layers)
        self.same = stride == 1 and in_channels == stage.channels

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        out: Tensor = self.body(feature_BCHW)
        return out + feature_BCHW if self.same else out
