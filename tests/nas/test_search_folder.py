"""The folder of a search: status from files alone, trials by number, nothing damaged taken for good."""

import json
from pathlib import Path

import pytest

from nas import api
from nas.journal import Journal
from nas.lock import FolderLock
from nas.objectives import DIRECTIONS
from nas.recipe import Recipe
from nas.search_folder import load, read_status, trial_of
from search_spaces.errors import InputError

TOY = Recipe(space="toy", searcher="random", trials=6, seed=3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "toy"
    api.search(TOY, out=folder)
    return folder


def copied(folder: Path, target: Path) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (target / path.name).write_bytes(path.read_bytes())
    return target


def test_a_search_leaves_the_files_of_the_contract(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"recipe.json", "journal.jsonl", "events.jsonl", "front.json", "checkpoints"} <= names
    front = json.loads((finished / "front.json").read_text())
    assert isinstance(front, list)
    assert set(front[0]) == {"trial", "key", "architecture", "metrics"}


def test_load_gives_what_search_gave(tmp_path: Path) -> None:
    given = api.search(TOY, out=tmp_path / "s")
    found = load(tmp_path / "s")
    assert found.trials == given.trials
    assert found.front == given.front
    assert found.recipe == TOY
    assert [trial.number for trial in found.trials] == list(range(6))
    assert given.stopped
    best = max(trial.metrics["miou"] for trial in found.trials)
    assert found.front[0].metrics["miou"] == best


def test_status_of_a_finished_search(finished: Path) -> None:
    status = read_status(finished)
    assert (status.state, status.told, status.budget, status.in_flight) == ("finished", 6, 6, 0)
    assert status.counts == {"complete": 6, "infeasible": 0, "failed": 0}
    assert status.best == max(trial.metrics["miou"] for trial in load(finished).trials)


def test_status_of_a_running_a_dead_and_an_interrupted_search(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path / "x")
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:6]) + lines[6][:20])  # killed while it wrote
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, "ended": ""}))
    assert read_status(folder).state == "dead"
    assert read_status(folder).told < 6
    with FolderLock(folder):
        status = read_status(folder)
        assert status.state == "running"
        assert status.holder.startswith("pid ")
    (folder / "run.json").write_text(json.dumps({**run, "interrupted": True}))
    assert read_status(folder).state == "interrupted"
    assert (folder / "journal.jsonl").read_bytes().endswith(lines[6][:20])  # reading repairs nothing


def test_resume_goes_on_to_the_same_journal(finished: Path, tmp_path: Path) -> None:
    whole = (finished / "journal.jsonl").read_bytes()
    folder = copied(finished, tmp_path / "x")
    lines = whole.splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:8]))
    api.search(TOY, out=folder, resume=True)
    assert (folder / "journal.jsonl").read_bytes() == whole


def test_resume_may_extend_the_budget_and_nothing_else(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path / "x")
    from dataclasses import replace

    with pytest.raises(InputError, match=r"recipe\.json: field seed: 4 given, 3 recorded"):
        api.search(replace(TOY, seed=4), out=folder, resume=True)
    longer = api.search(replace(TOY, trials=8), out=folder, resume=True)
    assert len(longer.trials) == 8
    assert longer.trials[:6] == load(finished).trials
    assert load(folder).recipe.trials == 8


def test_a_folder_that_holds_a_search_is_not_started_again(finished: Path) -> None:
    with pytest.raises(InputError, match=r"holds a search already.*vidseg-nas resume"):
        api.search(TOY, out=finished)


def test_two_drivers_never_share_a_folder(finished: Path) -> None:
    with FolderLock(finished), pytest.raises(InputError, match="in use by pid"):
        api.search(TOY, out=finished, resume=True)


def test_trials_by_number(finished: Path) -> None:
    result = load(finished)
    assert trial_of(result, 4).number == 4
    with pytest.raises(InputError, match=r"#6: no such trial; finished ones: 0\.\.5"):
        trial_of(result, 6)


