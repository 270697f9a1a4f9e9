"""Convolution factorizations by name. Knows nothing of blocks; tests run over everything listed here."""

from collections.abc import Callable, Mapping

from torch import nn

from search_spaces.ops.dense import dense, grouped, pointwise
from search_spaces.ops.mixed_dilation import MixedDilation
from search_spaces.ops.partial import Partial
from search_spaces.ops.reparameterized import Reparameterized
from search_spaces.ops.separable import (
    depthwise_separable,
    depthwise_spatial,
    low_rank,
    separable_linear,
    spatial_separable,
)
from search_spaces.ops.shift import Shift

ConvFactory = Callable[[int, int, int, int, int, str | None], nn.Module]
"""(in channels, out channels, kernel, stride, dilation, activation) -> module."""

CONVS: Mapping[str, ConvFactory] = {
    "dense": dense,
    "grouped": grouped,
    "depthwise_separable": depthwise_separable,
    "spatial_separable": spatial_separable,
    "depthwise_spatial": depthwise_spatial,
    "low_rank": low_rank,
    "partial": Partial,
    "shift": Shift,
    "mixed_dilation": MixedDilation,
    "reparameterized": Reparameterized,
    "separable_linear": separable_linear,
    "pointwise": pointwise,
}
