"""Model-based search: proposes where a Gaussian process promises most improvement. Knows nothing of networks.

What is believed (beliefs.py) comes from answers and traced numbers (encoding.py); the objective that `cost` gives
exactly is not modelled. What a point promises (acquisition.py) is its improvement of the front under all budgets,
times its chance not to fail. Improvement is over what is believed of the known points and not over their lucky
draws, for training is noisy. Several proposals at once: those under way are believed to come out at their mean.
Sources: Jones et al. 1998, doi:10.1023/A:1008306431147; for architectures White et al. 2021 (BANANAS),
arXiv:1910.11858, and Ru et al. 2021 (NAS-BOWL), arXiv:2006.07556; otherwise as those files say.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from nas.objectives import losses
from nas.pareto import front
from nas.searchers.acquisition import (
    best_under,
    budgets,
    chance_under,
    expected_improvement,
    improvement_under_budgets,
)
from nas.searchers.arithmetic import one_thread
from nas.searchers.beliefs import Belief, Beliefs, Observation
from nas.searchers.candidates import Candidates
from nas.searchers.common import Setup, Start, restored_on_failure, unseen_sample
from nas.searchers.encoding import Point, Vocabulary
from nas.searchers.gaussian_process import Posterior
from nas.trial import Proposal, Trial
from search_spaces.decisions import Decoded, Genotype, ListedSpace, sample
from search_spaces.door import STRICT

REFERENCE = 256
"""Uniform points whose known costs say which budgets there are."""

CERTAIN = 1e-9
"""Deviation of a gain that is known: improvements are divided by it."""

BEST = 8
"""Candidates whose mutants are looked at as well."""


@dataclass(frozen=True, slots=True)
class Options:
    """`initial`: uniform trials before the model is asked; `candidates`: new points it looks at in an ask."""

    __pydantic_config__: ClassVar = STRICT
    initial: Annotated[int, Field(ge=2, le=10_000)] = 12
    candidates: Annotated[int, Field(ge=2, le=100_000)] = 128
    budgets: Annotated[int, Field(ge=1, le=10_000)] = 64


class Surrogate:
    """Start points, then uniform draws, then what the model promises most of."""

    def __init__(self, setup: Setup, options: Options) -> None:
        self._setup, self._options = setup, options
        self._rng = random.Random(setup.seed)
        self._start = Start(setup.space, setup.start)
        self._proposed: dict[str, None] = {}
        self._pending: dict[str, Point] = {}
        self._told: dict[str, Observation] = {}
        names = [objective.name for objective in setup.objectives]
        self._known = names.index(setup.cost_name) if setup.cost is not None and setup.cost_name in names else None
        self._primary = _primary(setup, self._known)
        self._vocabulary = Vocabulary()
        self._beliefs = Beliefs(len(names), self._known)
        self._candidates = Candidates(setup.space, self._describe, options.candidates, 4 * options.candidates)
        self._reference: Tensor | None = None

    def ask(self) -> Proposal | None:
        """A start point, a uniform draw or the most promising candidate; always a new key."""
        proposal = self._start.take(self._proposed)
        point: Point | None
        if proposal is None:
            with restored_on_failure(self._rng) as keep:
                point = self._next()
                if point is None:
                    return None
                keep()
            proposal = Proposal(point.genotype, point.architecture)
        else:
            point = self._point(proposal)
        self._proposed[proposal.architecture.key] = None
        if point is not None:
            self._pending[point.key] = point
        return proposal

    def tell(self, trial: Trial) -> None:
        """A trial of the space is an observation; one that failed says where not to look."""
        proposal = trial.proposal
        self._proposed[proposal.architecture.key] = None
        point = self._pending.pop(proposal.architecture.key, None)
        if not isinstance(proposal, Proposal):
            return
        point = point or self._point(proposal)
        if point is not None:
            found = losses(self._setup.objectives, trial.metrics) if trial.status == "complete" else None
            self._told[point.key] = Observation(point, found, proposal.epochs or 0)

    def _point(self, proposal: Proposal) -> Point | None:
        """None for a network outside the space, of which there is nothing to learn."""
        if not proposal.genotype:
            return None
        return self._describe(Decoded(proposal.architecture, proposal.genotype, {}))

    def _describe(self, decoded: Decoded) -> Point:
        """A point with what is known of it without a trial."""
        setup = self._setup
        numbers = () if setup.features is None else tuple(setup.features(decoded.architecture))
        cost = None if self._known is None or setup.cost is None else setup.cost(decoded.architecture)
        return replace(self._vocabulary.point(setup.space, decoded), numbers=numbers, cost=cost)

    def _next(self) -> Point | None:
        told = list(self._told.values())
        num_complete = sum(seen.losses is not None for seen in told)
        if num_complete < 2 or num_complete + len(self._pending) < self._options.initial:
            found = unseen_sample(self._setup.space, self._rng, self._proposed)
            return None if found is None else self._describe(found[0])
        points = self._candidates.look(self._rng, self._parents(told), self._proposed)
        if not points:
            return None
        with one_thread():
            points = self._best_first(told, points)
            relatives = self._candidates.relatives(self._rng, points[:BEST], self._proposed)
            if relatives:
                points = self._best_first(told, list({point.key: point for point in (*points, *relatives)}.values()))
        self._candidates.keep(points[1:])
        return points[0]

    def _parents(self, told: Sequence[Observation]) -> list[Genotype]:
        """The front of what was observed."""
        complete = [(seen.point.genotype, seen.losses) for seen in told if seen.losses is not None]
        return [complete[int(place)][0] for place in front([observed for _, observed in complete])]

    def _best_first(self, told: Sequence[Observation], candidates: Sequence[Point]) -> list[Point]:
        belief = self._beliefs.of(told, list(self._pending.values()), candidates)
        promise_M = self._promise(belief) * belief.alive_M
        return [candidates[place] for place in torch.argsort(promise_M, descending=True, stable=True).tolist()]

    def _promise(self, belief: Belief) -> Tensor:
        """The improvement that each point asked about promises, averaged over the budgets, (M,)."""
        main, others = self._primary, [place for place in range(len(belief.asked)) if place != self._primary]
        seen, asked = belief.observed[main], belief.asked[main]
        gain_N, floor = seen.mean_M, torch.tensor(CERTAIN, dtype=torch.float64)
        if not others:
            return expected_improvement(asked.mean_M, asked.deviation_M.maximum(floor), gain_N.max()[None])[:, 0]
        reference = [self._reference_losses(place, belief) for place in others]
        budget_SJ = budgets(reference, self._options.budgets)
        best_S = best_under(gain_N, _losses(belief.observed, others)[0], budget_SJ)
        chance_MS = chance_under(*_losses(belief.asked, others), budget_SJ)
        return improvement_under_budgets(asked.mean_M, asked.deviation_M.maximum(floor), best_S, chance_MS)

    def _reference_losses(self, place: int, belief: Belief) -> Tensor:
        """Losses that budgets are quantiles of: known ones of uniform points, else what was observed."""
        if place != self._known:
            return -belief.observed[place].mean_M
        if self._reference is None:
            self._reference = torch.tensor(self._uniform_costs(), dtype=torch.float64)
        return self._reference

    def _uniform_costs(self) -> list[float]:
        space, cost = self._setup.space, self._setup.cost
        assert cost is not None
        if isinstance(space, ListedSpace):
            return [cost(member.architecture) for member in space.members]
        rng = random.Random(f"budgets {self._setup.seed}")
        return [cost(sample(space, rng).architecture) for _ in range(REFERENCE)]


def _primary(setup: Setup, known: int | None) -> int:
    """The objective to improve under budgets of the others: one that is modelled, an accuracy if there is one."""
    places = [place for place in range(len(setup.objectives)) if place != known] or [0]
    return next((place for place in places if setup.objectives[place].direction == "max"), places[0])


def _losses(gains: Sequence[Posterior], places: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(mean, deviation) of the losses at `places`, (M, J) each."""
    means = torch.stack([-gains[place].mean_M for place in places], 1)
    return means, torch.stack([gains[place].deviation_M for place in places], 1)


def make(setup: Setup, options: Options) -> Surrogate:
    """The searcher."""
    return Surrogate(setup, options)