def test_what_is_no_search_folder_is_refused(tmp_path: Path, finished: Path) -> None:
    with pytest.raises(InputError, match="no such search folder"):
        load(tmp_path / "absent")
    with pytest.raises(InputError, match=r"recipe\.json is missing"):
        load(tmp_path)
    folder = copied(finished, tmp_path / "x")
    (folder / "journal.jsonl").write_text("this is no journal\n")
    with pytest.raises(InputError, match=r"journal\.jsonl line 1: is no journal record"):
        load(folder)
    lines = (finished / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"trial", b"trail")
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(InputError, match=r"journal\.jsonl line 4: fails its checksum"):
        read_status(folder)
    (folder / "recipe.json").write_text('{"space": "toy", "hidden": 1}')
    with pytest.raises(InputError, match=r"recipe\.json: field hidden"):
        load(folder)


def test_a_bad_recipe_leaves_no_folder(tmp_path: Path) -> None:
    from dataclasses import replace

    cases = {
        "space 'x' is unknown": replace(TOY, space="x"),
        "'x' given; allowed: random": replace(TOY, searcher="x"),
        "objectives: 'x' given": replace(TOY, objectives=("x",)),
        "constraints: 'x' given": replace(TOY, constraints={"x": 1.0}),
        "constraints: 'miou' given; allowed": replace(TOY, constraints={"miou": 1.0}),
        "constraints.latency_ms: -3 given": replace(TOY, constraints={"latency_ms": -3.0}),
        "preset 'x' is unknown": replace(TOY, start=("preset:x",)),
        "data 'x' is unknown": replace(TOY, space="video_cells", data="x"),
    }
    for said, recipe in cases.items():
        with pytest.raises(InputError, match=said):
            api.search(recipe, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_objectives_that_a_trial_lacks_do_not_break_the_front(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path / "x")
    recipe = json.loads((folder / "recipe.json").read_text())
    assert "tc" in DIRECTIONS
    (folder / "recipe.json").write_text(json.dumps({**recipe, "objectives": ["tc"]}))
    assert load(folder).front == ()


def test_an_empty_journal_is_a_search_that_has_just_begun(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path / "x")
    (folder / "journal.jsonl").unlink()
    with Journal(folder / "journal.jsonl"):
        pass
    assert load(folder).trials == ()


def test_workers_with_another_working_folder_find_data_and_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evaluators.latency import LatencyEvaluator
    from evaluators.segmentation import SegmentationEvaluator
    from nas.compose import make_parts

    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    stages = make_parts(Recipe(data="moving_shapes"), Path("runs/x")).stages
    folders = [s.evaluator.folder for s in stages if isinstance(s.evaluator, SegmentationEvaluator | LatencyEvaluator)]
    assert [str(folder) for folder in folders] == [f"{tmp_path}/runs/x/exports", f"{tmp_path}/runs/x"]


def test_absolute_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evaluators.datasets.registry import absolute_spec

    monkeypatch.chdir(tmp_path)
    assert absolute_spec("folder:videos") == f"folder:{tmp_path}/videos"
    assert absolute_spec("moving_shapes") == "moving_shapes"


def test_a_search_from_python_needs_a_recipe_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = api.search(TOY), api.search(TOY)
    assert [str(found.folder) for found in (first, second)] == ["runs/search", "runs/search-2"]
    assert load("runs/search").trials == first.trials
    with pytest.raises(InputError, match="no folder given"):
        api.search(TOY, resume=True)


def test_a_recipe_made_in_python_is_looked_at(tmp_path: Path) -> None:
    for wrong, said in ((Recipe(trials="x"), "trials: given 'x'"), (Recipe(epochs=0), "epochs: given 0")):  # type: ignore[arg-type]
        with pytest.raises(InputError, match=said):
            api.search(wrong, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()
