"""What every operation and cell was measured to cost at one shape, for people to read. Knows nothing of searches.

The rows lie beside this file as JSON lines: a header (what was measured, where, how), then a part a line. They were
written by the command that the header names; what a search steers by is measured on the target.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.door import STRICT, dump_json, parse_json

FILE = "reference_costs.jsonl"
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class CostHeader:
    """Where and how the costs were measured; `dense_ms` is the cost of the dense 3x3 that ratios are to."""

    __pydantic_config__: ClassVar = STRICT
    generator: str
    protocol: str
    processor: str
    versions: Mapping[str, str]
    channels: int
    height: int
    width: int
    dense_ms: Mapping[str, Positive]
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class PartCost:
    """One part: latency by runtime in milliseconds, as a ratio to the dense 3x3, and the half-width of the ratio.

    A runtime that a part could not be measured on is absent, and `note` says why.
    """

    __pydantic_config__: ClassVar = STRICT
    group: str
    name: str
    variant: str
    macs: int
    parameters: int
    state_bytes: int
    latency_ms: Mapping[str, float]
    ratio: Mapping[str, float]
    ratio_halfwidth: Mapping[str, float]
    contended: bool
    note: str = ""


def to_lines(header: CostHeader, parts: list[PartCost]) -> str:
    """The file's text."""
    return "".join(dump_json(row) + "\n" for row in (header, *parts))


@lru_cache(maxsize=1)
def reference_costs() -> tuple[CostHeader, Mapping[tuple[str, str, str], PartCost]]:
    """The header, and the parts by (group, name, variant)."""
    first, *rest = files("latency_tables").joinpath(FILE).read_text(encoding="utf-8").splitlines()
    parts = (parse_json(PartCost, line, FILE) for line in rest)
    return parse_json(CostHeader, first, FILE), {(part.group, part.name, part.variant): part for part in parts}


def costs_of(group: str, name: str) -> list[PartCost]:
    """Every measured variant of a part, the usual one first; empty where it has not been measured."""
    return [part for (of, called, _), part in reference_costs()[1].items() if (of, called) == (group, name)]
