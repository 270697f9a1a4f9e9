"""What is asked of temporal cells: how many, which, where, on how much, how joined. Knows nothing of modules."""

from collections.abc import Callable, Mapping
from typing import Literal

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
from search_spaces.network_spec import Fusion, Placement, Share, TemporalSite

AskCell = Callable[[Choose, str], CellSpec]
"""(choose, prefix of the questions) -> cell."""

FUSIONS: tuple[Fusion, ...] = ("replace", "add", "concat", "gate")
SHARES: tuple[Share, ...] = ("1", "1/2", "1/4")
FOLDS: tuple[Literal[8, 4], ...] = (8, 4)
GATE_KERNELS: tuple[Literal[3, 1], ...] = (3, 1)
GATES: tuple[Literal["sigmoid", "hard_sigmoid"], ...] = ("sigmoid", "hard_sigmoid")
GATE_FACTORIZATIONS: tuple[Literal["dense", "depthwise_separable"], ...] = ("dense", "depthwise_separable")

PASSING = ("exponential_average", "flow_warped_average", "similarity_gate", "feedback")
"""Cells that pass the scale of a feature on, so that they may stand on class scores; tanh would bound those."""


def _conv_gru(choose: Choose, name: str) -> CellSpec:
    kernel = choose(f"{name}.kernel", GATE_KERNELS)
    # A 1x1 kernel has one form only, so nothing is asked.
    factorization: Literal["dense", "depthwise_separable"] = "dense"
    if kernel == 3:
        factorization = choose(f"{name}.factorization", GATE_FACTORIZATIONS)
    return ConvGRUSpec(kernel, factorization, choose(f"{name}.gate", GATES))


CELL_QUESTIONS: Mapping[str, AskCell] = {
    "exponential_average": lambda choose, name: ExponentialAverageSpec(),
    "flow_warped_average": lambda choose, name: FlowWarpedAverageSpec(),
    "similarity_gate": lambda choose, name: SimilarityGateSpec(),
    "feedback": lambda choose, name: FeedbackSpec(),
    "temporal_shift": lambda choose, name: TemporalShiftSpec(choose(f"{name}.fold", FOLDS)),
    "min_gru": lambda choose, name: MinGRUSpec(),
    "conv_gru": _conv_gru,
}
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


def _ask_site(choose: Choose, name: str, place: Placement) -> TemporalSite:
    on_scores = place == "logits"
    kind = choose(f"{name}.kind", PASSING if on_scores else tuple(CELL_QUESTIONS))
    cell = CELL_QUESTIONS[kind](choose, name)
    fusion = choose(f"{name}.fusion", FUSIONS)
    # Some classes remembered and others not would make their scores incomparable.
    share: Share = "1" if on_scores else choose(f"{name}.share", SHARES)
    return TemporalSite(place, cell, fusion, share)
