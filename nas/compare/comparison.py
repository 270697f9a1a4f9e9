"""Arms side by side: medians and quartiles over seeds, verdicts against the control. Knows nothing of files or recipes.

Legend: B hidden budgets, G points of an axis; four quarters of an axis.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.compare.curves import AXES, QUARTERS, Axis, Reached, at_quarters, axis, curve
from nas.compare.ranking import Better, Verdict, verdicts
from nas.compare.runs import Arm
from nas.compare.yardstick import Yardstick


@dataclass(frozen=True, slots=True)
class Spread:
    """Values by seed and what they come to; quartiles by linear interpolation."""

    median: float
    q1: float
    q3: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Quarter:
    """An arm at a quarter of an axis; verdicts are None for the control itself and where there is none.

    `regret` and what belongs to it are None where there are no budgets.
    """

    hypervolume: Spread
    regret: Spread | None
    regret_B: tuple[Spread, ...]
    hypervolume_verdict: Verdict | None = None
    regret_verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class ArmCurves:
    """An arm along an axis: spreads at every point, and more at the quarters."""

    hypervolume_G: tuple[Spread, ...]
    regret_G: tuple[Spread, ...] | None
    quarters: tuple[Quarter, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Arms by name, the control first; along every axis, what each arm had."""

    arms: tuple[Arm, ...]
    control: str | None
    measure: Yardstick
    axes: tuple[Axis, ...]
    curves: tuple[Mapping[str, ArmCurves], ...]


def compare(arms: Sequence[Arm], measure: Yardstick, *, testable: bool = True) -> Comparison:
    """Put `arms` side by side. The first that is a control is the control; the order given changes nothing else.

    Raises:
        MissingExtraError: there is something to test, scipy is not installed and `testable`.
    """
    ordered = tuple(sorted(arms, key=lambda arm: (not arm.control, arm.name)))
    control = ordered[0].name if ordered and ordered[0].control else None
    runs = [run for arm in ordered for run in arm.runs]
    axes = tuple(axis(name, runs) for name in AXES)
    return Comparison(
        ordered, control, measure, axes, tuple(_along(ordered, control, one, measure, testable) for one in axes)
    )


def spreads(values_SG: Sequence[Sequence[float]]) -> tuple[Spread, ...]:
    """Median and quartiles over the seeds S, for each of G figures; all at once, one by one is slow."""
    found_SG = np.asarray(values_SG, dtype=np.float64)
    q1_G, median_G, q3_G = np.quantile(found_SG, (0.25, 0.5, 0.75), axis=0).tolist()
    return tuple(
        Spread(median, q1, q3, tuple(values))
        for median, q1, q3, values in zip(median_G, q1_G, q3_G, found_SG.T.tolist(), strict=True)
    )


_PerRun = Sequence[Sequence[Reached]]
"""[run][point]."""


def _along(
    arms: Sequence[Arm], control: str | None, along: Axis, measure: Yardstick, testable: bool
) -> Mapping[str, ArmCurves]:
    found = {arm.name: [curve(run, along, measure) for run in arm.runs] for arm in arms}
    quarters = {name: [at_quarters(along, run) for run in runs] for name, runs in found.items()}
    judged = [_judge(quarters, number, control, testable) for number in range(len(QUARTERS))]
    with_regret = bool(measure.budgets_B)
    return {
        arm.name: ArmCurves(
            hypervolume_G=_spreads(found[arm.name], _hypervolume),
            regret_G=_spreads(found[arm.name], _regret) if with_regret else None,
            quarters=tuple(
                _quarter([run[number] for run in quarters[arm.name]], judged[number], arm.name)
                for number in range(len(QUARTERS))
            ),
        )
        for arm in arms
    }


def _judge(
    quarters: Mapping[str, _PerRun], number: int, control: str | None, testable: bool
) -> Mapping[str, Mapping[str, Verdict]]:
    """Verdicts by figure and arm, at one quarter."""
    if control is None:
        return {}
    figures: dict[str, tuple[Callable[[Reached], float], Better]] = {"hypervolume": (_hypervolume, "larger")}
    if quarters[control][0][number].regret_B:
        figures["regret"] = (_regret, "smaller")
    return {
        figure: verdicts(
            {name: [pick(run[number]) for run in runs] for name, runs in quarters.items()},
            control,
            better,
            testable=testable,
        )
        for figure, (pick, better) in figures.items()
    }


def _quarter(found: Sequence[Reached], judged: Mapping[str, Mapping[str, Verdict]], name: str) -> Quarter:
    with_regret = bool(found[0].regret_B)
    volume, regret = spreads([(one.hypervolume, one.regret) for one in found])
    return Quarter(
        hypervolume=volume,
        regret=regret if with_regret else None,
        regret_B=spreads([one.regret_B for one in found]) if with_regret else (),
        hypervolume_verdict=judged.get("hypervolume", {}).get(name),
        regret_verdict=judged.get("regret", {}).get(name),
    )


def _spreads(runs: _PerRun, pick: Callable[[Reached], float]) -> tuple[Spread, ...]:
    return spreads([[pick(one) for one in run] for run in runs])


def _hypervolume(found: Reached) -> float:
    return found.hypervolume


def _regret(found: Reached) -> float:
    return found.regret
