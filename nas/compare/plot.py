"""The curves of a comparison as a picture, by matplotlib. Knows nothing of folders or tests."""

import io
from pathlib import Path
from typing import Any

from nas.compare.comparison import Comparison, Spread
from nas.compare.facts import unit
from nas.compare.folders import Material
from nas.files import write_atomically
from nas.report.plots import require_matplotlib
from search_spaces.errors import InputError

FORMATS = (".png", ".svg")


def check_plot(path: Path) -> None:
    """Before anything is computed: can `path` be drawn to.

    Raises:
        InputError: its ending is not allowed, or its folder does not exist.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"--plot: {str(path)!r} given; allowed: a file that ends in {' or '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise InputError(f"--plot: the folder {path.parent} does not exist")
    if path.is_dir():
        raise InputError(f"--plot: {path} is a folder, a file is needed")
    require_matplotlib("--plot")


def draw(material: Material, comparison: Comparison, path: Path) -> None:
    """Hypervolume above and regret below, along both axes: medians, with a band from quartile to quartile."""
    import matplotlib
    from matplotlib.figure import Figure

    with_regret = bool(comparison.measure.budgets_B)
    rows = 2 if with_regret else 1
    figure = Figure(figsize=(10.0, 3.6 * rows), layout="constrained")
    grid = figure.subplots(rows, len(comparison.axes), squeeze=False, sharex="col")
    for column, axis in enumerate(comparison.axes):
        _panel(grid[0][column], comparison, column, regret=False)
        if with_regret:
            _panel(grid[1][column], comparison, column, regret=True)
        grid[-1][column].set_xlabel(unit(material, axis.name))
    grid[0][0].set_ylabel("hypervolume")
    if with_regret:
        grid[1][0].set_ylabel(f"regret of {material.objectives[0].name}, mean of nine budgets")
    grid[0][0].legend(loc="best", frameon=False, fontsize=8)
    picture = io.BytesIO()
    # Neither the date nor chance gets into the file.
    kind = path.suffix.lower().removeprefix(".")
    metadata: dict[str, Any] = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "compare"}):
        figure.savefig(picture, format=kind, metadata=metadata, dpi=120)
    write_atomically(path, picture.getvalue())


def _panel(axes: Any, comparison: Comparison, number: int, *, regret: bool) -> None:
    points = comparison.axes[number].points
    for place, arm in enumerate(comparison.arms):
        found = comparison.curves[number][arm.name]
        spreads = found.regret_G if regret else found.hypervolume_G
        assert spreads is not None
        _band(axes, points, spreads, f"{arm.name} ({len(arm.runs)})", f"C{place % 10}", arm.control)
    axes.grid(alpha=0.3)


def _band(
    axes: Any, points: tuple[float, ...], spreads: tuple[Spread, ...], label: str, colour: str, control: bool
) -> None:
    line = "--" if control else "-"
    medians = [one.median for one in spreads]
    axes.step(points, medians, where="post", color=colour, label=label, linestyle=line, zorder=3 if control else 2)
    low, high = [one.q1 for one in spreads], [one.q3 for one in spreads]
    axes.fill_between(points, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
