"""Searches over recorded benchmarks: from a recipe to a front, resumed, on a table's own questions."""

from dataclasses import replace
from pathlib import Path

import pytest
from toy_search import journal_of

from nas import api
from nas.recipe import Recipe
from search_spaces.errors import InputError
from tests.search_spaces.recorded_files import real_folder, real_members, wide_file


def recipe_of(folder: Path, **more: object) -> Recipe:
    spec = f"tabular:{wide_file(folder)}?decisions=op,width&epochs=3:acc3,30:acc30&latency_ms=dev_ms"
    fields = {"space": spec, "searcher": "random", "trials": 20, "epochs": 30, **more}
    return Recipe(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("searcher", ["random", "evolution", "ppo"])
def test_every_recorded_network_is_found_and_the_front_is_the_tables(tmp_path: Path, searcher: str) -> None:
    result = api.search(recipe_of(tmp_path, searcher=searcher), out=tmp_path / "run")
    assert len(result.trials) == 6
    assert {trial.status for trial in result.trials} == {"complete"}
    assert {trial.metrics["miou"] for trial in result.front} == {0.02, 0.03, 0.22, 0.23, 0.42, 0.43}


def test_halving_takes_the_recorded_fidelities_for_its_rungs(tmp_path: Path) -> None:
    options = {"eta": 2.0}
    result = api.search(recipe_of(tmp_path, searcher="halving:random", searcher_options=options), out=tmp_path / "run")
    assert {trial.status for trial in result.trials} == {"complete"}
    epochs = [trial.proposal.epochs for trial in result.trials]
    assert epochs.count(3) == 6
    assert 3 <= epochs.count(30) <= 6
    assert set(epochs) == {3, 30}


def test_a_search_of_real_networks_resumes_to_the_same_journal(tmp_path: Path) -> None:
    spec = f"tabular:{real_folder(tmp_path / 'bench', real_members(16))}"
    recipe = Recipe(space=spec, searcher="evolution", searcher_options={"population": 4}, trials=14, epochs=5)
    api.search(recipe, out=tmp_path / "whole")
    whole = journal_of(tmp_path / "whole")
    api.search(replace(recipe, trials=6), out=tmp_path / "cut")
    api.search(recipe, out=tmp_path / "cut", resume=True)
    assert journal_of(tmp_path / "cut") == whole
    assert whole.count(b'"status":"complete"') == 14


def test_slow_networks_are_infeasible_without_a_training(tmp_path: Path) -> None:
    result = api.search(recipe_of(tmp_path, constraints={"latency_ms": 2.0}), out=tmp_path / "run")
    assert sorted(trial.status for trial in result.trials) == ["complete"] * 2 + ["infeasible"] * 4
    assert all("miou" not in trial.metrics for trial in result.trials if trial.status == "infeasible")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 5}, r"epochs: 5 given; tabular:.* records 3, 30"),
        ({"objectives": ("miou", "macs_m")}, r"'macs_m' is not recorded; name its column, as in \?macs_m=COLUMN"),
        ({"space": "tabular:nosuch.csv"}, "nosuch.csv: cannot be read"),
    ],
)
def test_what_a_table_cannot_answer_is_said_before_the_search(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        api.search(recipe_of(tmp_path, **fields), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
