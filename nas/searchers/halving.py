"""Asynchronous successive halving around a searcher: few epochs for all, more for the best. Knows nothing of training.

Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (ASHA), arXiv:1810.05934, Algorithm 2:
whenever a slot is free, the highest rung with a result among its best 1/eta that was not promoted yet promotes it;
where none has, a new architecture enters the lowest rung. With several objectives, best is the order of nas.pareto
(rank, then crowding), one of the orders that Schmucker et al. 2021, arXiv:2106.12639, compare for this.
Differs: new architectures come from the searcher S instead of being uniform. S hears of each architecture once, when
it is first told, which is at its lowest rung: a result of more epochs is better whatever the architecture, so that
results of several fidelities, told to a searcher that knows of one, would teach it what was promoted and not what is
good (the model of BOHB, Falkner et al. 2018, arXiv:1807.01774, is made of results of one fidelity alone).
Where rungs are listed without eta, a rung promotes the share that makes the next one cost as much as itself, which is
how successive halving spends its budget (Jamieson and Talwalkar 2016, arXiv:1502.07943): its epochs over the next's.
Failed and infeasible trials are in no rung: they take no place among the best and hold nothing up; a failed promotion
is not tried again. Promotions count as trials of the budget.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field

from nas.objectives import losses
from nas.pareto import preference
from nas.searchers.common import Setup
from nas.searchers.registry import searcher_of
from nas.trial import Proposal, Searcher, Trial, Work
from search_spaces.architecture import Architecture
from search_spaces.decisions import Genotype
from search_spaces.door import STRICT
from search_spaces.errors import InputError

_ETA = 4.0
"""That of the paper's experiments."""

Epochs = Annotated[int, Field(ge=1, le=100_000)]


@dataclass(frozen=True, slots=True)
class Options:
    """The rungs: from `min_epochs` by factors of `eta` to `max_epochs`, or listed: `rungs="12,50,200"`.

    `max_epochs` is the recipe's epochs by default, `min_epochs` leaves room for three rungs. A recorded benchmark
    with few fidelities lists its rungs itself. All other options go to the searcher inside.
    """

    __pydantic_config__: ClassVar = STRICT
    eta: Annotated[float, Field(gt=1.0, le=1000.0)] | None = None
    min_epochs: Epochs | None = None
    max_epochs: Epochs | None = None
    rungs: str | None = None


@dataclass(frozen=True, slots=True)
class Rung:
    """A fidelity, and of how many of its results one is promoted to the next rung."""

    epochs: int
    eta: float


def rungs_of(options: Options, epochs: int, fidelities: Sequence[int] = ()) -> tuple[Rung, ...]:
    """The rungs from the lowest to the highest, whose `eta` says nothing.

    `epochs` are the recipe's; `fidelities` the only ones that there are, in increasing order; none: any.

    Raises:
        InputError: fewer than two rungs, or a list that is none of increasing numbers, or given beside its ends, or
            of epochs that are no fidelity.
    """
    highest = epochs if options.max_epochs is None else options.max_epochs
    if options.rungs is not None:
        levels = _listed(options, fidelities)
    elif fidelities:
        levels = [level for level in fidelities if (options.min_epochs or 1) <= level <= highest]
    else:
        return tuple(Rung(level, options.eta or _ETA) for level in _by_factors(options, highest))
    if len(levels) < 2:
        raise _too_few(levels, highest)
    ratios = [high / low for low, high in pairwise([*levels, levels[-1]])]
    return tuple(Rung(level, options.eta or ratio) for level, ratio in zip(levels, ratios, strict=True))


def _by_factors(options: Options, highest: int) -> list[int]:
    """The factor of the last step is between the root of eta and eta times that: a nearer rung is left out."""
    eta = options.eta or _ETA
    lowest = max(1, round(highest / eta**2)) if options.min_epochs is None else options.min_epochs
    if lowest >= highest:
        raise _too_few([lowest], highest)
    levels, exact = [lowest], lowest * eta
    while exact * math.sqrt(eta) <= highest:
        if levels[-1] < round(exact) < highest:
            levels.append(round(exact))
        exact *= eta
    return [*levels, highest]


