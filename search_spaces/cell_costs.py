"""The forms of every temporal cell that can be asked for, and what each costs. Knows nothing of networks or devices.

Legend: C channels, H/W feature pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from search_spaces.cells.registry import build_cell
from search_spaces.cells.specs import CellSpec
from search_spaces.network_spec import Placement
from search_spaces.temporal_questions import ask_cell
from search_spaces.trace import calls_of

T = TypeVar("T")

REFERENCE_CHANNELS = 64
REFERENCE_HW = (45, 60)
"""A feature at stride 8 of a frame of 360 x 480: what costs of cells are stated at."""


@dataclass(frozen=True, slots=True)
class CellCost:
    """What one step of a cell carries and computes; `state_bytes` in float32, `macs` of its convolutions."""

    states: int
    state_bytes: int
    parameters: int
    macs: int


def cell_cost(spec: CellSpec, channels: int = REFERENCE_CHANNELS, size_hw: tuple[int, int] = REFERENCE_HW) -> CellCost:
    """The cost of a cell on a feature of this shape, counted on the meta device."""
    with torch.device("meta"), torch.no_grad():
        cell = build_cell(spec, channels).eval()
        state = cell.initial_state(1, *size_hw)
        feature_BCHW = torch.empty(1, channels, *size_hw)
        calls = calls_of(lambda: cell.step(feature_BCHW, state))
    return CellCost(
        states=cell.num_states,
        state_bytes=sum(tensor.numel() * tensor.element_size() for tensor in state),
        parameters=sum(parameter.numel() for parameter in cell.parameters()),
        macs=sum(call.macs for call in calls),
    )


def forms_of(kind: str, place: Placement = "bottleneck") -> Iterator[CellSpec]:
    """The cell of a kind with every question's first option, then with every other option of one question.

    Not every combination: there are millions of graphs of the dynamic cell.
    """
    asked: dict[str, Sequence[object]] = {}

    def answered(answers: Mapping[str, object]) -> CellSpec:
        def choose(name: str, options: Sequence[T]) -> T:
            asked.setdefault(name, options)
            return next((option for option in options if option == answers.get(name)), options[0])

        return ask_cell(choose, kind, kind, place)

    found = [answered({})]
    for name, options in list(asked.items()):
        found += [answered({name: option}) for option in options[1:]]
    yield from dict.fromkeys(found)
