"""A stage of a network: equal blocks, the first of which has the stride, and attention at its end.

Knows nothing of what stands around it.
"""

from torch import nn

from search_spaces.ops.attention import attention
from search_spaces.ops.blocks import BLOCKS
from search_spaces.stage_spec import StageSpec


def build_stage(stage: StageSpec, in_channels: int) -> nn.Sequential:
    """`depth` blocks from `in_channels` to the stage's channels."""
    make = BLOCKS[stage.block]
    first = make(stage, in_channels, stage.stride)
    rest = (make(stage, stage.channels, 1) for _ in range(stage.depth - 1))
    return nn.Sequential(first, *rest, *attention(stage.attention, stage.channels))
