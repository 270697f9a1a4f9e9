"""The hierarchical space `video_cells`: network, stages, convolutions, activations, temporal cell, training.

Knows nothing of searchers. Choices are shared by the layers of a stage, as in MnasNet (Tan et al. 2019,
arXiv:1807.11626). A question is asked only where its answer changes the network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from search_spaces.architecture import (
    Architecture,
    ConvSpec,
    DecoderSpec,
    Factorization,
    NetworkSpec,
    Placement,
    StageSpec,
    StemSpec,
    TemporalSite,
    TrainingSpec,
)
from search_spaces.cells.specs import (
    CellSpec,
    ConvGRUSpec,
    ExponentialAverageSpec,
    FeedbackSpec,
    FlowWarpedAverageSpec,
    MinGRUSpec,
    SimilarityGateSpec,
    TemporalShiftSpec,
)
from search_spaces.decisions import Choose

SCALES: tuple[Literal["1", "3/4", "1/2"], ...] = ("1", "3/4", "1/2")
ACTIVATIONS: tuple[Literal["relu", "hard_swish", "silu", "leaky_relu"], ...] = (
    "relu", "hard_swish", "silu", "leaky_relu",
)  # fmt: skip
BLOCKS: tuple[Literal["plain", "residual", "inverted_residual"], ...] = (
    "plain",
    "residual",
    "inverted_residual",
)
FACTORIZATIONS: tuple[Factorization, ...] = ("dense", "grouped", "depthwise_separable", "spatial_separable")
KERNELS: tuple[Literal[3, 5], ...] = (3, 5)
DILATIONS: tuple[Literal[1, 2, 4], ...] = (1, 2, 4)
DECODERS: tuple[Literal["bilinear", "skip_add"], ...] = ("bilinear", "skip_add")
CONTEXTS: tuple[Literal["none", "global_pool"], ...] = ("none", "global_pool")
FUSIONS: tuple[Literal["replace", "add"], ...] = ("replace", "add")
GATE_KERNELS: tuple[Literal[3, 1], ...] = (3, 1)
SHARES: tuple[Literal["1", "1/2", "1/4"], ...] = ("1", "1/2", "1/4")
FOLDS: tuple[Literal[8, 4], ...] = (8, 4)
SKIP_STRIDES: tuple[Literal[4, 8], ...] = (4, 8)
GATE_FACTORIZATIONS: tuple[Literal["dense", "depthwise_separable"], ...] = ("dense", "depthwise_separable")
STAGE_WIDTHS = ((16, 24, 32), (24, 32, 48), (32, 48, 64, 96), (48, 64, 96, 128))
PASSING: Mapping[str, CellSpec] = {
    "exponential_average": ExponentialAverageSpec(),
    "flow_warped_average": FlowWarpedAverageSpec(),
    "similarity_gate": SimilarityGateSpec(),
    "feedback": FeedbackSpec(),
}
"""Cells that pass the scale of a feature on, so that they may stand on class scores as well."""
TEMPORAL_KINDS = ("none", *PASSING, "temporal_shift", "min_gru", "conv_gru")
TEMPORAL_WEIGHTS = (0.0, 1.0, 5.0)
"""Weight of the temporal consistency loss; without it gated cells learn to ignore their state."""


@dataclass(frozen=True, slots=True)
class VideoCells:
    """The full space. Every level is alive; what a question offers depends on the answers before it."""

    def decode(self, choose: Choose) -> Architecture:
        """Ask level by level: network, stem, stages, decoder, temporal cell, training."""
        scale = choose("network.input_scale", SCALES)
        output_stride = choose("network.output_stride", (8, 16))
        num_stages = choose("network.num_stages", (3, 4))
        stem = StemSpec(choose("stem.channels", (8, 16, 24)), choose("stem.activation", ACTIVATIONS))
        stages = []
        stride = 2
        for index in range(num_stages):
            step: Literal[1, 2] = 2 if stride < output_stride else 1
            stride *= step
            stages.append(_stage(choose, index, step))
        network = NetworkSpec(
            stem=stem,
            stages=_joined(stages),
            input_scale=scale,
            context=choose("network.context", CONTEXTS),
            decoder=_decoder(choose, output_stride),
            temporal=_temporal(choose),
        )
        return Architecture(network, TrainingSpec(choose("training.temporal_weight", TEMPORAL_WEIGHTS)))


def _stage(choose: Choose, index: int, stride: Literal[1, 2]) -> StageSpec:
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


def _joined(stages: Sequence[StageSpec]) -> tuple[StageSpec, ...]:
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


def _decoder(choose: Choose, output_stride: int) -> DecoderSpec:
    kind = choose("decoder.kind", DECODERS)
    skip_stride: Literal[2, 4, 8] = 4
    if kind == "skip_add" and output_stride == 16:
        skip_stride = choose("decoder.skip_stride", SKIP_STRIDES)
    channels = choose("decoder.channels", (16, 32, 48))
    return DecoderSpec(kind, channels, skip_stride, choose("decoder.activation", ACTIVATIONS))


def _temporal(choose: Choose) -> tuple[TemporalSite, ...]:
    kind = choose("temporal.kind", TEMPORAL_KINDS)
    if kind == "none":
        return ()
    places: tuple[Placement, ...] = ("bottleneck", "decoder")
    if kind in PASSING:
        # A gated cell's tanh would bound class scores.
        return (TemporalSite(choose("temporal.placement", (*places, "logits")), PASSING[kind]),)
    placement = choose("temporal.placement", places)
    if kind == "temporal_shift":
        return (TemporalSite(placement, TemporalShiftSpec(choose("temporal.fold", FOLDS))),)
    fusion = choose("temporal.fusion", FUSIONS)
    cell = MinGRUSpec() if kind == "min_gru" else _conv_gru(choose)
    return (TemporalSite(placement, cell, fusion),)


def _conv_gru(choose: Choose) -> CellSpec:
    kernel = choose("temporal.kernel", GATE_KERNELS)
    # A 1x1 kernel has one form only, so nothing is asked.
    factorization: Literal["dense", "depthwise_separable"] = "dense"
    if kernel == 3:
        factorization = choose("temporal.factorization", GATE_FACTORIZATIONS)
    return ConvGRUSpec(kernel, factorization, choose("temporal.state_share", SHARES))
