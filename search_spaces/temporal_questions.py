"""What is asked of temporal cells: how many, which, where, on how much, how joined. Knows nothing of modules."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from search_spaces.cells.attention_specs import (
    AdaptiveKernelsSpec,
    AttentionPropagationSpec,
    LocalCorrelationSpec,
    MemoryAttentionSpec,
    TemporalAttentionSpec,
)
from search_spaces.cells.specs import (
    CellSpec,
    ConvGRUSpec,
    ConvLSTMSpec,
    DiagonalStateSpaceSpec,
    ExponentialAverageSpec,
    FeedbackSpec,
    FlowGatedWarpSpec,
    FlowWarpedAverageSpec,
    MinGRUSpec,
    SimilarityGateSpec,
    StackedConvGRUSpec,
    StreamedConvSpec,
    TemporalShiftSpec,
)
from search_spaces.decisions import Choose
from search_spaces.dynamic_questions import ask_dynamic_cell
from search_spaces.network_spec import Fusion, Placement, Share, TemporalSite

AskCell = Callable[[Choose, str], CellSpec]
"""(choose, prefix of the questions) -> cell."""

FUSIONS: tuple[Fusion, ...] = ("replace", "add", "concat", "gate")
SHARES: tuple[Share, ...] = ("1", "1/2", "1/4")
FOLDS: tuple[Literal[8, 4], ...] = (8, 4)
GATE_KERNELS: tuple[Literal[3, 1], ...] = (3, 1)
GATES: tuple[Literal["sigmoid", "hard_sigmoid"], ...] = ("sigmoid", "hard_sigmoid")
MEMORY_FRAMES: tuple[Literal[2, 3], ...] = (2, 3)
POOLS: tuple[Literal[4, 3], ...] = (4, 3)
KEY_CHANNELS: tuple[Literal[16, 32, 64], ...] = (16, 32, 64)
WINDOWS: tuple[Literal[3, 5], ...] = (3, 5)
GATE_FACTORIZATIONS: tuple[Literal["dense", "depthwise_separable"], ...] = ("dense", "depthwise_separable")
STREAMED_FORMS: tuple[Literal["full", "r2plus1d", "channel_separated", "perpendicular", "orthogonal"], ...] = (
    "full", "r2plus1d", "channel_separated", "perpendicular", "orthogonal",
)  # fmt: skip
STREAMED_FRAMES: tuple[Literal[2, 3], ...] = (2, 3)
STATES: tuple[Literal[1, 2], ...] = (1, 2)
CONFIDENCES: tuple[Literal["channel", "photometric"], ...] = ("channel", "photometric")

PASSING = (
    "exponential_average", "flow_warped_average", "similarity_gate", "feedback", "flow_gated_warp",
    "diagonal_state_space", "streamed_conv", "adaptive_kernels", "local_correlation", "dynamic_cell",
)  # fmt: skip
"""Cells that pass the scale of a feature on, so that they may stand on class scores; tanh would bound those."""

DEEP = ("memory_attention",)
"""Cells whose cost grows with the square of the pixels, so that they stand at the bottleneck alone."""


def _gates(choose: Choose, name: str) -> tuple[Literal[1, 3], Literal["dense", "depthwise_separable"]]:
    kernel = choose(f"{name}.kernel", GATE_KERNELS)
    # A 1x1 kernel has one form only, so nothing is asked.
    factorization: Literal["dense", "depthwise_separable"] = "dense"
    if kernel == 3:
        factorization = choose(f"{name}.factorization", GATE_FACTORIZATIONS)
    return kernel, factorization


def _attention_propagation(choose: Choose, name: str) -> CellSpec:
    return AttentionPropagationSpec(
        choose(f"{name}.frames", MEMORY_FRAMES), choose(f"{name}.pool", POOLS), choose(f"{name}.keys", KEY_CHANNELS)
    )


CELL_QUESTIONS: Mapping[str, AskCell] = {
    "exponential_average": lambda choose, name: ExponentialAverageSpec(),
    "flow_warped_average": lambda choose, name: FlowWarpedAverageSpec(),
    "similarity_gate": lambda choose, name: SimilarityGateSpec(),
    "feedback": lambda choose, name: FeedbackSpec(),
    "temporal_shift": lambda choose, name: TemporalShiftSpec(choose(f"{name}.fold", FOLDS)),
    "min_gru": lambda choose, name: MinGRUSpec(),
    "conv_gru": lambda choose, name: ConvGRUSpec(*_gates(choose, name), gate=choose(f"{name}.gate", GATES)),
    "stacked_conv_gru": lambda choose, name: StackedConvGRUSpec(*_gates(choose, name)),
    "conv_lstm": lambda choose, name: ConvLSTMSpec(*_gates(choose, name)),
    "diagonal_state_space": lambda choose, name: DiagonalStateSpaceSpec(choose(f"{name}.states", STATES)),
    "streamed_conv": lambda choose, name: StreamedConvSpec(
        choose(f"{name}.form", STREAMED_FORMS), choose(f"{name}.frames", STREAMED_FRAMES)
    ),
    "flow_gated_warp": lambda choose, name: FlowGatedWarpSpec(choose(f"{name}.confidence", CONFIDENCES)),
    "adaptive_kernels": lambda choose, name: AdaptiveKernelsSpec(),
    "local_correlation": lambda choose, name: LocalCorrelationSpec(choose(f"{name}.window", WINDOWS)),
    "attention_propagation": _attention_propagation,
    "memory_attention": lambda choose, name: MemoryAttentionSpec(),
    "temporal_attention": lambda choose, name: TemporalAttentionSpec(choose(f"{name}.frames", MEMORY_FRAMES)),
    "dynamic_cell": ask_dynamic_cell,
}
SCORE_QUESTIONS: Mapping[str, AskCell] = {"dynamic_cell": partial(ask_dynamic_cell, on_scores=True)}
"""What is asked otherwise of a cell that stands on the class scores."""

MAX_SITES = 2


def ask_temporal(choose: Choose, placements: tuple[Placement, ...]) -> tuple[TemporalSite, ...]:
    """Up to MAX_SITES cells at `placements`, which are in the order a frame meets them."""
    num_sites = choose("temporal.sites", tuple(range(MAX_SITES + 1)))
    sites = []
    for index in range(num_sites):
        # Every later cell stands behind this one: one set of cells has one spelling.
        last = len(placements) - (num_sites - 1 - index)
        place = choose(f"temporal{index}.placement", placements[:last])
        placements = placements[placements.index(place) + 1 :]
        sites.append(_ask_site(choose, f"temporal{index}", place))
    return tuple(sites)


def kinds_at(place: Placement) -> tuple[str, ...]:
    """The kinds of cells that may be chosen at a placement."""
    if place == "logits":
        return PASSING
    return tuple(kind for kind in CELL_QUESTIONS if place == "bottleneck" or kind not in DEEP)


def ask_cell(choose: Choose, name: str, kind: str, place: Placement) -> CellSpec:
    """Ask for a cell of a kind, as it stands at a placement."""
    questions = {**CELL_QUESTIONS, **SCORE_QUESTIONS} if place == "logits" else CELL_QUESTIONS
    cell = questions[kind](choose, name)
    # What feedback carries follows from where it stands, so it is no question.
    return FeedbackSpec("softmax") if isinstance(cell, FeedbackSpec) and place == "logits" else cell


def _ask_site(choose: Choose, name: str, place: Placement) -> TemporalSite:
    on_scores = place == "logits"
    kind = choose(f"{name}.kind", kinds_at(place))
    cell = ask_cell(choose, name, kind, place)
    fusion = choose(f"{name}.fusion", FUSIONS)
    # Some classes remembered and others not would make their scores incomparable.
    share: Share = "1" if on_scores else choose(f"{name}.share", SHARES)
    return TemporalSite(place, cell, fusion, share)
