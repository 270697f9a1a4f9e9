"""Points of a conditional space as rows of numbers that a model can compare. Knows nothing of models or objectives.

A decision counts by the value of its answer and not by its place among the options, which may differ from point to
point; a decision that is not asked has a value of its own (compare the kernels for hierarchical spaces of Hutter
and Osborne 2013, arXiv:1310.5738). Two points differ in a decision or they do not: the weighted Hamming distance of
Hutter et al. 2011, doi:10.1007/978-3-642-25566-3_40, here with a weight for each option too: "none" may be farther
from two convolutions than they are from each other.

Legend: N points, C columns, G groups of columns that share a relevance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from nas.searchers.gaussian_process import Columns
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decoded, Genotype, SearchSpace

T = TypeVar("T")

DIFFERENCE = 2.0
"""Squared distance of two average points, as the prior has it: their values are correlated by exp(-2) = 0.14."""

NOT_ASKED = ""
"""The answer to a question that was not asked: no value is written so."""

NUMBER_RELEVANCE = 0.1
"""Of a traced number of unit variance, in the prior."""


@dataclass(frozen=True)
class Point:
    """A point of the space: how to propose it, its answers as `Vocabulary.codes`, what is known without a trial."""

    genotype: Genotype
    architecture: Architecture
    key: str
    codes: tuple[int, ...]
    numbers: tuple[float, ...] = ()
    cost: float | None = None


class Vocabulary:
    """The decisions met so far and the values of their answers, each with a number."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, int]] = {}

    def codes(self, answers: Mapping[str, str]) -> tuple[int, ...]:
        """The number of each decision's answer, in the order that decisions were met; 0 where it was not asked."""
        for name, value in answers.items():
            values = self._values.setdefault(name, {NOT_ASKED: 0})
            values.setdefault(value, len(values))
        return tuple(values[answers.get(name, NOT_ASKED)] for name, values in self._values.items())

    def point(self, space: SearchSpace, decoded: Decoded) -> Point:
        """A decoded point, with its answers by value."""
        architecture = decoded.architecture
        return Point(decoded.genotype, architecture, architecture.key, self.codes(answers_of(space, decoded.genotype)))


def answers_of(space: SearchSpace, genotype: Genotype) -> Mapping[str, str]:
    """The answers by value, as they are written. Raises KeyError or IndexError for a genotype of another space."""
    answers: dict[str, str] = {}

    def choose(name: str, options: Sequence[T]) -> T:
        answer = options[genotype[name]]
        answers[name] = repr(answer)
        return answer

    space.decode(choose)
    return answers


def encode(points: Sequence[Point], extra: Sequence[Sequence[float]] = ()) -> tuple[Columns, Tensor]:
    """(columns, x_NC) of all points that are to be compared; `extra` are further numbers, one sequence a column.

    Decisions and numbers in which no two points differ have no column.
    """
    blocks: list[Tensor] = []
    groups: list[_Group] = []
    num_decisions = max(len(point.codes) for point in points)
    # A decision that was first met after a point was described was not asked there.
    padded = [point.codes + (0,) * (num_decisions - len(point.codes)) for point in points]
    differing: list[float] = []
    for place, code_N in enumerate(torch.tensor(padded).reshape(len(points), -1).T):
        counts = torch.bincount(code_N)
        present_K = counts.nonzero()[:, 0]
        if len(present_K) > 1:
            blocks.append((code_N[:, None] == present_K[None, :]).double())
            # Two columns differ where two answers do.
            groups.append(_Group(f"decision {place}", [f"decision {place} is {k}" for k in present_K.tolist()], 0.5))
            differing.append(1.0 - float((counts / len(points)).double().square().sum()))
    prior = [math.log(DIFFERENCE / math.fsum(differing)) for _ in groups]
    numbers = list(zip(*(point.numbers for point in points), strict=True))
    for place, column in enumerate([*numbers, *extra]):
        value_N = torch.tensor(list(column), dtype=torch.float64)
        spread = float(value_N.std(correction=0))
        if spread > 1e-9 * (1.0 + float(value_N.abs().max())):
            blocks.append(((value_N - value_N.mean()) / spread)[:, None])
            groups.append(_Group(f"number {place}", [f"number {place} is"], 1.0))
            prior.append(math.log(NUMBER_RELEVANCE))
    if not blocks:  # points that nothing tells apart
        blocks, groups, prior = [torch.zeros(len(points), 1).double()], [_Group("none", ["none is"], 1.0)], [0.0]
    return _columns(groups, prior), torch.cat(blocks, 1)


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    columns: Sequence[str]
    weight: float


def _columns(groups: Sequence[_Group], prior: Sequence[float]) -> Columns:
    return Columns(
        tuple(group.name for group in groups),
        torch.tensor(prior, dtype=torch.float64),
        [name for group in groups for name in group.columns],
        torch.tensor([place for place, group in enumerate(groups) for _ in group.columns]),
        torch.tensor([group.weight for group in groups for _ in group.columns], dtype=torch.float64),
    )
