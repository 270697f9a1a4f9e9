"""Convolutions in separate steps over space, depth or rank, with batch norm. Knows nothing of blocks."""

from torch import nn

from search_spaces.activations import activation
from search_spaces.ops.dense import conv_bn


def depthwise_separable(
    in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
) -> nn.Module:
    """Depthwise k x k, then 1 x 1 (Howard et al. 2017, arXiv:1704.04861), an activation after both."""
    depthwise = conv_bn(in_channels, in_channels, kernel, stride=stride, dilation=dilation, groups=in_channels, act=act)
    return nn.Sequential(*depthwise, *conv_bn(in_channels, out_channels, 1, act=act))


def separable_linear(
    in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
) -> nn.Module:
    """Depthwise k x k, then 1 x 1, an activation after the latter alone (Chollet 2017, Xception, arXiv:1610.02357,
    section 4.7: without one between them they learn faster). The "DSConv" of Fast-SCNN and ContextNet.
    """
    depthwise = conv_bn(in_channels, in_channels, kernel, stride=stride, dilation=dilation, groups=in_channels)
    return nn.Sequential(*depthwise, *conv_bn(in_channels, out_channels, 1, act=act))


def spatial_separable(
    in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
) -> nn.Module:
    """k x 1, then 1 x k (Romera et al. 2018, ERFNet, doi:10.1109/TITS.2017.2750080).

    The activation between them is ReLU where the outer one is left to the block.
    """
    vertical = conv_bn(in_channels, out_channels, (kernel, 1), stride=(stride, 1), dilation=dilation, act=None)
    horizontal = conv_bn(out_channels, out_channels, (1, kernel), stride=(1, stride), dilation=dilation, act=act)
    return nn.Sequential(*vertical, *activation(act or "relu", out_channels), *horizontal)


def depthwise_spatial(
    in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
) -> nn.Module:
    """Depthwise 1 x k, depthwise k x 1, then 1 x 1 (Freeman et al. 2018, EffNet, arXiv:1801.06434).

    Unlike there, the 1 x 1 comes last alone, and stride takes the place of pooling.
    """
    horizontal = conv_bn(
        in_channels, in_channels, (1, kernel), stride=(1, stride), dilation=dilation, groups=in_channels
    )
    vertical = conv_bn(
        in_channels, in_channels, (kernel, 1), stride=(stride, 1), dilation=dilation, groups=in_channels, act=act
    )
    return nn.Sequential(*horizontal, *vertical, *conv_bn(in_channels, out_channels, 1, act=act))


def low_rank(
    in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
) -> nn.Module:
    """1 x 1 to a quarter of the channels, k x k, 1 x 1 (He et al. 2016, arXiv:1512.03385, bottleneck).

    The activations within are ReLU where the outer one is left to the block.
    """
    hidden = max(1, out_channels // 4)
    within = act or "relu"
    return nn.Sequential(
        *conv_bn(in_channels, hidden, 1, act=within),
        *conv_bn(hidden, hidden, kernel, stride=stride, dilation=dilation, act=within),
        *conv_bn(hidden, out_channels, 1, act=act),
    )
