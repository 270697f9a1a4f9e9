"""The front and the trials as rows, for the terminal and for HTML alike. Knows nothing of HTML or files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.objectives import violated
from nas.result import Result, architecture_of
from nas.trial import Trial

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = ("miou", "latency_ms", "latency_worst_ms", "tc", "macs_m", "params_k", "state_kb")
"""Columns after the objectives, where a trial has them."""

BRIEF = ("macs_m", "params_k")
"""As many of them as a terminal of 80 columns takes."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A table: its header and its cells, all text."""

    header: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]


def front_rows(result: Result, more: Sequence[str] = SHOWN) -> Rows:
    """One row a network of the front: trial, key, the objectives with their uncertainty, and `more` metrics."""
    columns = _columns(result, more)
    cells = tuple(
        (f"#{trial.number}", architecture_of(trial).key[:12], *(metric_text(trial, name) for name in columns))
        for trial in result.front
    )
    return Rows(("trial", "key", *columns), cells)


def trial_rows(result: Result) -> Rows:
    """One row a candidate, failed and infeasible ones with their reason."""
    columns = _columns(result, SHOWN)
    on_front = {trial.number for trial in result.front}
    cells = tuple(
        (
            f"#{trial.number}",
            "front" if trial.number in on_front else trial.status,
            architecture_of(trial).key[:12],
            *(metric_text(trial, name) for name in columns),
            reason(trial, result),
        )
        for trial in result.candidates
    )
    return Rows(("trial", "status", "key", *columns, "reason"), cells)


def rich_table(rows: Rows, title: str) -> "Table":
    """The rows as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for name in rows.header:
        left = name in ("arm", "key", "reason", "status")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "reason")
    for row in rows.cells:
        table.add_row(*(Text(cell) for cell in row))
    return table


def metric_text(trial: Trial, name: str) -> str:
    """A metric with four significant digits; a latency with the half-width of its interval."""
    if name not in trial.metrics:
        return ""
    text = f"{trial.metrics[name]:.4g}"
    if name == "latency_ms" and "latency_halfwidth_ms" in trial.metrics:
        text += f" ± {trial.metrics['latency_halfwidth_ms']:.2g}"
    if name.startswith("latency") and trial.metrics.get("contended"):
        text += " (contended)"
    return text


def reason(trial: Trial, result: Result) -> str:
    """Why a trial is failed or infeasible, in one line."""
    if trial.error:
        return " ".join(trial.error.split())
    if trial.status == "infeasible":
        return violated(result.recipe.constraints, trial.metrics) or "a hard constraint is broken"
    return ""


def _columns(result: Result, more: Sequence[str]) -> Sequence[str]:
    objectives = result.recipe.objectives
    present = {name for trial in result.candidates for name in trial.metrics}
    if all(t.metrics.get("latency_worst_ms") == t.metrics.get("latency_ms") for t in result.candidates):
        present.discard("latency_worst_ms")  # without a refresh schedule every frame costs the same
    return (*objectives, *(name for name in more if name in present and name not in objectives))
