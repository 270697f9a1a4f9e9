"""The end of a trial: an evaluator is called, and whatever happens is an outcome. Knows nothing of engines.

It runs in the driver or in a worker, and is the one place of the project that catches every exception.
"""

import math
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from evaluators.job import BatchEvaluator, Evaluator, Job, Outcome

_MAX_ERROR_CHARS = 500


@dataclass(frozen=True, slots=True)
class Report:
    """One outcome a job, and what is worth knowing but not the same on every run."""

    outcomes: tuple[Outcome, ...]
    seconds: float
    host: str
    pid: int


def attempt(
    evaluator: Evaluator | BatchEvaluator, jobs: Sequence[Job], batched: bool, timeout_s: float | None
) -> Report:
    """Do the jobs; a failure is an outcome with its reason. One job, unless `batched`."""
    start = time.perf_counter()
    try:
        with _deadline(timeout_s):
            outcomes = tuple(evaluator.many(jobs)) if batched else (evaluator(jobs[0]),)  # type: ignore[union-attr]
        if len(outcomes) != len(jobs):
            raise ValueError(f"the evaluator gave {len(outcomes)} outcomes for {len(jobs)} jobs")
        outcomes = tuple(checked(outcome) for outcome in outcomes)
    except Exception as error:  # noqa: BLE001 - the end of a trial: any failure is the trial's, with its reason
        outcomes = (Outcome(error=reason(error)),) * len(jobs)
    return Report(outcomes, time.perf_counter() - start, socket.gethostname(), os.getpid())


def reason(error: BaseException) -> str:
    """An exception as one line for the record."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:_MAX_ERROR_CHARS] if text else type(error).__name__


def checked(outcome: Outcome) -> Outcome:
    """The outcome with plain, finite metrics in a fixed order; NaN and infinity are failures."""
    if outcome.error is not None:
        return Outcome({}, outcome.error[:_MAX_ERROR_CHARS], outcome.artefact)
    metrics = {name: float(outcome.metrics[name]) for name in sorted(outcome.metrics)}
    for name, number in metrics.items():
        if not math.isfinite(number):
            return Outcome({}, f"metric {name} is {number}", outcome.artefact)
    return Outcome(metrics, None, outcome.artefact)


@contextmanager
def _deadline(timeout_s: float | None) -> Iterator[None]:
    """Raise TimeoutError after `timeout_s`; only in a main thread, which jobs have on every engine."""
    if timeout_s is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"not done after {timeout_s:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
