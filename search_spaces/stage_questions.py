"""What a stage of `video_cells` is asked. Knows nothing of the network around it.

Choices are shared by the layers of a stage, as in MnasNet (Tan et al. 2019, arXiv:1807.11626).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from search_spaces.architecture import Activation, ConvSpec, Factorization, StageSpec
from search_spaces.decisions import Choose

ACTIVATIONS: tuple[Activation, ...] = ("relu", "hard_swish", "silu", "leaky_relu")
BLOCKS: tuple[Literal["plain", "residual", "inverted_residual"], ...] = (
    "plain",
    "residual",
    "inverted_residual",
)
FACTORIZATIONS: tuple[Factorization, ...] = ("dense", "grouped", "depthwise_separable", "spatial_separable")
KERNELS: tuple[Literal[3, 5], ...] = (3, 5)
DILATIONS: tuple[Literal[1, 2, 4], ...] = (1, 2, 4)
STAGE_WIDTHS = ((16, 32, 48), (16, 32, 48), (32, 48, 64, 96), (48, 64, 96, 128))
"""Multiples of 16: on a CPU with 512 bit registers 24 channels cost what 32 do (experiments/signal.md, question 4)."""


def ask_stage(choose: Choose, index: int, stride: Literal[1, 2]) -> StageSpec:
    """The questions of stage `index`, whose first block has `stride`."""
    name = f"stage{index}"
    block = choose(f"{name}.block", BLOCKS)
    factorization: Factorization = "depthwise_separable"
    expansion = 1
    if block == "inverted_residual":
        expansion = choose(f"{name}.expansion", (2, 4))
    else:
        factorization = choose(f"{name}.factorization", FACTORIZATIONS)
    kernel = choose(f"{name}.kernel", KERNELS)
    # Dilation widens the view where resolution is no longer lowered; before that it only skips pixels.
    dilation: Literal[1, 2, 4] = choose(f"{name}.dilation", DILATIONS) if stride == 1 else 1
    return StageSpec(
        block=block,
        depth=choose(f"{name}.depth", (1, 2, 3)),
        channels=choose(f"{name}.channels", STAGE_WIDTHS[index]),
        stride=stride,
        conv=ConvSpec(factorization, kernel, dilation),
        expansion=expansion,
        activation=choose(f"{name}.activation", ACTIVATIONS),
    )


def joined(stages: Sequence[StageSpec]) -> tuple[StageSpec, ...]:
    """A stage that goes on with the blocks of the one before it is more depth of that one.

    Otherwise 2 + 1 blocks, 1 + 2 and a single stage of 3 would be one network with three keys. Only stages at
    the output stride can be joined, so no feature that a decoder skips to is lost.
    """
    joined: list[StageSpec] = []
    for stage in stages:
        if joined and stage == replace(joined[-1], stride=1, depth=stage.depth):
            joined[-1] = replace(joined[-1], depth=joined[-1].depth + stage.depth)
        else:
            joined.append(stage)
    return tuple(joined)
