"""What all runs are measured with, fixed once for all of them: reference point, hidden budgets, best known.

Knows nothing of arms, axes or searchers. Legend: B hidden budgets; losses are to be made small.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.compare.runs import Run, Step
from nas.pareto import hypervolume
from search_spaces.errors import InputError

DECILES = tuple(tenth / 10 for tenth in range(1, 10))


@dataclass(frozen=True, slots=True)
class Yardstick:
    """`reference` bounds the hypervolume; `budgets_B` bound the cost, `best_B` is the least first loss under each.

    `nothing` stands for the first loss of a run that has no network under a budget: the worst that any run
    has seen. `volume` is the hypervolume of all runs together, which no run can exceed.
    """

    reference: tuple[float, ...]
    budgets_B: tuple[float, ...]
    best_B: tuple[float, ...]
    nothing: float
    volume: float


def yardstick(runs: Iterable[Run], reference: Sequence[float] | None = None) -> Yardstick:
    """From all steps of all `runs`, those beyond a common budget included: the more is known, the better.

    Without `reference`, it is the worst value of each loss. The budgets are the deciles of all costs (none where
    no step has a cost).

    Raises:
        InputError: no step has losses.
    """
    steps = [step for run in runs for step in run.steps if step.losses is not None]
    if not steps:
        raise InputError("none of the folders has a complete trial: there is nothing to compare yet")
    losses_NM = np.asarray([step.losses for step in steps], dtype=np.float64)
    bounds = losses_NM.max(axis=0) if reference is None else np.asarray(reference, dtype=np.float64)
    costs = [step.cost for step in steps if step.cost is not None]
    budgets_B = tuple(float(cost) for cost in np.quantile(costs, DECILES)) if costs else ()
    nothing = float(losses_NM[:, 0].max())
    return Yardstick(
        reference=tuple(float(bound) for bound in bounds),
        budgets_B=budgets_B,
        best_B=best_under(steps, budgets_B, nothing),
        nothing=nothing,
        volume=volume(steps, tuple(float(bound) for bound in bounds)),
    )


def best_under(steps: Iterable[Step], budgets_B: Sequence[float], nothing: float) -> tuple[float, ...]:
    """The least first loss among the steps that cost at most each budget; `nothing` where there is none."""
    found = [(step.cost, step.losses[0]) for step in steps if step.losses is not None and step.cost is not None]
    return tuple(min((loss for cost, loss in found if cost <= budget), default=nothing) for budget in budgets_B)


def volume(steps: Iterable[Step], reference: tuple[float, ...]) -> float:
    """The hypervolume of the steps that have losses."""
    return hypervolume([step.losses for step in steps if step.losses is not None], reference)
