"""Regularized evolution, for one objective, for a reward, or for a Pareto front. Knows nothing of networks.

Source: Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search, arXiv:1802.01548,
Algorithm 1: mutate the best of a random sample of the population; the oldest dies. With several objectives
and no target, best means NSGA-II's order (rank, then crowding; Deb et al. 2002, doi:10.1109/4235.996017);
with a target, the reward of MnasNet (arXiv:1807.11626) or TuNAS (arXiv:2008.06120).
Differs: failed and infeasible trials never enter the population; a child whose key is known is mutated again,
once more each time; age counts from the tell, for workers answer out of order; defaults are for hundreds of
trials, not tens of thousands (the paper: population 100, sample 25).
"""

import random
from collections import deque
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from nas.objectives import losses
from nas.pareto import preference
from nas.searchers.common import Setup, Start, restored_on_failure, unseen_sample
from nas.searchers.reward import RewardName, reward, split
from nas.trial import Proposal, Trial
from search_spaces.decisions import Decoded, Genotype, cross, mutate
from search_spaces.door import STRICT

_MUTATIONS = 20
"""Attempts at an unknown child before a uniform draw takes its place."""


@dataclass(frozen=True, slots=True)
class Options:
    """`sample` is the tournament's size; `target`, `reward`, `beta` are for the first loss."""

    __pydantic_config__: ClassVar = STRICT
    population: Annotated[int, Field(ge=2, le=10_000)] = 32
    sample: Annotated[int, Field(ge=1, le=10_000)] = 8
    crossover: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    target: Annotated[float, Field(gt=0.0)] | None = None
    reward: RewardName = "soft"
    beta: Annotated[float, Field(lt=0.0)] = -0.3


@dataclass(frozen=True, slots=True)
class _Member:
    genotype: Genotype
    losses: tuple[float, ...]


class Evolution:
    """Start points, then uniform draws until the population is full, then children."""

    def __init__(self, setup: Setup, options: Options) -> None:
        self._space, self._objectives, self._options = setup.space, setup.objectives, options
        self._rng = random.Random(setup.seed)
        self._start = Start(setup.space, setup.start)
        self._population: deque[_Member] = deque(maxlen=options.population)
        self._seen: dict[str, None] = {}
        self._pending: dict[str, None] = {}
        self._places: list[int] | None = None

    def ask(self) -> Proposal | None:
        """A start point, a uniform draw, or a mutated winner of a tournament; always a new key."""
        proposal = self._start.take(self._seen)
        if proposal is None:
            with restored_on_failure(self._rng) as keep:
                found = self._draw()
                if found is None:
                    return None
                keep()
                decoded, key = found
                proposal = Proposal(decoded.genotype, decoded.architecture)
        else:
            key = proposal.architecture.key
        self._seen[key] = self._pending[key] = None
        return proposal

    def tell(self, trial: Trial) -> None:
        """A complete trial of the space joins the population; the oldest member leaves."""
        proposal = trial.proposal
        key = proposal.architecture.key
        self._pending.pop(key, None)
        self._seen[key] = None
        if trial.status == "complete" and isinstance(proposal, Proposal) and proposal.genotype:
            self._population.append(_Member(proposal.genotype, self._losses(trial)))
            self._places = None

    def _losses(self, trial: Trial) -> tuple[float, ...]:
        if self._options.target is None:
            return losses(self._objectives, trial.metrics)
        accuracy, costs = split(self._objectives, trial.metrics)
        score = reward(
            self._options.reward,
            accuracy,
            costs[:1],
            (self._options.target,)[: len(costs)],
            self._options.beta,
        )
        return (-score,)

    def _draw(self) -> tuple[Decoded, str] | None:
        filling = len(self._population) + len(self._pending) < self._options.population
        if self._population and not filling:
            child = self._unseen_child()
            if child is not None:
                return child
        return unseen_sample(self._space, self._rng, self._seen)

    def _unseen_child(self) -> tuple[Decoded, str] | None:
        parent = self._parent()
        make = self._breed if self._rng.random() < self._options.crossover else self._mutant
        child = make(parent)
        for _ in range(_MUTATIONS):
            key = child.architecture.key
            if key not in self._seen:
                return child, key
            child = mutate(self._space, child.genotype, self._rng)
        return None

    def _mutant(self, parent: Genotype) -> Decoded:
        return mutate(self._space, parent, self._rng)

    def _breed(self, parent: Genotype) -> Decoded:
        return cross(self._space, parent, self._parent(), self._rng)

    def _parent(self) -> Genotype:
        """The best of a random sample of the population."""
        size = len(self._population)
        places = self._order()
        drawn = self._rng.sample(range(size), min(self._options.sample, size))
        return self._population[min(drawn, key=places.__getitem__)].genotype

    def _order(self) -> list[int]:
        """Each member's place, 0 for the best; earlier members win ties."""
        if self._places is None:
            if len(self._population[0].losses) == 1:
                order = sorted(range(len(self._population)), key=lambda index: self._population[index].losses)
                self._places = [0] * len(order)
                for place, index in enumerate(order):
                    self._places[index] = place
            else:
                self._places = preference([member.losses for member in self._population]).tolist()
        return self._places


def make(setup: Setup, options: Options) -> Evolution:
    """The searcher."""
    return Evolution(setup, options)
