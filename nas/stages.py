"""Moves the trials in flight through their stages, cheapest first. Knows nothing of searchers or the journal.

A stage runs in the driver (cost), on the engine (training), or on the engine with the device to itself
(measuring: no trainer may share a core with it). Equal jobs are done once: a result that is known, or under
way for another trial, answers them.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Literal

from evaluators.job import EPOCHS_BEHIND, BatchEvaluator, Evaluator, Job, JobKind, Outcome
from nas.attempt import Report, attempt, reason
from nas.objectives import violated
from nas.trial import Proposal, TrialStatus, Work

WORK_KINDS = ("supernet", "prune")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a trial's evaluation.

    `exclusive` takes a device lease: running jobs are drained, up to `batch` candidates are done in one call
    of `many`, then the others go on. `timeout_s` is for one job (for a batch: times its jobs).
    """

    kind: JobKind
    evaluator: Evaluator | BatchEvaluator
    exclusive: bool = False
    where: Literal["driver", "engine"] = "engine"
    batch: int = 1
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one stage gave a trial."""

    kind: JobKind
    identity: str
    outcome: Outcome


@dataclass(slots=True, eq=False)
class Flight:
    """A trial that is asked and not told; `status` is set when its last stage is done."""

    number: int
    proposal: Proposal | Work
    lineage: str | None
    epochs_behind: int = 0
    """Epochs that the weights it starts from were trained for as the same architecture: it goes on with them."""
    results: list[Result] = field(default_factory=list)
    status: TrialStatus | None = None
    error: str | None = None


@dataclass(slots=True, eq=False)
class _Task:
    stage: Stage
    job: Job
    identity: str
    waiting: list[Flight]


JobListener = Callable[[int, Result, Report, bool], None]
"""(trial number, result, report, whether it ran on the engine): called as soon as a job is done."""

StartListener = Callable[[int, JobKind], None]


class Staging:
    """The trials in flight and the jobs under way. `known` is read and added to."""

    def __init__(
        self,
        *,
        stages: Sequence[Stage],
        constraints: Mapping[str, float],
        needed: Sequence[str],
        engine: Executor,
        known: dict[str, Outcome],
        seed: int,
        epochs: int,
        on_start: StartListener,
        on_done: JobListener,
    ) -> None:
        self._path = tuple(stage for stage in stages if stage.kind not in WORK_KINDS)
        self._work = {stage.kind: stage for stage in stages if stage.kind in WORK_KINDS}
        self._constraints, self._needed = dict(constraints), tuple(needed)
        self._engine, self._known = engine, known
        self._seed, self._epochs = seed, epochs
        self._on_start, self._on_done = on_start, on_done
        self._tasks: dict[str, _Task] = {}
        self._queue: deque[_Task] = deque()
        self._exclusive: deque[_Task] = deque()
        self._running: dict[Future[Report], list[_Task]] = {}
        self._lease = False
        self.finished: dict[int, Flight] = {}
        """Trials whose last stage is done, in that order; the loop takes them out."""

    def start(self, flight: Flight) -> None:
        """Take a trial up; stages that are answered or run in the driver are done when this returns."""
        self._enter(flight)

    def step(self) -> None:
        """Submit what may run now and wait until at least one job is done."""
        self._dispatch()
        assert self._running, "a trial waits, but no job of it is queued or running"
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in [future for future in self._running if future in done]:
            tasks = self._running.pop(future)
            self._lease = False
            self._deliver(tasks, _report(future, len(tasks)))

    def _enter(self, flight: Flight) -> None:
        """Bring `flight` as far as it gets without the engine."""
        while (stage := self._next_stage(flight)) is not None:
            job = self._job(stage, flight)
            identity = job.identity(stage.evaluator.dataset)
            if identity in self._known:
                self._apply(flight, Result(stage.kind, identity, self._known[identity]))
            elif identity in self._tasks:
                self._tasks[identity].waiting.append(flight)
                return
            else:
                self._tasks[identity] = task = _Task(stage, job, identity, [flight])
                if stage.where == "engine":
                    (self._exclusive if stage.exclusive else self._queue).append(task)
                    return
                self._on_start(flight.number, stage.kind)
                self._settle(task, attempt(stage.evaluator, [job], False, stage.timeout_s), 0)

    def _next_stage(self, flight: Flight) -> Stage | None:
        if flight.status is not None:
            return None
        if isinstance(flight.proposal, Work):
            return self._work[flight.proposal.kind]
        return self._path[len(flight.results)]

    def _job(self, stage: Stage, flight: Flight) -> Job:
        proposal = flight.proposal
        if isinstance(proposal, Work):
            return Job(
                stage.kind,
                proposal.architecture,
                proposal.payload,
                proposal.epochs,
                self._seed,
                flight.lineage,
            )
        if stage.kind in ("cost", "measure"):
            # Neither depends on weights: without epochs, seed and lineage, equal networks are measured once.
            return Job(stage.kind, proposal.architecture)
        epochs = self._epochs if proposal.epochs is None else proposal.epochs
        payload = ((EPOCHS_BEHIND, flight.epochs_behind),) if flight.epochs_behind else ()
        return Job(stage.kind, proposal.architecture, payload, epochs, self._seed, flight.lineage)

    def _dispatch(self) -> None:
        if self._lease:
            return
        busy = bool(self._running or self._queue)
        if self._exclusive and (len(self._exclusive) >= self._exclusive[0].stage.batch or not busy):
            if not self._running:  # else the trainers are drained first: nothing new is submitted
                self._submit_batch()
            return
        # A result that is there already (an engine that runs on submit) is made durable before the next job starts.
        while self._queue and not any(future.done() for future in self._running):
            self._submit([self._queue.popleft()], batched=False)

    def _submit_batch(self) -> None:
        stage = self._exclusive[0].stage
        batched = hasattr(stage.evaluator, "many")
        tasks = [self._exclusive.popleft()]
        while batched and len(tasks) < stage.batch and self._exclusive and self._exclusive[0].stage is stage:
            tasks.append(self._exclusive.popleft())
        self._lease = True
        self._submit(tasks, batched=batched)

    def _submit(self, tasks: list[_Task], *, batched: bool) -> None:
        stage = tasks[0].stage
        for task in tasks:
            self._on_start(task.waiting[0].number, stage.kind)
        timeout_s = None if stage.timeout_s is None else stage.timeout_s * len(tasks)
        jobs = [task.job for task in tasks]
        self._running[self._engine.submit(attempt, stage.evaluator, jobs, batched, timeout_s)] = tasks

    def _deliver(self, tasks: Sequence[_Task], report: Report) -> None:
        # All are settled (and made durable) before any trial goes on, which may take time in the driver.
        flights = [flight for index, task in enumerate(tasks) for flight in self._settle(task, report, index)]
        for flight in flights:
            self._enter(flight)

    def _settle(self, task: _Task, report: Report, index: int) -> list[Flight]:
        result = Result(task.stage.kind, task.identity, report.outcomes[index])
        self._known[task.identity] = result.outcome
        del self._tasks[task.identity]
        self._on_done(task.waiting[0].number, result, report, task.stage.where == "engine")
        for flight in task.waiting:
            self._apply(flight, result)
        return task.waiting

    def _apply(self, flight: Flight, result: Result) -> None:
        flight.results.append(result)
        if result.outcome.error is not None:
            self._finish(flight, "failed", result.outcome.error)
            return
        if isinstance(flight.proposal, Work):
            self._finish(flight, "complete", None)
            return
        metrics = {name: number for done in flight.results for name, number in done.outcome.metrics.items()}
        broken = violated(self._constraints, metrics)
        if broken is not None:
            self._finish(flight, "infeasible", broken)
        elif len(flight.results) == len(self._path):
            missing = [name for name in (*self._constraints, *self._needed) if name not in metrics]
            if missing:
                self._finish(flight, "failed", f"no stage reports the metric {missing[0]}")
            else:
                self._finish(flight, "complete", None)

    def _finish(self, flight: Flight, status: TrialStatus, error: str | None) -> None:
        flight.status, flight.error = status, error
        self.finished[flight.number] = flight


def _report(future: Future[Report], num_jobs: int) -> Report:
    error = future.exception()
    if error is None:
        return future.result()
    return Report((Outcome(error=reason(error)),) * num_jobs, 0.0, "", 0)
