"""What a stage of `video_cells` is asked. Knows nothing of the network around it.

Choices are shared by the layers of a stage, as in MnasNet (Tan et al. 2019, arXiv:1807.11626).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from search_spaces.architecture import Activation, Attention, Block, ConvSpec, Factorization, StageSpec
from search_spaces.decisions import Choose
from search_spaces.stage_spec import EXPANDING, OWN_CONV, WITHIN_BLOCKS, Depthwise

ACTIVATIONS: tuple[Activation, ...] = (
    "relu", "hard_swish", "silu", "leaky_relu", "relu6", "gelu", "gelu_tanh", "elu", "prelu", "low_cost_swish", "mish",
)  # fmt: skip
"""The common ones first; the first four are where they were before there were more."""
ATTENTIONS: tuple[Attention, ...] = (
    "none", "squeeze_excitation", "spatial", "axial", "expanded_squeeze_excitation",
)  # fmt: skip
BLOCKS: tuple[Block, ...] = (
    "plain", "residual", "inverted_residual", "universal_inverted_bottleneck", "shufflenet_v1", "shufflenet_v2",
    "inception", "dense_connection",
)  # fmt: skip
FACTORIZATIONS: tuple[Factorization, ...] = (
    "dense", "grouped", "depthwise_separable", "spatial_separable", "depthwise_spatial", "low_rank", "partial", "shift",
    "mixed_dilation", "reparameterized", "separable_linear",
)  # fmt: skip
KERNELS: tuple[Literal[3, 5], ...] = (3, 5)
DILATIONS: tuple[Literal[1, 2, 4], ...] = (1, 2, 4)
STAGE_WIDTHS = ((16, 32, 48), (16, 32, 48), (32, 48, 64, 96), (48, 64, 96, 128))
"""Multiples of 16: on a CPU with 512 bit registers 24 channels cost what 32 do (experiments/signal.md, question 4)."""


def ask_stage(choose: Choose, index: int, stride: Literal[1, 2]) -> StageSpec:
    """The questions of stage `index`, whose first block has `stride`."""
    name = f"stage{index}"
    block = choose(f"{name}.block", BLOCKS)
    expansion = choose(f"{name}.expansion", (2, 4)) if block in EXPANDING else 1
    depthwise: Depthwise = "between"
    if block == "universal_inverted_bottleneck":
        # Without a depthwise convolution nothing could take the stride.
        forms: tuple[Depthwise, ...] = ("before", "both") if stride == 2 else ("before", "both", "none")
        depthwise = choose(f"{name}.depthwise", forms)
    return StageSpec(
        block=block,
        conv=ConvSpec("depthwise_separable") if depthwise == "none" else _ask_conv(choose, name, block, stride),
        depth=choose(f"{name}.depth", (1, 2, 3)),
        channels=choose(f"{name}.channels", STAGE_WIDTHS[index]),
        stride=stride,
        expansion=expansion,
        activation=choose(f"{name}.activation", ACTIVATIONS),
        attention=choose(f"{name}.attention", _attentions(block)),
        depthwise=depthwise,
    )


def _ask_conv(choose: Choose, name: str, block: Block, stride: Literal[1, 2]) -> ConvSpec:
    own = OWN_CONV.get(block)
    factorization = choose(f"{name}.factorization", FACTORIZATIONS) if own is None else own
    kernel = 3 if block == "inception" else choose(f"{name}.kernel", KERNELS)
    # Dilation widens the view where resolution is no longer lowered; before that it only skips pixels.
    dilated = stride == 1 and factorization != "mixed_dilation"
    return ConvSpec(factorization, kernel, choose(f"{name}.dilation", DILATIONS) if dilated else 1)


def _attentions(block: Block) -> tuple[Attention, ...]:
    """Those that stand at a stage's end, and those within the blocks that have room for them."""
    return tuple(name for name in ATTENTIONS if name not in WITHIN_BLOCKS or block in EXPANDING)


def joined(stages: Sequence[StageSpec]) -> tuple[StageSpec, ...]:
    """A stage that goes on with the blocks of the one before it is more depth of that one.

    Otherwise 2 + 1 blocks, 1 + 2 and a single stage of 3 would be one network with three keys. Only stages at
    the output stride can be joined, so no feature that a decoder skips to is lost. Attention stands at a stage's
    end: a stage that has it is not gone on with, and one that has none takes that of the stage that goes on. What
    stands within the blocks has to be the same in both.
    """
    joined: list[StageSpec] = []
    for stage in stages:
        before = joined[-1] if joined else None
        if before and _goes_on(before, stage):
            joined[-1] = replace(before, depth=before.depth + stage.depth, attention=stage.attention)
        else:
            joined.append(stage)
    return tuple(joined)


def _goes_on(before: StageSpec, stage: StageSpec) -> bool:
    """Whether the second stage is more of the first one's blocks."""
    if {before.attention, stage.attention} & set(WITHIN_BLOCKS):
        fits = before.attention == stage.attention
    else:
        fits = before.attention == "none"
    return fits and stage == replace(before, stride=1, depth=stage.depth, attention=stage.attention)
