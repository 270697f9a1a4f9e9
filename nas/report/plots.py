"""The plots of the report as inline SVG, by matplotlib. Knows nothing of HTML, files or searchers."""

import io
from collections.abc import Sequence
from typing import Any

from nas.objectives import DIRECTIONS
from nas.trial import Trial
from search_spaces.errors import MissingExtraError

FRONT, COMPLETE, INFEASIBLE = "#c62828", "#90a4ae", "#ffb74d"


def require_matplotlib(purpose: str = "report.html") -> None:
    """Raise MissingExtraError where the plots that `purpose` needs cannot be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtraError("matplotlib", "report", purpose) from None


def front_svg(trials: Sequence[Trial], front: Sequence[Trial], objectives: Sequence[str]) -> str:
    """All candidates and the front, second objective (across) against the first (up).

    Horizontal bars are the 95 % interval of the latency measurement, where the trial has one. With a single
    objective the trial's number runs across.
    """
    figure, axes = _figure()
    on_front = {trial.number for trial in front}
    groups = (
        ("complete", COMPLETE, "o", [t for t in trials if t.status == "complete" and t.number not in on_front]),
        ("infeasible", INFEASIBLE, "x", [t for t in trials if t.status == "infeasible"]),
        ("front", FRONT, "o", sorted(front, key=lambda t: _across(t, objectives))),
    )
    for label, colour, marker, members in groups:
        shown = [t for t in members if all(name in t.metrics for name in objectives[:2])]
        if shown:
            _scatter(axes, shown, objectives, label, colour, marker)
    axes.set_xlabel(objectives[1] if len(objectives) > 1 else "trial")
    axes.set_ylabel(objectives[0])
    axes.grid(alpha=0.3)
    if axes.has_data():
        axes.legend(loc="best", frameon=False)
    return _svg(figure, "front")


def history_svg(best: Sequence[float | None], volume: Sequence[float | None], objective: str) -> str:
    """After each trial: the best first objective so far and, where given, the hypervolume of the front."""
    figure, axes = _figure()
    _steps(axes, best, FRONT, f"best {objective}")
    axes.set_xlabel("trials told")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel(
        f"best {objective}" + (" (higher is better)" if DIRECTIONS[objective] == "max" else " (lower is better)")
    )
    axes.grid(alpha=0.3)
    if any(value is not None for value in volume):
        other = axes.twinx()
        _steps(other, volume, "#1565c0", "hypervolume")
        other.set_ylabel("hypervolume (blue)")
    return _svg(figure, "history")


def _across(trial: Trial, objectives: Sequence[str]) -> float:
    return trial.metrics.get(objectives[1], 0.0) if len(objectives) > 1 else float(trial.number)


def _scatter(
    axes: Any, trials: Sequence[Trial], objectives: Sequence[str], label: str, colour: str, marker: str
) -> None:
    xs = [_across(trial, objectives) for trial in trials]
    ys = [trial.metrics[objectives[0]] for trial in trials]
    bars = None
    if len(objectives) > 1 and objectives[1] == "latency_ms":
        bars = [trial.metrics.get("latency_halfwidth_ms", 0.0) for trial in trials]
    line = "-" if label == "front" and len(objectives) > 1 else "none"
    style = {"color": colour, "marker": marker, "linestyle": line, "linewidth": 1.0, "markersize": 5}
    if line != "none":
        # Nothing is known between two networks: the line is what is reached at a given cost, in steps.
        style["drawstyle"] = "steps-post" if DIRECTIONS[objectives[1]] == "min" else "steps-pre"
    axes.errorbar(xs, ys, xerr=bars, capsize=2, elinewidth=0.8, label=label, **style)
    if label == "front":
        for trial, x, y in zip(trials, xs, ys, strict=True):
            axes.annotate(f"#{trial.number}", (x, y), textcoords="offset points", xytext=(4, 5), fontsize=8)


def _steps(axes: Any, values: Sequence[float | None], colour: str, label: str) -> None:
    points = [(number, value) for number, value in enumerate(values, 1) if value is not None]
    if points:
        xs, ys = zip(*points, strict=True)
        axes.step(xs, ys, where="post", color=colour, label=label, marker=".", markersize=4)


def _figure() -> tuple[Any, Any]:
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Any, name: str) -> str:
    """The figure as one `<svg>` element; `name` keeps the element ids of two plots on a page apart."""
    import matplotlib

    text = io.StringIO()
    # Text stays text (small, searchable), and neither the date nor chance gets into the file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "svg.id": name}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    found = text.getvalue()
    return found[found.index("<svg") :]
