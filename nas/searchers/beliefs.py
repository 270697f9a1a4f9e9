"""What is believed of points that have not been tried, from those that have. Knows nothing of choosing among them.

One Gaussian process an objective, on the ranks of its gains; an objective that is known without a trial is taken as
it is. Trials that failed or broke a constraint have no gains; a process on success and failure gives every point its
chance (least-squares classification, Rasmussen and Williams 2006, https://gaussianprocess.org/gpml, section 6.5).
Trainings of different length are told apart by the logarithm of their epochs, and points judged at the longest.

Legend: N observations, K points under way, M points asked about, C columns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.searchers.encoding import Point, encode
from nas.searchers.gaussian_process import Columns, Parameters, Posterior, learn, normal_scores, posterior

LEARN_AGAIN = 1.2
"""Parameters are learnt again when there are so many times more observations than the last time."""


@dataclass(frozen=True)
class Observation:
    """A trial told: `losses` None where it failed or broke a constraint; `epochs` 0 where not stated."""

    point: Point
    losses: tuple[float, ...] | None
    epochs: int = 0


@dataclass(frozen=True)
class Belief:
    """Gains (to be made large) of each objective, at what is known and at the points asked about.

    Known are the complete observations and, believed to come out at their mean, the points under way.
    """

    observed: tuple[Posterior, ...]
    asked: tuple[Posterior, ...]
    alive_M: Tensor
    """Chance of each point asked about to become a complete trial."""


@dataclass(frozen=True)
class _Rows:
    """All points in one encoding: those tried as they were trained, and all as they would be at the longest."""

    columns: Columns
    tried_NC: Tensor
    again_NC: Tensor
    pending_KC: Tensor
    asked_MC: Tensor


class Beliefs:
    """`known` is the place of the objective that `Point.cost` gives; parameters go on from one call to the next."""

    def __init__(self, num_objectives: int, known: int | None) -> None:
        self._num_objectives, self._known = num_objectives, known
        self._parameters: dict[str, Parameters] = {}
        self._learnt_from: dict[str, int] = {}

    def of(self, told: Sequence[Observation], pending: Sequence[Point], asked: Sequence[Point]) -> Belief:
        """Beliefs of the points `asked` about; at least two of those `told` are complete."""
        complete = [seen for seen in told if seen.losses is not None]
        rows = _rows(complete, pending, asked)
        observed: list[Posterior] = []
        wanted: list[Posterior] = []
        for place in range(self._num_objectives):
            gains = [-seen.losses[place] for seen in complete if seen.losses is not None]
            if place == self._known:
                observed.append(_exact([*gains, *(-(point.cost or 0.0) for point in pending)]))
                wanted.append(_exact([-(point.cost or 0.0) for point in asked]))
            else:
                both = self._process(str(place), rows, normal_scores(gains))
                num_known = len(complete) + len(pending)
                observed.append(_part(both, 0, num_known))
                wanted.append(_part(both, num_known, num_known + len(asked)))
        return Belief(tuple(observed), tuple(wanted), self._alive(told, pending, asked))

    def _alive(self, told: Sequence[Observation], pending: Sequence[Point], asked: Sequence[Point]) -> Tensor:
        success_N = torch.tensor([1.0 if seen.losses is not None else -1.0 for seen in told], dtype=torch.float64)
        mean = success_N.mean()
        if mean == 1.0:
            return torch.ones(len(asked), dtype=torch.float64)
        both = self._process("alive", _rows(told, pending, asked), success_N - mean)
        found = _part(both, len(told) + len(pending), len(told) + len(pending) + len(asked))
        deviation_M = (found.deviation_M.square() + found.noise**2).sqrt()
        chance_M: Tensor = torch.special.ndtr((found.mean_M + mean) / deviation_M)
        return chance_M

    def _process(self, name: str, rows: _Rows, target_N: Tensor) -> Posterior:
        """Of those tried, under way and asked about, in this order."""
        known = self._parameters.get(name, Parameters())
        if len(target_N) >= LEARN_AGAIN * self._learnt_from.get(name, 0):
            known = learn(rows.columns, rows.tried_NC, target_N, known)
            self._parameters[name], self._learnt_from[name] = known, len(target_N)
        all_MC = torch.cat([rows.again_NC, rows.pending_KC, rows.asked_MC])
        return posterior(rows.columns, known, rows.tried_NC, target_N, rows.pending_KC, all_MC)


def _rows(tried: Sequence[Observation], pending: Sequence[Point], asked: Sequence[Point]) -> _Rows:
    points = [seen.point for seen in tried]
    longest = max(1, *(seen.epochs for seen in tried))
    others = len(tried) + len(pending) + len(asked)
    log_epochs = [math.log(seen.epochs or longest) for seen in tried] + [math.log(longest)] * others
    columns, x_NC = encode([*points, *points, *pending, *asked], [log_epochs])
    return _Rows(columns, *torch.split(x_NC, [len(tried), len(tried), len(pending), len(asked)]))


def _exact(gains: Sequence[float]) -> Posterior:
    return Posterior(torch.tensor(gains, dtype=torch.float64), torch.zeros(len(gains), dtype=torch.float64), 0.0)


def _part(both: Posterior, start: int, stop: int) -> Posterior:
    return Posterior(both.mean_M[start:stop], both.deviation_M[start:stop], both.noise)
