"""Convolution factorizations by name. Knows nothing of blocks; tests run over everything listed here."""

from collections.abc import Callable, Mapping

from torch import nn

from search_spaces.ops.dense import dense, grouped
from search_spaces.ops.separable import depthwise_separable, spatial_separable

ConvFactory = Callable[[int, int, int, int, int, str | None], nn.Module]
"""(in channels, out channels, kernel, stride, dilation, activation) -> module."""

CONVS: Mapping[str, ConvFactory] = {
    "dense": dense,
    "grouped": grouped,
    "depthwise_separable": depthwise_separable,
    "spatial_separable": spatial_separable,
}
