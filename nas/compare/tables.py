"""A comparison as rows of text for the terminal. Knows nothing of how its figures came about."""

from collections.abc import Callable, Iterator

from nas.compare.comparison import Comparison, Quarter, Spread
from nas.compare.curves import QUARTERS, Axis, spent_after
from nas.compare.facts import unit
from nas.compare.folders import Material
from nas.compare.ranking import Verdict
from nas.report.tables import Rows

UNEQUAL = 1.05
"""Totals that differ by more than this factor are worth a warning."""


def titled_rows(material: Material, comparison: Comparison) -> Iterator[tuple[str, Rows]]:
    """Title and rows of each table: both figures at the end of both axes and on the way, the hidden budgets."""
    first = comparison.axes[0]
    for name, verdict in _figures(comparison):
        for number, axis in enumerate(comparison.axes):
            yield f"{name} after {_at(material, axis)}", _final_rows(comparison, number, name, verdict)
        yield f"{name} on the way to {_at(material, first)}: medians", _quarter_rows(comparison, name)
    if comparison.measure.budgets_B:
        title = (
            f"regret under each of nine {material.cost} budgets: median loss of {material.objectives[0].name} against "
            f"the best known, after {_at(material, first)}"
        )
        yield title, _budget_rows(comparison)


def unequal_warnings(material: Material, comparison: Comparison) -> list[str]:
    """A sentence for each axis on which the runs have unequal totals."""
    return [
        f"unequal budgets: the runs have {axis.cut:g} to {axis.most:g} {unit(material, axis.name)}; all are cut at "
        f"{axis.cut:g}, that of {_least(comparison, axis)}"
        for axis in comparison.axes
        if axis.most > UNEQUAL * axis.cut
    ]


def _least(comparison: Comparison, axis: Axis) -> str:
    runs = [run for arm in comparison.arms for run in arm.runs]
    return min(runs, key=lambda run: float(spent_after(axis.name, run)[-1])).name


def _at(material: Material, axis: Axis) -> str:
    return f"{axis.cut:g} {unit(material, axis.name)}"


_PickSpread = Callable[[Quarter], Spread | None]
_PickVerdict = Callable[[Quarter], Verdict | None]

_SPREADS: dict[str, _PickSpread] = {"hypervolume": lambda one: one.hypervolume, "regret": lambda one: one.regret}


def _figures(comparison: Comparison) -> Iterator[tuple[str, _PickVerdict]]:
    yield "hypervolume", lambda one: one.hypervolume_verdict
    if comparison.measure.budgets_B:
        yield "regret", lambda one: one.regret_verdict


def _final_rows(comparison: Comparison, number: int, name: str, verdict: _PickVerdict) -> Rows:
    cells = []
    for arm in comparison.arms:
        last = comparison.curves[number][arm.name].quarters[-1]
        found = _SPREADS[name](last)
        assert found is not None
        said = verdict(last)
        against = said.brief if said else "is the control" if arm.name == comparison.control else "no control"
        quartiles = f"{found.q1:.4g} to {found.q3:.4g}"
        cells.append((arm.name, str(len(arm.runs)), f"{found.median:.4g}", quartiles, against))
    return Rows(("arm", "seeds", "median", "quartiles", f"against {comparison.control or 'a control'}"), tuple(cells))


def _quarter_rows(comparison: Comparison, name: str) -> Rows:
    cells = tuple(
        (arm.name, *(_median(_SPREADS[name](quarter)) for quarter in comparison.curves[0][arm.name].quarters))
        for arm in comparison.arms
    )
    return Rows(("arm", *(f"{share:.0%}" for share in QUARTERS)), cells)


def _budget_rows(comparison: Comparison) -> Rows:
    header = ("arm", *(f"{budget:.4g}" for budget in comparison.measure.budgets_B))
    last = {arm.name: comparison.curves[0][arm.name].quarters[-1] for arm in comparison.arms}
    return Rows(header, tuple((name, *(_median(one) for one in found.regret_B)) for name, found in last.items()))


def _median(found: Spread | None) -> str:
    return "" if found is None else f"{found.median:.4g}"
