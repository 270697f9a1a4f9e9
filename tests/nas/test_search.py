"""The loop: order, stages, duplicates, failures, limits, interrupts."""

import json
import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from toy_search import COST, ToyMeasure, ToyTrain, journal_of, toy_search

from evaluators.job import Job, Outcome
from nas.engines import make_engine
from nas.journal import Journal
from nas.records import Asked, Begin, StageDone, Told, history, read_records
from nas.search import Event
from nas.stages import Stage
from nas.trial import Proposal, Trial, Work
from search_spaces.decisions import replay
from search_spaces.errors import InputError
from search_spaces.toy import ToySpace, toy_metrics

SPACE = ToySpace()
POINT = {"depth": 0, "node0.op": 0}


@dataclass
class Listed:
    """Proposes what it is given, remembers what it is told."""

    left: list[Proposal | Work | None]
    told: list[Trial] = field(default_factory=list)

    def ask(self) -> Proposal | Work | None:
        return self.left.pop(0) if self.left else None

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)


def proposal(parent: int | None = None, epochs: int | None = None, **changes: int) -> Proposal:
    genotype = {**POINT, **{name.replace("_", "."): index for name, index in changes.items()}}
    return Proposal(genotype, replay(SPACE, genotype), parent, epochs)


@dataclass(frozen=True)
class Recorder:
    """An evaluator that keeps the jobs it was given."""

    jobs: list[Job] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=lambda: {"miou": 0.5})
    dataset: str = "recorder"

    def __call__(self, job: Job) -> Outcome:
        self.jobs.append(job)
        return Outcome(self.metrics, artefact=f"checkpoints/{len(self.jobs)}")


def test_records_of_a_trial_stand_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    result = toy_search(tmp_path, trials=5, slots=2)
    records = read_records(tmp_path / "journal.jsonl")
    assert isinstance(records[0], Begin)
    kinds = [(type(record).__name__, record.trial) for record in records[1:]]  # type: ignore[union-attr]
    tell = [[("StageDone", n), ("StageDone", n), ("Told", n)] for n in range(5)]
    ask = [[("Asked", n)] for n in range(5)]
    expected = [ask[0], ask[1], tell[0], ask[2], tell[1], ask[3], tell[2], ask[4], tell[3], tell[4]]
    assert kinds == [kind for group in expected for kind in group]
    stages = [record.stage for record in records if isinstance(record, StageDone) and record.trial == 3]
    assert stages == ["cost", "train"]
    assert [trial.number for trial in result.trials] == [0, 1, 2, 3, 4]
    assert result.stop_reason == "the budget of 5 trials is spent"
    assert history(records).trials == result.trials
    assert set(result.trials[0].metrics) == {"miou", "latency_ms"}
    assert result.trials[0].artefact is not None


def test_never_more_in_flight_than_slots(tmp_path: Path) -> None:
    levels, level = [], 0

    def watch(event: Event) -> None:
        nonlocal level
        level += {"asked": 1, "told": -1}.get(event.what, 0)
        levels.append(level)

    toy_search(tmp_path, trials=20, slots=4, on_event=watch)
    assert max(levels) == 4
    assert levels[-1] == 0


