"""Resume is replay: cut anywhere, killed anywhere, the journal comes out as if nothing had happened."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from toy_search import COST, ToyTrain, journal_of, toy_search

from nas.journal import Journal, read_lines
from nas.records import StageDone, Told, Warm, history, read_records
from nas.stages import Stage
from nas.trial import Proposal, Trial, Work
from search_spaces.errors import InputError
from search_spaces.toy import ToySpace

HERE = Path(__file__).parent
OPTIONS = {"random": {}, "evolution": {"population": 4, "sample": 2}, "ppo": {"batch": 3, "passes": 1, "hidden": 8}}


@pytest.mark.parametrize("step", [29, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("searcher", ["random", "evolution"])
@pytest.mark.parametrize("in_order", [True, False])
def test_cut_at_every_byte_then_resumed_is_the_uninterrupted_journal(
    tmp_path: Path, searcher: str, in_order: bool, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Durability has its own tests; thousands of fsyncs would only make this one slow.
    monkeypatch.setattr("os.fsync", lambda _: None)

    def run(folder: Path) -> None:
        toy_search(
            folder, searcher, trials=5, slots=2, in_order=in_order, options=OPTIONS[searcher], space=ToySpace((1, 2))
        )

    run(tmp_path / "whole")
    whole = journal_of(tmp_path / "whole")
    folder = tmp_path / "cut"
    folder.mkdir()
    for cut in range(0, len(whole) + 1, step):
        (folder / "journal.jsonl").write_bytes(whole[:cut])
        (folder / "events.jsonl").unlink(missing_ok=True)
        run(folder)
        assert journal_of(folder) == whole, f"cut at byte {cut}"


def test_policy_cut_at_random_bytes_resumes_exactly(tmp_path: Path) -> None:
    def run(folder: Path) -> None:
        toy_search(folder, "ppo", trials=14, slots=4, options=OPTIONS["ppo"])

    run(tmp_path / "whole")
    whole = journal_of(tmp_path / "whole")
    folder = tmp_path / "cut"
    folder.mkdir()
    for cut in random.Random(0).sample(range(len(whole)), 12):
        (folder / "journal.jsonl").write_bytes(whole[:cut])
        (folder / "events.jsonl").unlink(missing_ok=True)
        run(folder)
        assert journal_of(folder) == whole, f"cut at byte {cut}"


def test_no_finished_job_runs_again(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    stages = (COST, Stage("train", ToyTrain(log=str(calls))))
    for trials in (5, 5, 12):
        toy_search(tmp_path / "run", stages=stages, trials=trials)
    assert {path.read_text() for path in calls.iterdir()} == {"x"}
    assert len(list(calls.iterdir())) == 12


def test_changed_recipe_is_refused(tmp_path: Path) -> None:
    toy_search(tmp_path, trials=2)
    before = journal_of(tmp_path)
    with pytest.raises(InputError, match=r"is of another recipe \(sha256 000000000000\.\.\., given 111111111111"):
        toy_search(tmp_path, trials=2, recipe="1" * 64)
    assert journal_of(tmp_path) == before


def test_another_searcher_is_refused_with_the_difference_and_the_remedy(tmp_path: Path) -> None:
    toy_search(tmp_path, trials=4, seed=0)
    before = journal_of(tmp_path)
    expected = r"journal.jsonl line 2 \(trial 0\): replay differs: \w+.* in the record and .* now.*`resume --warm`"
    with pytest.raises(InputError, match=expected):
        toy_search(tmp_path, trials=4, seed=1)
    assert journal_of(tmp_path) == before


def test_another_dataset_is_refused_at_the_stage(tmp_path: Path) -> None:
    toy_search(tmp_path, trials=2)
    with pytest.raises(InputError, match="replay differs: identity is"):
        toy_search(tmp_path, trials=2, stages=(COST, Stage("train", ToyTrain(dataset="other"))))


def test_warm_tells_everything_as_prior_data_and_goes_on(tmp_path: Path) -> None:
    class Listening:
        """A fresh searcher that asks for what was never asked."""

        def __init__(self) -> None:
            self.told: list[Trial] = []

        def ask(self) -> Proposal | Work | None:
            known = {trial.proposal.architecture.key for trial in self.told}
            for proposal in fresh:
                if proposal.architecture.key not in known:
                    return proposal
            return None

        def tell(self, trial: Trial) -> None:
            self.told.append(trial)

    toy_search(tmp_path / "other", "random", trials=12, seed=5)
    fresh = [t.proposal for t in history(read_records(tmp_path / "other" / "journal.jsonl")).trials]
    first = toy_search(tmp_path / "run", "evolution", trials=6, slots=1, options=OPTIONS["evolution"])
    searcher = Listening()
    result = toy_search(tmp_path / "run", searcher, trials=9, slots=1, warm=True)
    assert searcher.told[:6] == list(first.trials)
    assert [trial.number for trial in result.trials] == list(range(9))
    whole = journal_of(tmp_path / "run")
    # A later replay of such a journal works: only what follows the mark is asked again.
    again = toy_search(tmp_path / "run", Listening(), trials=9, slots=1)
    assert again.trials == result.trials
    assert journal_of(tmp_path / "run") == whole
    assert sum(isinstance(record, Warm) for record in read_records(tmp_path / "run" / "journal.jsonl")) == 1


def test_warm_takes_up_what_was_in_flight(tmp_path: Path) -> None:
    toy_search(tmp_path, "evolution", trials=8, slots=4, options=OPTIONS["evolution"])
    lines = journal_of(tmp_path).splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines[:13]))
    before = history(read_records(tmp_path / "journal.jsonl"))
    assert before.in_flight
    result = toy_search(tmp_path, "random", trials=10, slots=4, warm=True, seed=9)
    assert sorted(trial.number for trial in result.trials) == list(range(10))
    again = toy_search(tmp_path, "random", trials=10, slots=4, seed=9)
    assert again.trials == result.trials


def test_more_trials_on_resume(tmp_path: Path) -> None:
    first = toy_search(tmp_path, trials=4)
    second = toy_search(tmp_path, trials=7)
    assert second.trials[:4] == first.trials
    assert len(second.trials) == 7


def test_damaged_events_are_named(tmp_path: Path) -> None:
    toy_search(tmp_path, trials=3)
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "events.jsonl").write_bytes(lines[0] + b"rubbish\n" + lines[2])
    with pytest.raises(InputError, match=r"events.jsonl line 2: is no journal record"):
        toy_search(tmp_path, trials=3)


def test_record_of_another_version_is_named(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append("begin", {"version": 1, "recipe": "0" * 64})
        journal.append("told", {"trial": 0, "status": "lost"})
    with pytest.raises(InputError, match=r"journal.jsonl line 2: field status: given 'lost'"):
        toy_search(tmp_path)


def test_status_is_read_while_another_writes(tmp_path: Path) -> None:
    toy_search(tmp_path, trials=3)
    whole = journal_of(tmp_path)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"n":99,"type":"as')
    assert len(read_lines(tmp_path / "journal.jsonl")) == whole.count(b"\n")


def _drive(folder: Path, calls: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, str(HERE / "toy_driver.py"), str(folder), str(calls)])


def test_driver_killed_at_random_moments_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """A few rounds; `experiments/faults_driver.py` does many."""
    calls = tmp_path / "calls"
    calls.mkdir()
    toy_search(tmp_path / "whole", "evolution", trials=30, slots=3, options=OPTIONS["evolution"])
    rng = random.Random(0)
    folder = tmp_path / "run"
    kills = 0
    for _ in range(4):
        done = len(list(calls.iterdir()))
        process = _drive(folder, calls)
        while len(list(calls.iterdir())) <= done and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 3
    assert _drive(folder, calls).wait() == 0
    assert journal_of(folder) == journal_of(tmp_path / "whole")
    told = [record for record in read_records(folder / "journal.jsonl") if isinstance(record, Told)]
    assert [record.trial for record in told] == list(range(30))
    # Only the job that a kill cut off may have been started twice: one worker, so one job a kill.
    repeated = sum(len(path.read_text()) - 1 for path in calls.iterdir())
    assert repeated <= kills


def test_trials_of_the_record_are_those_of_the_run(tmp_path: Path) -> None:
    stages = (COST, Stage("train", ToyTrain(fails="0123")))
    result = toy_search(tmp_path, stages=stages, trials=15, constraints={"latency_ms": 7.0})
    assert {trial.status for trial in result.trials} == {"complete", "infeasible", "failed"}
    found = history(read_records(tmp_path / "journal.jsonl"))
    assert found.trials == result.trials
    first = next(r for r in read_records(tmp_path / "journal.jsonl") if isinstance(r, StageDone))
    with pytest.raises(AttributeError, match="trial"):
        first.trial = 3  # type: ignore[misc]
    assert replace(first, trial=3) != first
