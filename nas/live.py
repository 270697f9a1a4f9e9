"""What one sees while a search runs: a live table on a terminal, plain lines elsewhere. Decides nothing.

Everything goes to stderr: stdout belongs to the answer of the command.
"""

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nas.recipe import Recipe
from nas.report.tables import BRIEF, front_rows, metric_text, reason, rich_table
from nas.result import Result, front_of
from nas.search import Event
from nas.trial import Proposal, Trial

if TYPE_CHECKING:
    from rich.console import Console, Group

MAX_ROWS = 12

QUIET_S = 30.0
"""Without a terminal, a sign of life where a job starts and nothing was said for so long."""


class LiveView:
    """A context manager and the listener that a search tells its events. `title` is said at the first of them."""

    def __init__(
        self, recipe: Recipe, console: "Console", title: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.recipe = recipe
        self.console = console
        self.front: tuple[Trial, ...] = ()
        self.running: set[int] = set()
        self.counts: Counter[str] = Counter()
        self._title = title
        self._clock = clock
        self._started_s = self._said_s = clock()
        self._told_here = 0
        self._live: Any = None

    def __enter__(self) -> "LiveView":
        if self.console.is_terminal:
            from rich.live import Live

            # Drawn on a clock and not at every event: a replay of thousands of trials would draw thousands of times.
            self._live = Live(get_renderable=self.render, console=self.console, refresh_per_second=2, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Hear of something that happened in the search."""
        if self._title:
            title, self._title = self._title, ""
            self._print(title)
        if event.what == "asked" and event.trial is not None and isinstance(event.proposal, Proposal):
            self.running.add(event.trial)
        elif event.told is not None:
            self._told(event.told, event.replayed)
        elif event.what == "started" and self._live is None and self._clock() - self._said_s >= QUIET_S:
            self._print(self.summary())

    def _told(self, trial: Trial, replayed: bool) -> None:
        if not isinstance(trial.proposal, Proposal):
            return
        self.running.discard(trial.number)
        self.counts[trial.status] += 1
        # The front of all is the front of the last one and the newcomer: not all trials are looked at again.
        self.front = front_of((*self.front, trial), self.recipe.objectives)
        if replayed:
            return
        self._told_here += 1
        if self._live is None:
            self._print(self.line(trial))

    def _print(self, line: str) -> None:
        self._said_s = self._clock()
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)

    @property
    def done(self) -> int:
        """Candidates told, those of earlier runs too."""
        return self.counts.total()

    def line(self, trial: Trial) -> str:
        """One plain line about a finished trial."""
        metrics = ", ".join(
            f"{name} {metric_text(trial, name)}" for name in self.recipe.objectives if name in trial.metrics
        )
        detail = "; ".join(part for part in (metrics, reason(trial, self._result())) if part)
        return f"[{self.done}/{self.recipe.trials}] trial #{trial.number} {trial.status}: {detail}; {self.time_left()}"

    def summary(self) -> str:
        """One line: done, running, failed, infeasible, the best so far, time left."""
        return (
            f"{self.done}/{self.recipe.trials} done, {len(self.running)} running, "
            f"{self.counts['failed']} failed, {self.counts['infeasible']} infeasible; {self._best()}; "
            f"{self.time_left()}"
        )

    def time_left(self) -> str:
        """An estimate from the pace so far, and the time limit where that comes first."""
        elapsed_s = self._clock() - self._started_s
        left = max(self.recipe.trials - self.done, 0)
        estimates = [elapsed_s / self._told_here * left] if self._told_here else []
        if self.recipe.time_limit_s is not None:
            estimates.append(max(self.recipe.time_limit_s - elapsed_s, 0.0))
        return f"about {_duration(min(estimates))} left" if estimates else "time left unknown"

    def render(self) -> "Group":
        """What stands on the terminal: the summary and the front."""
        from rich.console import Group
        from rich.text import Text

        rows = front_rows(self._result(), BRIEF)
        shown = type(rows)(rows.header, rows.cells[:MAX_ROWS])
        return Group(Text(self.summary()), rich_table(shown, f"front ({len(rows.cells)})"))

    def _result(self) -> Result:
        front = self.front
        return Result(self.recipe, front, front)

    def _best(self) -> str:
        if not self.front:
            return "nothing complete yet"
        best, objective = self.front[0], self.recipe.objectives[0]
        return f"best {objective} {metric_text(best, objective)} (#{best.number})"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
