"""A comparison as JSON values. Knows nothing of tables, plots or where the runs came from.

The object: `objectives`; `reference` (objective -> value) and `reference_given`; `cost` (the metric that budgets
are put on, or null), `cost_budgets` (nine, or none) and `best_known` (the first objective under each); `control`;
`hypervolume_of_all`; `axes`, one for "budget" and one for "evaluations", with `unit`, `cut`, `most`, `points`;
`arms`, each with `name`, `seeds`, `folders`, `states` and, in `axes`, its `curve` (`hypervolume` and `regret` at
the points) and its `quarters` (at 25, 50, 75 and 100 % of the cut); `warnings`. A spread is {median, q1, q3},
at quarters with `values` by seed; a verdict is {words, superiority, p, p_holm}, null for the control. Regret is
that of the first objective, in its own unit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nas.compare.comparison import ArmCurves, Comparison, Quarter, Spread
from nas.compare.curves import QUARTERS, AxisName
from nas.compare.folders import Material
from nas.compare.ranking import Verdict
from nas.compare.reference import reference_values
from nas.compare.runs import Arm

EVALUATIONS = "trials and works"


def facts(material: Material, comparison: Comparison, warnings: Sequence[str], *, given: bool) -> dict[str, Any]:
    """Everything, for --json; `given`: the reference point was."""
    measure = comparison.measure
    first = material.objectives[0]
    sign = -1 if first.direction == "max" else 1
    return {
        "objectives": [objective.name for objective in material.objectives],
        "reference": reference_values(measure.reference, material.objectives),
        "reference_given": given,
        "cost": material.cost,
        "cost_budgets": list(measure.budgets_B),
        "best_known": [sign * loss for loss in measure.best_B],
        "control": comparison.control,
        "hypervolume_of_all": measure.volume,
        "axes": {
            axis.name: {
                "unit": unit(material, axis.name), "cut": axis.cut, "most": axis.most, "points": list(axis.points),
            }
            for axis in comparison.axes
        },
        "arms": [_arm(arm, comparison) for arm in comparison.arms],
        "warnings": list(warnings),
    }  # fmt: skip


def unit(material: Material, name: AxisName) -> str:
    """What an axis counts."""
    return material.unit if name == "budget" else EVALUATIONS


def _arm(arm: Arm, comparison: Comparison) -> dict[str, Any]:
    return {
        "name": arm.name,
        "seeds": [run.seed for run in arm.runs],
        "folders": [run.name for run in arm.runs],
        "states": [run.state for run in arm.runs],
        "axes": {
            axis.name: _curves(curves[arm.name], axis.quarters)
            for axis, curves in zip(comparison.axes, comparison.curves, strict=True)
        },
    }


def _curves(found: ArmCurves, points: Sequence[float]) -> dict[str, Any]:
    return {
        "curve": {
            "hypervolume": [_spread(one) for one in found.hypervolume_G],
            "regret": None if found.regret_G is None else [_spread(one) for one in found.regret_G],
        },
        "quarters": [
            {"share": share, "at": point, **_quarter(quarter)}
            for share, point, quarter in zip(QUARTERS, points, found.quarters, strict=True)
        ],
    }


def _quarter(found: Quarter) -> dict[str, Any]:
    return {
        "hypervolume": _with_values(found.hypervolume),
        "regret": None if found.regret is None else _with_values(found.regret),
        "regret_by_budget": [_with_values(one) for one in found.regret_B],
        "hypervolume_verdict": _verdict(found.hypervolume_verdict),
        "regret_verdict": _verdict(found.regret_verdict),
    }


def _spread(found: Spread) -> dict[str, float]:
    return {"median": found.median, "q1": found.q1, "q3": found.q3}


def _with_values(found: Spread) -> dict[str, Any]:
    return {**_spread(found), "values": list(found.values)}


def _verdict(found: Verdict | None) -> Mapping[str, Any] | None:
    if found is None:
        return None
    return {"words": found.words, "superiority": found.superiority, "p": found.p, "p_holm": found.p_holm}
