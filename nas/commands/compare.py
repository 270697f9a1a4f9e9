"""`vidseg-nas compare`: searchers side by side at equal budgets. Knows nothing of curves and tests."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.output import Answer, DebugOption, JsonOption, answer, progress

if TYPE_CHECKING:
    from nas.compare.comparison import Comparison
    from nas.compare.folders import Material

EXAMPLE = """Example: vidseg-nas compare runs/random-* runs/evolution-* --plot curves.png

The folders: for s in 0 1 2 3 4; do for a in random evolution; do vidseg-nas search RECIPE --searcher $a --seed $s
--out runs/$a-$s; done; done
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", epilog=EXAMPLE)(compare)


def compare(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="Folders of searches: every searcher with several seeds.")
    ],
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="NAME=VALUE,...",
            help="Reference point of the hypervolume, one value an objective; by default the worst of all trials.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the curves into a .png or .svg file.")
    ] = None,
    json_output: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare searchers: hypervolume and regret at equal budgets, medians over seeds, tests against random.

    Folders that differ only in their seed are one arm. All are cut at the smallest budget among them: training
    frames (supernets and pruning included) plus measurements, and once more by the number of trials. Regret is
    taken at nine latency budgets, the deciles of all latencies, which no searcher was told.
    """

    def work() -> Answer:
        from nas.compare.comparison import compare as side_by_side
        from nas.compare.facts import facts
        from nas.compare.folders import read_material
        from nas.compare.plot import check_plot, draw
        from nas.compare.reference import parse_reference
        from nas.compare.yardstick import yardstick
        from search_spaces.errors import MissingExtraError

        if plot is not None:
            check_plot(plot)
        material = read_material(directories)
        given = None if reference is None else parse_reference(reference, material.objectives)
        measure = yardstick([run for arm in material.arms for run in arm.runs], given)
        untested = []
        try:
            comparison = side_by_side(material.arms, measure)
        except MissingExtraError as error:
            untested.append(str(error))  # medians and quartiles need no test
            comparison = side_by_side(material.arms, measure, testable=False)
        warnings = [*material.warnings, *untested, *_warnings(material, comparison)]
        for warning in warnings:
            progress(f"warning: {warning}")
        if plot is not None:
            draw(material, comparison, plot)
        found = facts(material, comparison, warnings, given=given is not None)
        written = [] if plot is None else [f"written: {plot}"]
        return Answer({**found, "plot": None if plot is None else str(plot)}, (*_shown(material, comparison), *written))

    answer(json_output, work)


def _warnings(material: "Material", comparison: "Comparison") -> list[str]:
    from nas.compare.tables import unequal_warnings

    said = unequal_warnings(material, comparison)
    if comparison.measure.volume == 0:
        said.append("no trial is better than the reference point in every objective: every hypervolume is 0")
    if material.cost is None:
        said.append("neither the other objectives nor the constraints have a cost: there is no regret under budgets")
    return said


def _shown(material: "Material", comparison: "Comparison") -> tuple[object, ...]:
    from nas.compare.reference import reference_text
    from nas.compare.tables import titled_rows
    from nas.report.tables import rich_table

    reference = reference_text(comparison.measure.reference, material.objectives)
    lines = [
        f"reference point of the hypervolume: --reference {reference}",
        f"hypervolume of all folders together: {comparison.measure.volume:.4g}",
    ]
    return (*lines, *(rich_table(rows, title) for title, rows in titled_rows(material, comparison)))
