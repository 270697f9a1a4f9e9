"""Stems by kind: what a frame meets first. Knows nothing of the stages behind it.

Legend: N frames, C channels, H/W pixels.
"""

from collections.abc import Callable, Mapping

from torch import nn

from search_spaces.ops.dense import conv_bn
from search_spaces.stage_spec import StemSpec

RGB = 3


def conv_stem(spec: StemSpec) -> nn.Module:
    """A 3x3 convolution with stride 2 (as ENet's and MobileNet's first layer: arXiv:1704.04861)."""
    return conv_bn(RGB, spec.channels, 3, stride=2, act=spec.activation)


STEMS: Mapping[str, Callable[[StemSpec], nn.Module]] = {"conv": conv_stem}
"""kind -> stem; its output is ceil(size / stride) for the stride that the specification says."""
