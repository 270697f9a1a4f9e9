"""Depthwise-separable and spatially separable convolutions with batch norm. Knows nothing of blocks."""

from torch import nn

from search_spaces.activations import activation
from search_spaces.ops.dense import conv_bn


def depthwise_separable(
    in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
) -> nn.Module:
    """Depthwise k x k, then 1 x 1 (Howard et al. 2017, arXiv:1704.04861), an activation after both."""
    depthwise = conv_bn(in_channels, in_channels, kernel, stride=stride, dilation=dilation, groups=in_channels, act=act)
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