def _listed(options: Options, fidelities: Sequence[int]) -> list[int]:
    assert options.rungs is not None
    words = options.rungs.split(",")
    levels = [int(word) for word in words if word.strip().isdecimal() and len(word) <= 6]
    increasing = all(low < high for low, high in pairwise(levels))
    if len(levels) < max(2, len(words)) or levels[0] < 1 or not increasing:
        raise InputError(
            f"searcher_options.rungs: {options.rungs!r} given; allowed: at least two increasing numbers of epochs "
            'with commas between them, such as "12,50,200"'
        )
    if options.min_epochs is not None or options.max_epochs is not None:
        raise InputError("searcher_options: rungs given beside min_epochs or max_epochs; give either")
    if fidelities and not set(levels) <= set(fidelities):
        allowed = ", ".join(map(str, fidelities))
        raise InputError(f"searcher_options.rungs: {options.rungs!r} given; epochs that are recorded: {allowed}")
    return levels


def _too_few(levels: Sequence[int], highest: int) -> InputError:
    listed = ", ".join(map(str, levels)) or "none"
    return InputError(
        f"searcher_options: rungs of {listed} epochs are possible up to {highest}, halving needs two and more: raise "
        "epochs or max_epochs, or lower min_epochs"
    )


@dataclass(frozen=True, slots=True)
class _Result:
    """A complete trial in a rung."""

    trial: int
    genotype: Genotype
    architecture: Architecture
    losses: tuple[float, ...]


class Halving:
    """A promotion where one is due, else what the searcher inside proposes, at the lowest rung's epochs."""

    def __init__(self, setup: Setup, inner: Searcher, rungs: Sequence[Rung]) -> None:
        self._objectives, self._epochs, self._inner, self._rungs = setup.objectives, setup.epochs, inner, tuple(rungs)
        self._results: list[dict[str, _Result]] = [{} for _ in rungs]
        self._promoted: list[dict[str, None]] = [{} for _ in rungs]
        self._heard: dict[str, None] = {}

    def ask(self) -> Proposal | Work | None:
        """The best result not promoted yet of the highest rung that owes a promotion, or something new."""
        for level in reversed(range(len(self._rungs) - 1)):
            result = self._promotable(level)
            if result is not None:
                self._promoted[level][result.architecture.key] = None
                epochs = self._rungs[level + 1].epochs
                return Proposal(result.genotype, result.architecture, result.trial, epochs)
        proposal = self._inner.ask()
        return replace(proposal, epochs=self._rungs[0].epochs) if isinstance(proposal, Proposal) else proposal

    def tell(self, trial: Trial) -> None:
        """Enter the trial into its rung; the searcher inside hears of an architecture's first one, and of work."""
        proposal = trial.proposal
        if isinstance(proposal, Work):
            self._inner.tell(trial)
            return
        key = proposal.architecture.key
        level = self._level(self._epochs if proposal.epochs is None else proposal.epochs)
        if level is not None:
            for below in range(level):  # prior data: what was promoted before this searcher was made
                self._promoted[below][key] = None
            if trial.status == "complete":
                found = losses(self._objectives, trial.metrics)
                result = _Result(trial.number, proposal.genotype, proposal.architecture, found)
                self._results[level].setdefault(key, result)
        if key not in self._heard:
            self._heard[key] = None
            self._inner.tell(trial)

    def _level(self, epochs: int) -> int | None:
        """The rung of a fidelity; None: prior data of another, which cannot be compared with any rung."""
        return next((level for level, rung in enumerate(self._rungs) if rung.epochs == epochs), None)

    def _promotable(self, level: int) -> _Result | None:
        results = list(self._results[level].values())
        # Not floor(n / eta) itself: 50 / (200 / 12) is a little less than 3 in floating point.
        num_best = math.floor(len(results) / self._rungs[level].eta + 1e-9)
        if not num_best:
            return None
        best = _best_first([result.losses for result in results])[:num_best]
        promoted = self._promoted[level]
        return next((results[i] for i in best if results[i].architecture.key not in promoted), None)


def _best_first(points: Sequence[tuple[float, ...]]) -> list[int]:
    """Indices from best to worst; earlier ones win ties."""
    if len(points[0]) == 1:
        return sorted(range(len(points)), key=points.__getitem__)
    places = preference(points).tolist()
    return sorted(range(len(points)), key=places.__getitem__)


def make(setup: Setup, options: Options) -> Halving:
    """The searcher around the one that `setup.variant` names. Raises InputError as `rungs_of`."""
    own = {field.name for field in fields(Options)}
    inner = {name: value for name, value in setup.options.items() if name not in own}
    rungs = rungs_of(options, setup.epochs, setup.fidelities)
    return Halving(setup, searcher_of(setup.variant, replace(setup, options=inner)), rungs)
