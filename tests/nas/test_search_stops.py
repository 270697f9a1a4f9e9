"""The loop stops: time limits, interrupts, full disks, and what is durable then."""

import json
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from scripted import Listed, proposal
from toy_search import COST, ToyTrain, journal_of, toy_search

from evaluators.job import Job, Outcome
from nas.engines import make_engine
from nas.journal import Journal
from nas.records import Asked, Told, read_records
from nas.search import Event
from nas.stages import Stage
from search_spaces.toy import toy_metrics


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
