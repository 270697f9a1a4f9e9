"""The loop: order, stages, duplicates, failures."""

from pathlib import Path

import pytest
from scripted import Listed, Recorder, proposal
from toy_search import COST, ToyMeasure, ToyTrain, toy_search

from evaluators.job import EPOCHS_BEHIND
from nas.engines import make_engine
from nas.records import Asked, Begin, StageDone, history, read_records
from nas.search import Event
from nas.stages import Stage
from nas.trial import Work
from search_spaces.errors import InputError


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
    assert child.payload == ((EPOCHS_BEHIND, 1),), "the same architecture goes on with what is behind it"


@pytest.mark.parametrize("epochs", [1, None])
def test_a_repetition_or_another_architecture_has_no_epochs_behind_it(tmp_path: Path, epochs: int | None) -> None:
    recorder = Recorder()
    searcher = Listed([proposal(), proposal(parent=0, epochs=epochs), proposal(parent=0, epochs=3, node0_op=1)])
    toy_search(tmp_path, searcher, stages=[Stage("train", recorder)], slots=1)
    assert [job.payload for job in recorder.jobs] == [(), (), ()]
    assert all(job.init_from is not None for job in recorder.jobs[1:])


def test_what_is_behind_survives_a_warm_resume(tmp_path: Path) -> None:
    recorder = Recorder()
    stages = [Stage("train", recorder)]
    toy_search(tmp_path, Listed([proposal(epochs=2)]), stages=stages, slots=1)
    toy_search(tmp_path, Listed([proposal(parent=0, epochs=5)]), stages=stages, slots=1, warm=True)
    assert [(job.epochs, job.payload) for job in recorder.jobs] == [(2, ()), (5, ((EPOCHS_BEHIND, 2),))]


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
