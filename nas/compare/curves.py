"""How runs got on, at equal budgets: hypervolume and regret along an axis. Knows nothing of arms, tests or files.

Two axes: "budget" (training frames plus measurements) and "evaluations" (trials and works that did something).
Each is cut at the total of the run that has least, so that no run is seen with more than another. A run's value
at a point of an axis is what it had when its last step that fits was told. Legend: S runs, G points of an axis.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas.compare.runs import Run
from nas.compare.yardstick import Yardstick, best_under, volume

AxisName = Literal["budget", "evaluations"]
AXES: tuple[AxisName, ...] = ("budget", "evaluations")
QUARTERS = (0.25, 0.5, 0.75, 1.0)
POINTS = 40
"""Points of a curve; a multiple of four, so that the quarters are among them."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Where curves are looked at: `points` up to `cut`; `quarters` are the points at 25, 50, 75 and 100 %.

    `most` is the total of the run that has most: what lies between it and `cut` is not looked at.
    """

    name: AxisName
    cut: float
    most: float
    points: tuple[float, ...]
    quarters: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reached:
    """What a run had: hypervolume, and its regret under each hidden budget (none where there are no budgets)."""

    hypervolume: float
    regret_B: tuple[float, ...]

    @property
    def regret(self) -> float:
        """Mean over the hidden budgets; not a number where there are none."""
        return math.fsum(self.regret_B) / len(self.regret_B) if self.regret_B else math.nan


def axis(name: AxisName, runs: Sequence[Run]) -> Axis:
    """The axis that all `runs` share."""
    totals = [float(spent_after(name, run)[-1]) if run.steps else 0.0 for run in runs]
    cut = min(totals)
    shares = [number / POINTS for number in range(1, POINTS + 1)]
    points = sorted({_point(name, cut, share) for share in shares})
    return Axis(name, cut, max(totals), tuple(points), tuple(_point(name, cut, share) for share in QUARTERS))


def _point(name: AxisName, cut: float, share: float) -> float:
    return float(math.ceil(cut * share)) if name == "evaluations" else cut * share


def spent_after(name: AxisName, run: Run) -> NDArray[np.float64]:
    """Where the run stands on the axis after each of its steps."""
    spent = [step.spent if name == "budget" else float(step.evaluations) for step in run.steps]
    return np.cumsum(np.asarray(spent, dtype=np.float64))


def curve(run: Run, along: Axis, measure: Yardstick) -> tuple[Reached, ...]:
    """What the run had at each point of the axis."""
    after = spent_after(along.name, run)
    fitting = [int(np.searchsorted(after, point, side="right")) for point in along.points]
    known: dict[int, Reached] = {}
    for number in fitting:
        if number not in known:
            known[number] = reached(run, number, measure)
    return tuple(known[number] for number in fitting)


def reached(run: Run, number: int, measure: Yardstick) -> Reached:
    """What the run had after its first `number` steps."""
    steps = run.steps[:number]
    own_B = best_under(steps, measure.budgets_B, measure.nothing)
    regret_B = tuple(own - best for own, best in zip(own_B, measure.best_B, strict=True))
    return Reached(volume(steps, measure.reference), regret_B)


def at_quarters(along: Axis, found: Sequence[Reached]) -> tuple[Reached, ...]:
    """What a curve says at the quarters of its axis."""
    by_point: Mapping[float, Reached] = dict(zip(along.points, found, strict=True))
    return tuple(by_point[point] for point in along.quarters)