def test_over_budget_is_infeasible_and_never_trained(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    stages = (COST, Stage("train", ToyTrain(log=str(calls))))
    result = toy_search(tmp_path / "run", stages=stages, trials=20, constraints={"latency_ms": 5.0})
    infeasible = [trial for trial in result.trials if trial.status == "infeasible"]
    assert 0 < len(infeasible) < 20
    for trial in infeasible:
        assert "miou" not in trial.metrics
        assert trial.error is not None
        assert "is over the budget 5" in trial.error
    assert len(list(calls.iterdir())) == 20 - len(infeasible)


def test_duplicates_are_answered_from_the_record(tmp_path: Path) -> None:
    recorder = Recorder()
    searcher = Listed([proposal(), proposal(node0_op=1), proposal(), proposal(epochs=7)])
    result = toy_search(tmp_path, searcher, stages=[Stage("train", recorder)], slots=3, trials=9)
    assert len(recorder.jobs) == 3
    done = [record for record in read_records(tmp_path / "journal.jsonl") if isinstance(record, StageDone)]
    assert [record.reused for record in done] == [None, None, 0, None]
    assert done[2].metrics == done[0].metrics
    assert result.stop_reason == "the searcher has nothing more to propose"


def test_fifty_duplicates_in_a_row_end_the_search(tmp_path: Path) -> None:
    result = toy_search(tmp_path, Listed([proposal() for _ in range(500)]), trials=500, slots=1)
    assert len(result.trials) == 51
    assert result.stop_reason.startswith("50 proposals in a row were all known already")


def test_equal_jobs_in_flight_run_once(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    stages = [Stage("train", ToyTrain(log=str(calls), seconds=0.5))]
    toy_search(
        tmp_path / "run", Listed([proposal()] * 4), stages=stages, slots=4, engine=lambda: make_engine("process", 2)
    )
    assert [path.read_text() for path in calls.iterdir()] == ["x"]


def test_failures_have_their_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    stages = (COST, Stage("train", ToyTrain(fails="01234567")))
    result = toy_search(tmp_path, "evolution", stages=stages, trials=30, slots=4, options={"population": 4})
    failed = [trial for trial in result.trials if trial.status == "failed"]
    assert 5 < len(failed) < 25
    assert len(result.trials) == 30
    assert all(trial.error is not None and trial.error.startswith("RuntimeError: planted") for trial in failed)
    assert all("miou" not in trial.metrics and "latency_ms" in trial.metrics for trial in failed)


@pytest.mark.parametrize(
    ("metrics", "error"),
    [
        ({"miou": float("nan")}, "metric miou is nan"),
        ({"miou": float("inf")}, "metric miou is inf"),
        ({"dice": 0.5}, "no stage reports the metric miou"),
    ],
)
def test_a_number_that_is_none_is_a_failure(tmp_path: Path, metrics: dict[str, float], error: str) -> None:
    searcher = Listed([proposal()])
    toy_search(tmp_path, searcher, stages=[Stage("train", Recorder(metrics=metrics))], needed_metrics=("miou",))
    assert searcher.told[0].status == "failed"
    assert searcher.told[0].error == error


def test_time_out_is_a_failure(tmp_path: Path) -> None:
    stages = [Stage("train", ToyTrain(seconds=60.0), timeout_s=0.1)]
    searcher = Listed([proposal()])
    toy_search(tmp_path, searcher, stages=stages)
    assert searcher.told[0].error == "TimeoutError: not done after 0.1 s"


def test_lineage_seed_and_epochs_reach_the_job(tmp_path: Path) -> None:
    recorder = Recorder()
    searcher = Listed([proposal(), proposal(parent=0, epochs=3), proposal(node0_op=1)])
    toy_search(tmp_path, searcher, stages=[COST, Stage("train", recorder)], slots=1)
    parent, child, other = recorder.jobs
    assert parent.init_from is None
    assert child.init_from == parent.identity("recorder")
    assert (child.epochs, other.epochs) == (3, 1)


def test_work_is_journaled_done_by_its_own_stage_and_told(tmp_path: Path) -> None:
    slices, trained = Recorder(metrics={"frames_seen": 100.0}), Recorder()
    work = Work("supernet", proposal().architecture, (("slice", 0),), epochs=2)
    searcher = Listed([work, proposal(parent=0)])
    stages = [Stage("supernet", slices), Stage("train", trained)]
    result = toy_search(tmp_path, searcher, stages=stages, slots=1, trials=1, needed_metrics=("miou",))
    assert [trial.status for trial in searcher.told] == ["complete", "complete"]
    assert (slices.jobs[0].kind, slices.jobs[0].payload, slices.jobs[0].epochs) == ("supernet", (("slice", 0),), 2)
    assert trained.jobs[0].init_from == slices.jobs[0].identity("recorder")
    assert len(result.trials) == 2, "a work is no candidate and does not count against the budget"
    asked = [record for record in read_records(tmp_path / "journal.jsonl") if isinstance(record, Asked)]
    assert asked[0].proposal() == work


def test_work_without_a_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs 'prune' done, but the search has no such stage"):
        toy_search(tmp_path, Listed([Work("prune", proposal().architecture)]))


def test_a_later_proposal_may_wait_for_a_tell(tmp_path: Path) -> None:
    searcher = Listed([proposal(), None, proposal(node0_op=1)])
    toy_search(tmp_path, searcher, slots=4)
    assert [trial.number for trial in searcher.told] == [0, 1]


class _Spans:
    """Which stage runs when, from the events."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.together: set[frozenset[str]] = set()

    def __call__(self, event: Event) -> None:
        if event.stage in ("measure", "train"):
            assert event.stage is not None
            (self.running.append if event.what == "started" else self.running.remove)(event.stage)
            self.together.add(frozenset(self.running))


@pytest.mark.parametrize("batch", [2, 4])  # below the slots, trainers run when a batch is full and must be drained
def test_measuring_has_the_device_to_itself_and_goes_in_batches(tmp_path: Path, batch: int) -> None:
    log, spans = tmp_path / "batches", _Spans()
    stages = (
        COST,
        Stage("measure", ToyMeasure(log=str(log)), exclusive=True, batch=batch),
        Stage("train", ToyTrain(seconds=0.3)),
    )
    toy_search(
        tmp_path / "run", stages=stages, slots=4, trials=16, on_event=spans, engine=lambda: make_engine("process", 2)
    )
    assert frozenset({"measure", "train"}) not in spans.together
    assert {frozenset({"measure"}), frozenset({"train"})} <= spans.together
    sizes = [int(line) for line in log.read_text().split()]
    assert sum(sizes) == 16
    assert sizes[0] == batch
    assert max(sizes) <= batch


def test_time_limit_stops_asking_and_finishes_what_is_in_flight(tmp_path: Path) -> None:
    stages = [Stage("train", ToyTrain(seconds=0.2))]
    result = toy_search(tmp_path, stages=stages, trials=1000, slots=2, time_limit_s=0.5)
    assert result.stop_reason == "the time limit of 0.5 s is reached"
    assert 2 <= len(result.trials) < 1000
    records = read_records(tmp_path / "journal.jsonl")
    assert sum(isinstance(r, Asked) for r in records) == sum(isinstance(r, Told) for r in records)


@pytest.mark.parametrize("engine", ["inline", "process"])
def test_interrupt_leaves_a_journal_that_resumes(tmp_path: Path, engine: str) -> None:
    stages = (COST, Stage("train", ToyTrain(seconds=0.1)))
    toy_search(tmp_path / "whole", stages=stages, trials=10)

    def interrupt(event: Event) -> None:
        if event.what == "told" and event.trial == 3:
            main = threading.main_thread().ident
            assert main is not None
            threading.Timer(0.03, signal.pthread_kill, (main, signal.SIGINT)).start()

    result = toy_search(
        tmp_path / "cut", stages=stages, trials=10, on_event=interrupt, engine=lambda: make_engine(engine, 2)
    )
    assert result.interrupted
    assert "can be resumed" in result.stop_reason
    assert 4 <= len(result.trials) < 10
    result = toy_search(tmp_path / "cut", stages=stages, trials=10)
    assert not result.interrupted
    assert journal_of(tmp_path / "cut") == journal_of(tmp_path / "whole")


def test_out_of_order_tells_what_is_done_first_and_resumes(tmp_path: Path) -> None:
    stages = (COST, Stage("train", ToyTrain(seconds=0.15)))

    def run(trials: int) -> list[int]:
        result = toy_search(
            tmp_path, "evolution", stages=stages, slots=4, trials=trials, in_order=False, options={"population": 4},
            engine=lambda: make_engine("process", 3),
        )  # fmt: skip
        return [trial.number for trial in result.trials]

    first = run(12)
    assert sorted(first) == list(range(12))
    assert first != sorted(first)
    again = run(16)
    assert again[:12] == first
    assert sorted(again) == list(range(16))


def test_results_before_their_turn_are_durable_and_not_run_again(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    stages = (COST, Stage("train", ToyTrain(log=str(calls))))
    toy_search(tmp_path / "run", stages=stages, trials=8, slots=8)
    # The driver died after the asks: no trial is told, but the events hold every result.
    whole = journal_of(tmp_path / "run")
    (tmp_path / "run" / "journal.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:9]))
    toy_search(tmp_path / "run", stages=stages, trials=8, slots=8)
    assert journal_of(tmp_path / "run") == whole
    assert {path.read_text() for path in calls.iterdir()} == {"x"}


def test_full_disk_stops_cleanly_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_search(tmp_path / "whole", trials=8)
    real, left = Journal.append, [20]

    def full(self: Journal, type_: str, fields: dict[str, object], *, durable: bool = True) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        real(self, type_, fields, durable=durable)

    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(OSError, match="No space left"):
        toy_search(tmp_path / "cut", trials=8)
    monkeypatch.setattr(Journal, "append", real)
    toy_search(tmp_path / "cut", trials=8)
    assert journal_of(tmp_path / "cut") == journal_of(tmp_path / "whole")


def test_events_hold_times_and_the_journal_does_not(tmp_path: Path) -> None:
    toy_search(tmp_path, trials=3)
    events = (tmp_path / "events.jsonl").read_text()
    for word in ("seconds", "host", "pid", "time", "opened", "stopped"):
        assert f'"{word}"' in events
        assert f'"{word}"' not in journal_of(tmp_path).decode()


def test_on_event_sees_asks_stages_tells_and_the_end(tmp_path: Path) -> None:
    seen: list[Event] = []
    toy_search(tmp_path, trials=1, slots=1, on_event=seen.append)
    assert [(event.what, event.stage) for event in seen] == [
        ("asked", None), ("started", "cost"), ("finished", "cost"), ("started", "train"), ("finished", "train"),
        ("told", None), ("stopped", None),
    ]  # fmt: skip
    again: list[Event] = []
    toy_search(tmp_path, trials=1, slots=1, on_event=again.append)
    assert [(event.what, event.replayed) for event in again] == [("asked", True), ("told", True), ("stopped", False)]


def test_constraint_nobody_reports_is_not_silently_kept(tmp_path: Path) -> None:
    searcher = Listed([proposal()])
    toy_search(tmp_path, searcher, constraints={"state_kb": 5.0})
    assert searcher.told[0].error == "no stage reports the metric state_kb"


def test_all_that_led_to_a_job_is_durable_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: dict[str, int] = {}
    real = os.fsync

    def sync(fd: int) -> None:
        real(fd)
        path = Path(f"/proc/self/fd/{fd}").readlink()
        synced[path.name] = path.stat().st_size

    monkeypatch.setattr(os, "fsync", sync)
    found: list[int] = []

    @dataclass(frozen=True)
    class Checks(ToyTrain):
        def __call__(self, job: Job) -> Outcome:
            assert synced["journal.jsonl"] == len(journal_of(tmp_path))
            # A result that is not in the journal must be durable in the events.
            events = (tmp_path / "events.jsonl").read_bytes()
            pending = [line for line in events[synced.get("events.jsonl", 0) :].splitlines() if b"finished" in line]
            for line in pending:
                assert json.loads(line)["identity"].encode() in journal_of(tmp_path)
            found.append(len(pending))
            return Outcome({"miou": toy_metrics(job.architecture)["miou"]})

    result = toy_search(tmp_path, stages=[COST, Stage("train", Checks())], trials=10, slots=4)
    assert [trial.error for trial in result.trials] == [None] * 10
    assert len(found) == 10
    assert synced["journal.jsonl"] == len(journal_of(tmp_path))
