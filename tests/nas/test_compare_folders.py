"""Folders as arms and runs: what a trial costs, which folders compare, what is said of those that are not whole."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from scripted import Listed, proposal
from toy_search import ToyMeasure, journal_of, toy_search

from evaluators.job import Job, Outcome
from nas import api
from nas.compare.arms import arm_names, refuse_mixed
from nas.compare.folders import read_material
from nas.lock import FolderLock
from nas.recipe import Recipe
from nas.search_folder import Run, write_recipe, write_run
from nas.stages import Stage
from nas.trial import Proposal, Work
from search_spaces.errors import InputError

TOY = Recipe(space="toy", searcher="random", trials=6)
FRAMES = 100.0


@dataclass(frozen=True)
class Trainer:
    """Sees 100 frames an epoch and says so, but for the keys that fail."""

    fails: tuple[str, ...] = ()
    says: bool = True
    dataset: str = "trainer"

    def __call__(self, job: Job) -> Outcome:
        if job.architecture.key in self.fails:
            raise RuntimeError("diverged")
        frames = {"frames_seen": FRAMES * job.epochs} if self.says else {}
        return Outcome({"miou": 0.5, **frames})


def searched(folder: Path, asks: list[Proposal | Work | None], recipe: Recipe = TOY, **trainer: Any) -> Path:
    """A folder whose journal comes from the real loop: measured, then trained; works in slices of 100 frames."""
    stages = [
        Stage("measure", ToyMeasure()), Stage("train", Trainer(**trainer)), Stage("supernet", Trainer(**trainer)),
    ]  # fmt: skip
    toy_search(folder, Listed(asks), stages=stages, slots=1, trials=100)
    write_recipe(folder, recipe)
    write_run(folder, Run(ended="the searcher has nothing more to propose"))
    return folder


def toy(folder: Path, **fields: Any) -> Path:
    api.search(replace(TOY, **fields), out=folder)
    return folder


class TestCosts:
    def test_frames_and_measurements_works_included_and_nothing_for_what_is_known(self, tmp_path: Path) -> None:
        one, two = proposal(epochs=2), proposal(epochs=3)
        work = Work("supernet", one.architecture, (("slice", 0),), epochs=4)
        folder = searched(tmp_path / "a", [work, one, one, two, proposal(node0_op=1, epochs=1)])
        (arm,) = read_material([folder]).arms
        steps = arm.runs[0].steps
        # The work trains; the second time all is known; the third trains longer, its latency is known.
        assert [step.spent for step in steps] == [400, 1 + 200, 0, 300, 1 + 100]
        assert [step.evaluations for step in steps] == [1, 1, 0, 1, 1]
        assert [step.losses is None for step in steps] == [True, False, False, False, False]
        assert [step.cost for step in steps[1:]] == [step.losses[1] for step in steps[1:]]  # type: ignore[index]

    def test_a_training_that_fails_is_charged_its_whole_length(self, tmp_path: Path) -> None:
        fine, bad = proposal(epochs=2), proposal(node0_op=1, epochs=5)
        folder = searched(tmp_path / "a", [fine, bad], fails=(bad.architecture.key,))
        (run,) = read_material([folder]).arms[0].runs
        assert [step.spent for step in run.steps] == [201, 501]
        assert run.steps[1].losses is None

    def test_a_kind_that_never_succeeded_is_charged_like_the_dearest(self, tmp_path: Path) -> None:
        fine, base = proposal(epochs=1), proposal(node0_op=1)
        work = Work("supernet", base.architecture, epochs=7)
        folder = searched(tmp_path / "a", [work, fine], fails=(base.architecture.key,))
        assert [step.spent for step in read_material([folder]).arms[0].runs[0].steps] == [700, 101]

    def test_without_frames_epochs_are_counted_and_that_is_said(self, tmp_path: Path) -> None:
        folder = searched(
            tmp_path / "a", [proposal(epochs=2), proposal(node0_op=1)], replace(TOY, epochs=9), says=False
        )
        material = read_material([folder])
        assert [step.spent for step in material.arms[0].runs[0].steps] == [1 + 2, 1 + 9]
        assert material.unit == "training epochs + measurements"
        assert any("epochs are counted" in warning for warning in material.warnings)

    def test_frames_that_one_folder_says_price_the_other_s_failures(self, tmp_path: Path) -> None:
        bad = proposal(epochs=3)
        good = searched(tmp_path / "a", [proposal(epochs=1)])
        failed = searched(tmp_path / "b", [bad], replace(TOY, seed=1), fails=(bad.architecture.key,))
        runs = read_material([good, failed]).arms[0].runs
        assert [run.steps[0].spent for run in runs] == [101, 301]


class TestArms:
    def test_folders_that_differ_in_seed_and_budget_are_one_arm(self, tmp_path: Path) -> None:
        folders = [
            toy(tmp_path / name, seed=seed, trials=5 + seed, time_limit_s=60.0 + seed)
            for name, seed in (("a", 2), ("b", 0), ("c", 1))
        ]
        (arm,) = read_material(folders).arms
        assert (arm.name, arm.control, [run.seed for run in arm.runs]) == ("random", True, [0, 1, 2])
        assert [len(run.steps) for run in arm.runs] == [5, 6, 7]

    def test_an_arm_is_called_by_its_searcher_and_what_differs(self) -> None:
        evolution = replace(TOY, searcher="evolution", searcher_options={"population": 8, "sample": 4})
        names = arm_names(
            {
                "a": TOY, "b": replace(TOY, seed=3, trials=99), "c": evolution,
                "d": replace(evolution, searcher_options={"population": 16, "sample": 4}),
                "e": replace(TOY, searcher="ppo", searcher_options={"clip": 0.1}),
            }
        )  # fmt: skip
        assert names == {
            "a": "random", "b": "random", "c": "evolution population=8", "d": "evolution population=16", "e": "ppo",
        }  # fmt: skip

    def test_other_settings_are_named_where_any_two_differ(self) -> None:
        names = arm_names(
            {
                "a": TOY,
                "b": replace(TOY, epochs=9, start=("preset:x", "preset:y")),
                "c": replace(TOY, training={"learning_rate": 0.1}),
            }
        )
        assert names == {
            "a": "random epochs=5 start=none training.learning_rate=default",
            "b": "random epochs=9 start=preset:x,preset:y training.learning_rate=default",
            "c": "random epochs=5 start=none training.learning_rate=0.1",
        }

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"space": "video_cells"}, 'space is "toy" in the one and "video_cells"'),
            ({"data": "camvid:x"}, 'data is "moving_shapes" in the one and "camvid:x"'),
            ({"size_hw": (64, 64)}, r"size_hw is null in the one and \[64, 64\]"),
            ({"target": "torch@thiscpu"}, 'target is "onnxruntime:f32:1@thiscpu" in the one and "torch@thiscpu"'),
            ({"objectives": ("miou",)}, r'objectives is \["miou", "latency_ms"\] in the one and \["miou"\]'),
            ({"constraints": {"latency_ms": 5.0}}, r'constraints is {} in the one and {"latency_ms": 5.0}'),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, change: dict[str, Any], said: str) -> None:
        with pytest.raises(InputError, match=f"^a and b cannot be compared: {said}"):
            refuse_mixed({"b": replace(TOY, **change), "a": TOY})

    @pytest.mark.parametrize("change", [{"seed": 4}, {"trials": 9}, {"searcher": "ppo"}, {"epochs": 2}, {"slots": 3}])
    def test_what_may_differ_is_not(self, change: dict[str, Any]) -> None:
        refuse_mixed({"a": TOY, "b": replace(TOY, **change)})

    def test_one_seed_twice_is_not_two_runs(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"x and .*y are the same arm \(random\) with the same seed 0"):
            read_material([toy(tmp_path / "y", trials=3), toy(tmp_path / "x", trials=4)])
        with pytest.raises(InputError, match=r"x: given twice"):
            read_material([tmp_path / "x", tmp_path / "x"])


class TestFigures:
    @pytest.mark.parametrize(
        ("objectives", "constraints", "first", "cost"),
        [
            (("miou", "latency_ms"), {}, "miou", "latency_ms"),
            (("latency_ms", "miou"), {}, "miou", "latency_ms"),
            (("miou", "macs_m", "latency_worst_ms"), {}, "miou", "latency_worst_ms"),
            (("miou", "macs_m"), {}, "miou", "macs_m"),
            (("miou",), {"latency_ms": 99.0}, "miou", "latency_ms"),
            (("miou",), {}, "miou", None),
            (("latency_ms",), {}, "latency_ms", None),
        ],
    )
    def test_regret_is_of_accuracy_under_cost(
        self, tmp_path: Path, objectives: tuple[str, ...], constraints: dict[str, float], first: str, cost: str | None
    ) -> None:
        recipe = replace(TOY, objectives=objectives, constraints=constraints)
        material = read_material([searched(tmp_path / "a", [proposal()], recipe)])
        assert (material.objectives[0].name, material.cost) == (first, cost)

    def test_steps_are_what_the_journal_says(self, tmp_path: Path) -> None:
        folder = toy(tmp_path / "a", trials=8)
        (run,) = read_material([folder]).arms[0].runs
        trials = api.load(folder).trials
        assert [step.losses for step in run.steps] == [(-t.metrics["miou"], t.metrics["latency_ms"]) for t in trials]
        assert [step.cost for step in run.steps] == [t.metrics["latency_ms"] for t in trials]
        assert {step.spent for step in run.steps} == {5.0}

    def test_an_infeasible_trial_costs_and_reaches_nothing(self, tmp_path: Path) -> None:
        """Over the budget only in the last stage: it has every metric and stands on no front."""
        stages = [Stage("train", Trainer()), Stage("measure", ToyMeasure())]
        asks = [proposal(epochs=1), proposal(node0_op=3, node0_width=3, epochs=1)]
        limit = {"latency_ms": 3.0}
        slow = toy_search(tmp_path, Listed(asks), stages=stages, slots=1, constraints=limit).trials[1]
        assert (slow.status, set(slow.metrics)) == ("infeasible", {"miou", "latency_ms", "frames_seen"})
        write_recipe(tmp_path, replace(TOY, constraints=limit))
        (run,) = read_material([tmp_path]).arms[0].runs
        assert [step.spent for step in run.steps] == [101, 101]
        assert [step.losses is None for step in run.steps] == [False, True]


class TestFoldersThatAreNotWhole:
    def partial(self, folder: Path, records: int) -> Path:
        """As it is while, or after, a search runs that has not come further."""
        toy(folder, trials=8)
        lines = journal_of(folder).splitlines(keepends=True)
        (folder / "journal.jsonl").write_bytes(b"".join(lines[:records]))
        (folder / "run.json").write_text(json.dumps({"machine": {}, "ended": "", "interrupted": False, "schema": 1}))
        return folder

    def test_a_running_search_counts_as_far_as_it_is(self, tmp_path: Path) -> None:
        folder = self.partial(tmp_path / "a", 9)  # begin, then asked, stage, told of each trial: the third's cut off
        with FolderLock(folder):
            before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
            material = read_material([folder])
            after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        assert material.arms[0].runs[0].state == "running"
        assert len(material.arms[0].runs[0].steps) == 2
        assert any("a is running: 2 trials are told so far" in warning for warning in material.warnings)
        assert after == before, "nothing is written into a search that another process runs"

    def test_a_dead_search_counts_with_a_torn_last_line(self, tmp_path: Path) -> None:
        folder = self.partial(tmp_path / "a", 10)
        with (folder / "journal.jsonl").open("ab") as journal:
            journal.write(b'{"n":10,"type":"as')
        material = read_material([folder])
        assert (material.arms[0].runs[0].state, len(material.arms[0].runs[0].steps)) == ("dead", 3)
        assert any("a is dead: 3 trials" in warning for warning in material.warnings)

    def test_an_interrupted_search_is_said_to_be(self, tmp_path: Path) -> None:
        folder = self.partial(tmp_path / "a", 10)
        write_run(folder, Run(ended="interrupted", interrupted=True))
        assert any("a is interrupted: 3" in warning for warning in read_material([folder]).warnings)

    @pytest.mark.parametrize("records", [0, 1, 3])
    def test_a_search_without_a_finished_trial_is_refused(self, tmp_path: Path, records: int) -> None:
        folder = self.partial(tmp_path / "a", records)
        with pytest.raises(InputError, match=r"a: no trial is finished yet \(dead\)"):
            read_material([folder])

    def test_damage_is_refused(self, tmp_path: Path) -> None:
        folder = toy(tmp_path / "a")
        data = journal_of(folder)
        (folder / "journal.jsonl").write_bytes(data.replace(b'"miou"', b'"moiu"', 1))
        with pytest.raises(InputError, match=r"journal.jsonl line \d+: fails its checksum"):
            read_material([folder])
        with pytest.raises(InputError, match="no such search folder"):
            read_material([tmp_path / "absent"])


class TestWarnings:
    def test_without_random_it_is_loud(self, tmp_path: Path) -> None:
        material = read_material([toy(tmp_path / "a", searcher="evolution")])
        assert not material.arms[0].control
        assert any(warning.startswith("NO CONTROL") for warning in material.warnings)
        assert not any("NO CONTROL" in w for w in read_material([toy(tmp_path / "b")]).warnings)

    def test_one_arm_one_seed_two_controls(self, tmp_path: Path) -> None:
        one = read_material([toy(tmp_path / "a")]).warnings
        assert any("one arm" in warning for warning in one)
        assert any("arm random has one seed" in warning for warning in one)
        two = read_material([tmp_path / "a", toy(tmp_path / "b", epochs=7)])
        assert any("random epochs=5, random epochs=7); random epochs=5 is the control" in w for w in two.warnings)

    def test_latencies_of_two_processors_do_not_compare(self, tmp_path: Path) -> None:
        folders = []
        for seed, processor in enumerate(("one", "other")):
            folder = searched(tmp_path / processor, [proposal()], replace(TOY, seed=seed))
            write_run(folder, Run(machine={"processor": processor}, ended="done"))
            folders.append(folder)
        assert any("different processors (one; other)" in warning for warning in read_material(folders).warnings)
        assert not any("processors" in warning for warning in read_material(folders[:1]).warnings)
