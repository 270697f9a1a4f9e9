"""What one sees while a search runs: a live table on a terminal, plain lines elsewhere. Decides nothing.

Everything goes to stderr: stdout belongs to the answer of the command.
"""

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nas.objectives import DIRECTIONS
from nas.recipe import Recipe
from nas.report.tables import front_rows, metric_text, reason, rich_table
from nas.result import Result, front_of
from nas.search import Event
from nas.trial import Trial

if TYPE_CHECKING:
    from rich.console import Console, Group

MAX_ROWS = 12


class LiveView:
    """A context manager and the listener that a search tells its events."""

    def __init__(self, recipe: Recipe, console: "Console", clock: Callable[[], float] = time.monotonic) -> None:
        self.recipe = recipe
        self.console = console
        self.trials: list[Trial] = []
        self.running: set[int] = set()
        self._clock = clock
        self._started_s = clock()
        self._told_here = 0
        self._live: Any = None

    def __enter__(self) -> "LiveView":
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(self.render(), console=self.console, refresh_per_second=2, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Hear of something that happened in the search."""
        if event.what == "asked" and event.trial is not None:
            self.running.add(event.trial)
        elif event.told is not None:
            self._told(event.told, event.replayed)
        elif event.what == "started" and self._live is None:
            self._print(f"trial #{event.trial}: {event.stage} started")
        if self._live is not None:
            self._live.update(self.render())

    def _told(self, trial: Trial, replayed: bool) -> None:
        self.running.discard(trial.number)
        self.trials.append(trial)
        if replayed:
            return
        self._told_here += 1
        if self._live is None:
            self._print(self.line(trial))

    def _print(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def line(self, trial: Trial) -> str:
        """One plain line about a finished trial."""
        metrics = ", ".join(
            f"{name} {metric_text(trial, name)}" for name in self.recipe.objectives if name in trial.metrics
        )
        why = reason(trial, self._result())
        detail = "; ".join(part for part in (metrics, why) if part)
        done = len(self._result().candidates)
        return f"[{done}/{self.recipe.trials}] trial #{trial.number} {trial.status}: {detail}; {self.time_left()}"

    def summary(self) -> str:
        """One line: done, running, failed, infeasible, the best so far, time left."""
        result = self._result()
        counts: Counter[str] = Counter(result.counts())
        return (
            f"{len(result.candidates)}/{self.recipe.trials} done, {len(self.running)} running, "
            f"{counts['failed']} failed, {counts['infeasible']} infeasible; {self._best(result)}; "
            f"{self.time_left()}"
        )

    def time_left(self) -> str:
        """An estimate from the pace so far, and the time limit where that comes first."""
        elapsed_s = self._clock() - self._started_s
        left = self.recipe.trials - len(self._result().candidates)
        estimates = [elapsed_s / self._told_here * left] if self._told_here else []
        if self.recipe.time_limit_s is not None:
            estimates.append(max(self.recipe.time_limit_s - elapsed_s, 0.0))
        return f"about {_duration(min(estimates))} left" if estimates else "time left unknown"

    def render(self) -> "Group":
        """What stands on the terminal: the summary and the front."""
        from rich.console import Group
        from rich.text import Text

        result = self._result()
        rows = front_rows(result)
        shown = type(rows)(rows.header, rows.cells[:MAX_ROWS])
        return Group(Text(self.summary()), rich_table(shown, f"front ({len(rows.cells)})"))

    def _result(self) -> Result:
        trials = tuple(sorted(self.trials, key=lambda trial: trial.number))
        return Result(self.recipe, trials, front_of(trials, self.recipe.objectives))

    def _best(self, result: Result) -> str:
        objective = self.recipe.objectives[0]
        done = [t for t in result.candidates if t.status == "complete" and objective in t.metrics]
        if not done:
            return "nothing complete yet"
        pick = max if DIRECTIONS[objective] == "max" else min
        best = pick(done, key=lambda trial: trial.metrics[objective])
        return f"best {objective} {metric_text(best, objective)} (#{best.number})"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
