"""A stage of a network: equal blocks, the first of which has the stride, and attention at its end.

Knows nothing of what stands around it.
"""

from torch import nn

from search_spaces.ops.attention import attention
from search_spaces.ops.blocks import BLOCKS, Residual
from search_spaces.ops.bottleneck import Bottleneck
from search_spaces.stage_spec import WITHIN_BLOCKS, StageSpec


def build_stage(stage: StageSpec, in_channels: int, *, open_ended: bool = False) -> nn.Sequential:
    """`depth` blocks from `in_channels` to the stage's channels.

    `open_ended`: without the last block's activation, for who applies it behind what joins the feature there. Blocks
    that end linearly anyway stay as they are.
    """
    make = BLOCKS[stage.block]
    blocks = [make(stage, in_channels, stage.stride)]
    blocks += [make(stage, stage.channels, 1) for _ in range(stage.depth - 1)]
    last = blocks[-1]
    if open_ended and isinstance(last, Residual | Bottleneck):
        last.act = nn.Sequential()
    at_end = [] if stage.attention in WITHIN_BLOCKS else attention(stage.attention, stage.channels)
    return nn.Sequential(*blocks, *at_end)
