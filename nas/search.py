"""The loop: ask, journal, submit, collect, journal, tell. Knows nothing of networks, datasets or Ray.

In flight are trials asked and not told, at most `slots`. After every tell the searcher is asked until the
slots are full. With `in_order` trials are told in the order asked, so that the journal depends on the recipe
alone and not on the engine; the price is waiting for the slowest of `slots`. Results that come before their
turn are made durable in the events at once.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal

from evaluators.job import JobKind, Outcome
from nas.attempt import Report
from nas.journal import Journal
from nas.records import Finished, asked_fields, finished, outcome_fields
from nas.replay import Script
from nas.stages import WORK_KINDS, Flight, Result, Stage, Staging
from nas.trial import Proposal, Searcher, Trial, Work
from search_spaces.door import parse_json
from search_spaces.errors import InputError

MAX_DUPLICATES = 50
"""So many proposals in a row without anything to evaluate end a search: the searcher has converged."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something a live view may show. `replayed`: it happened in an earlier run of this search."""

    what: Literal["asked", "started", "finished", "told", "stopped"]
    trial: int | None = None
    stage: JobKind | None = None
    proposal: Proposal | Work | None = None
    outcome: Outcome | None = None
    told: Trial | None = None
    reason: str | None = None
    seconds: float | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class SearchResult:
    """All trials in the order told (those of earlier runs too), and why the search ended, as a sentence."""

    trials: tuple[Trial, ...]
    stop_reason: str
    interrupted: bool = False


def search(
    *,
    searcher: Searcher,
    stages: Sequence[Stage],
    journal: Journal,
    events: Journal,
    engine: Executor,
    recipe_sha256: str,
    slots: int,
    in_order: bool,
    max_trials: int,
    seed: int,
    epochs: int,
    time_limit_s: float | None = None,
    constraints: Mapping[str, float] | None = None,
    needed_metrics: Sequence[str] = (),
    on_event: Callable[[Event], None] | None = None,
    warm: bool = False,
) -> SearchResult:
    """Run, or resume what `journal` holds, until the budget is spent or nothing is left to propose.

    `max_trials` counts proposals, not works, those recorded included. At the time limit (of this run) no
    trial is asked any more; those in flight are finished. A complete trial has all `needed_metrics`. On an
    interrupt or error the engine's jobs are cancelled; the trials in flight are taken up again on resume. The
    caller holds the folder's lock.

    Raises:
        InputError: the journal is of another recipe, replay differs, or a work has no stage.
        OSError: the journal cannot be written; it is as it was before the record.
    """
    loop = _Loop(
        searcher, Script(journal, recipe_sha256, warm=warm), events, on_event or (lambda _: None),
        slots=slots, in_order=in_order, max_trials=max_trials, epochs=epochs, time_limit_s=time_limit_s,
    )  # fmt: skip
    loop.staging = Staging(
        stages=stages, constraints=constraints or {}, needed=needed_metrics, engine=engine,
        known=_with_events(loop.script.known, events), seed=seed, epochs=epochs,
        on_start=loop.job_started, on_done=loop.job_done,
    )  # fmt: skip
    loop.work_kinds = {stage.kind for stage in stages if stage.kind in WORK_KINDS}
    done = False
    try:
        result = loop.run(type(engine).__name__)
        done = True
    except KeyboardInterrupt:
        result = loop.stopped("interrupted; the search can be resumed", interrupted=True)
    finally:
        if not done:
            engine.shutdown(wait=False, cancel_futures=True)
    return result


def _with_events(known: dict[str, Outcome], events: Journal) -> dict[str, Outcome]:
    """Add the results that were made durable before their trial's turn in the journal came."""
    for number, line in enumerate(events.lines, start=1):
        if b'"type":"finished"' in line:
            done = parse_json(Finished, line, f"{events.path} line {number}")
            known.setdefault(done.identity, done.outcome())
    events.lines = []
    return known


class _Loop:
    """The state of one run."""

    staging: Staging
    work_kinds: set[JobKind]

    def __init__(
        self,
        searcher: Searcher,
        script: Script,
        events: Journal,
        on_event: Callable[[Event], None],
        *,
        slots: int,
        in_order: bool,
        max_trials: int,
        epochs: int,
        time_limit_s: float | None,
    ) -> None:
        self.searcher, self.script, self.events, self.on_event = searcher, script, events, on_event
        self.slots, self.in_order, self.max_trials = slots, in_order, max_trials
        self.time_limit_s = time_limit_s
        self.deadline = None if time_limit_s is None else time.monotonic() + time_limit_s
        self.in_flight: dict[int, Flight] = {}
        self.trials: list[Trial] = []
        self.num_asked = self.num_proposals = self.duplicates = 0
        self.epochs = epochs
        self.lineage: dict[int, str] = {}
        self.asked: dict[int, Proposal | Work] = {}
        self.first_with: dict[str, int] = {}
        self.only_in_events: set[str] = set()

    def run(self, engine_name: str) -> SearchResult:
        """Until nothing is in flight and nothing may be asked."""
        self._event("opened", {"engine": engine_name})
        self._take_prior()
        self._fill()
        while self.in_flight:
            self._tell(self._next_finished())
            self._fill()
        return self.stopped(self._why_nothing_is_asked() or "the searcher has nothing more to propose")

    def stopped(self, why: str, *, interrupted: bool = False) -> SearchResult:
        """The result; the reason goes to the events."""
        self._event("stopped", {"reason": why, "trials": len(self.trials)})
        self.script.sync()
        self.events.sync()
        self.on_event(Event("stopped", reason=why))
        return SearchResult(tuple(self.trials), why, interrupted)

    def job_started(self, number: int, stage: JobKind) -> None:
        """A job of trial `number` is submitted."""
        self.on_event(Event("started", number, stage))

    def job_done(self, number: int, result: Result, report: Report, on_engine: bool) -> None:
        """Write a result of the engine down at once; the driver's own are cheap and wait for their turn."""
        if on_engine:
            fields = outcome_fields(number, result.kind, result.identity, result.outcome)
            fields |= {"seconds": report.seconds, "host": report.host, "pid": report.pid}
            self._event("finished", fields)
            self.only_in_events.add(result.identity)
        self.on_event(Event("finished", number, result.kind, outcome=result.outcome, seconds=report.seconds))

    def _take_prior(self) -> None:
        """Tell the searcher what earlier searchers' trials gave; take up what they left in flight."""
        prior = self.script.prior
        self.num_asked = len(prior.asked)
        self.num_proposals = sum(isinstance(asked, Proposal) for asked in prior.asked.values())
        self.asked.update(prior.asked)
        self.lineage.update(prior.last_identity)
        self.first_with.update(prior.first_with)
        for trial in prior.trials:
            self.duplicates = self.duplicates + 1 if prior.reused[trial.number] else 0
            self.trials.append(trial)
            self.searcher.tell(trial)
            self.on_event(Event("told", trial.number, proposal=trial.proposal, told=trial, replayed=True))
        for number, proposal in prior.in_flight.items():
            self._start(number, proposal)

    def _fill(self) -> None:
        """Ask what the record has next; at its end, until the slots are full."""
        while self.script.ask_is_due or (
            not self.script.replaying and len(self.in_flight) < self.slots and not self._why_nothing_is_asked()
        ):
            proposal = self.searcher.ask()
            if proposal is None:
                if self.script.ask_is_due:
                    raise self.script.nothing_asked()
                return
            if isinstance(proposal, Work) and proposal.kind not in self.work_kinds:
                raise InputError(f"the searcher needs {proposal.kind!r} done, but the search has no such stage")
            number, replayed = self.num_asked, self.script.replaying
            self.script.write("asked", asked_fields(number, proposal))
            self.num_asked += 1
            self.num_proposals += isinstance(proposal, Proposal)
            self.on_event(Event("asked", number, proposal=proposal, replayed=replayed))
            self._start(number, proposal)

    def _start(self, number: int, proposal: Proposal | Work) -> None:
        self.asked[number] = proposal
        lineage = None if proposal.parent is None else self.lineage.get(proposal.parent)
        behind = 0 if lineage is None else self._epochs_behind(proposal)
        self.in_flight[number] = flight = Flight(number, proposal, lineage, behind)
        self.staging.start(flight)

    def _epochs_behind(self, proposal: Proposal | Work) -> int:
        """Epochs of the parent where it is the same architecture at a lower fidelity, else 0."""
        assert proposal.parent is not None
        parent = self.asked[proposal.parent]
        if not isinstance(proposal, Proposal) or not isinstance(parent, Proposal):
            return 0
        if parent.architecture.key != proposal.architecture.key:
            return 0
        given, before = (self.epochs if p.epochs is None else p.epochs for p in (proposal, parent))
        return before if before < given else 0

    def _why_nothing_is_asked(self) -> str | None:
        if self.num_proposals >= self.max_trials:
            return f"the budget of {self.max_trials} trials is spent"
        if self.duplicates >= MAX_DUPLICATES:
            return f"{self.duplicates} proposals in a row were all known already: the searcher has nothing new"
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return f"the time limit of {self.time_limit_s:g} s is reached"
        return None

    def _next_finished(self) -> Flight:
        """The trial to tell next: the one the record says, the first asked, or the first that is done."""
        finished = self.staging.finished
        number = self.script.told_next
        if number is None and self.in_order:
            number = next(iter(self.in_flight))
        while not (finished if number is None else number in finished):
            self._make_durable()
            self.staging.step()
        return finished.pop(next(iter(finished)) if number is None else number)

    def _tell(self, flight: Flight) -> None:
        """Journal what became of a trial, then tell the searcher."""
        assert flight.status is not None
        replayed = self.script.replaying
        reused = True
        for result in flight.results:
            fields = outcome_fields(flight.number, result.kind, result.identity, result.outcome)
            first = self.first_with.setdefault(result.identity, flight.number)
            if first != flight.number:
                fields["reused"] = first
            reused = reused and first != flight.number
            self.script.write("stage", fields)
            self.only_in_events.discard(result.identity)
        told: dict[str, object] = {"trial": flight.number, "status": flight.status}
        if flight.error is not None:
            told["error"] = flight.error
        self.script.write("told", told)
        del self.in_flight[flight.number]
        self.duplicates = self.duplicates + 1 if reused else 0
        if flight.status == "complete":
            self.lineage[flight.number] = flight.results[-1].identity
        outcomes = [result.outcome for result in flight.results]
        trial = finished(flight.number, flight.proposal, flight.status, flight.error, outcomes)
        self.trials.append(trial)
        self.searcher.tell(trial)
        self.on_event(Event("told", flight.number, proposal=flight.proposal, told=trial, replayed=replayed))

    def _make_durable(self) -> None:
        """Before a job is submitted or waited for: one fsync for all that led to it, not one a record."""
        self.script.sync()
        if self.only_in_events:
            self.events.sync()
            self.only_in_events.clear()

    def _event(self, what: str, fields: Mapping[str, object]) -> None:
        stamp = {"time": round(time.time(), 3)}
        if what != "finished":
            stamp |= {"host": socket.gethostname(), "pid": os.getpid()}  # type: ignore[dict-item]
        self.events.append(what, {**fields, **stamp}, durable=False)
