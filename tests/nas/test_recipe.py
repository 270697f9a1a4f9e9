"""Recipes: where they come from, and the options of the command line over them."""

import sys
from pathlib import Path

import pytest

from nas.commands.parse import duration_s, size_hw
from nas.overrides import override, with_constraint
from nas.recipe import Recipe, load_recipe
from nas.recipes import BUILT_IN
from search_spaces.door import dump_json, parse_json
from search_spaces.errors import InputError


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_built_in_recipes_survive_json(name: str) -> None:
    recipe = load_recipe(name)
    assert parse_json(Recipe, dump_json(recipe), name) == recipe


def test_quickstart_needs_nothing_from_outside() -> None:
    recipe = load_recipe("quickstart")
    assert recipe.data == "moving_shapes"
    assert recipe.start == ()


def test_a_recipe_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from nas.recipe import Recipe\n\ndef small():\n    return Recipe(trials=3)\n\ndef wrong():\n    return 3\n"
    )
    assert load_recipe(f"{path}:small").trials == 3
    with pytest.raises(InputError, match="has no function 'large'"):
        load_recipe(f"{path}:large")
    with pytest.raises(InputError, match="returned int, a Recipe is needed"):
        load_recipe(f"{path}:wrong")


def test_recipes_that_are_no_python_or_name_unknown_fields(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ndef f(:\n")
    with pytest.raises(InputError, match=r"broken\.py line 2: invalid syntax"):
        load_recipe(f"{tmp_path}/broken.py:f")
    (tmp_path / "more.py").write_text("from nas.recipe import Recipe\ndef f(): return Recipe(bogus=1)\n")
    with pytest.raises(InputError, match=r"more\.py:f.*unexpected keyword argument 'bogus'"):
        load_recipe(f"{tmp_path}/more.py:f")


def test_recipe_modules_of_the_current_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_of_this_test.py").write_text(
        "from nas.recipe import Recipe\ndef f(): return Recipe(trials=3)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [entry for entry in sys.path if entry])
    assert load_recipe("module_of_this_test:f").trials == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "recipe 'nothing' is unknown; allowed: quickstart"),
        ("absent.py:f", "recipe file absent.py does not exist"),
        ("no_such_module:f", "recipe module 'no_such_module' cannot be imported"),
    ],
)
def test_unknown_recipes(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_recipe(name)


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("epochs=7", "epochs", 7),
        ("in_order=false", "in_order", False),
        ("objectives=miou,tc", "objectives", ("miou", "tc")),
        ('objectives=["miou"]', "objectives", ("miou",)),
        ("start=preset:a,preset:b", "start", ("preset:a", "preset:b")),
        ("size_hw=96x128", "size_hw", (96, 128)),
        ("size_hw=[96, 128]", "size_hw", (96, 128)),
        ("data=7", "data", "7"),
        ("target=torch:f32:1@thiscpu", "target", "torch:f32:1@thiscpu"),
        ("time_limit_s=90", "time_limit_s", 90.0),
        ("training.learning_rate=1e-3", "training", {"learning_rate": 0.001}),
        ("training.balance=none", "training", {"balance": "none"}),
        ("searcher_options.population=8", "searcher_options", {"population": 8}),
        ("searcher_options.note=a=b", "searcher_options", {"note": "a=b"}),
        ("constraints.macs_m=12", "constraints", {"macs_m": 12.0}),
    ],
)
def test_settings_are_typed_by_the_recipe(setting: str, field: str, value: object) -> None:
    assert getattr(override(Recipe(), {}, [setting], "x"), field) == value


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("epochs", "allowed: KEY=VALUE"),
        ("epoch=3", "--set 'epoch': unknown; allowed: space, .*training.NAME"),
        ("training=3", "--set 'training': unknown"),
        ("training.=3", "unknown"),
        ("other.x=3", "--set 'other.x': unknown"),
        ("epochs=many", "field epochs: given 'many'"),
        ("epochs=0", "field epochs: given 0"),
        ("epochs=1.5", "field epochs: given 1.5"),
        ("seed=-1", "field seed: given -1"),
        ("time_limit_s=NaN", "field time_limit_s: given 'NaN'"),
        ("constraints.macs_m=Infinity", "field constraints.macs_m"),
        ("size_hw=10x10", "--set size_hw: '10x10' given"),
        ("training.learning=1", "training option 'learning' is unknown; allowed: .*learning_rate"),
        ("training.learning_rate=fast", "field learning_rate: given 'fast'"),
        ("searcher_options.x=[1]", "searcher_options"),
    ],
)
def test_settings_that_are_refused(setting: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        override(Recipe(), {}, [setting], "recipe x")


def test_options_win_and_absent_ones_leave_the_recipe_alone() -> None:
    recipe = Recipe(trials=5, seed=9)
    changed = override(recipe, {"trials": 7, "seed": None}, [], "x")
    assert (changed.trials, changed.seed) == (7, 9)
    assert override(recipe, {}, [], "x") == recipe


def test_another_searcher_starts_with_its_own_options() -> None:
    recipe = Recipe(searcher="evolution", searcher_options={"population": 8})
    assert override(recipe, {"searcher": "random"}, [], "x").searcher_options == {}
    assert override(recipe, {"searcher": "evolution"}, [], "x").searcher_options == {"population": 8}


def test_a_latency_bound_is_a_constraint() -> None:
    recipe = with_constraint(Recipe(constraints={"macs_m": 5.0}), "latency_ms", 20.0)
    assert recipe.constraints == {"macs_m": 5.0, "latency_ms": 20.0}
    with pytest.raises(InputError, match="constraints"):
        with_constraint(Recipe(), "latency_ms", float("nan"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("90m", 5400), ("30s", 30), ("1h30m", 5400), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2 h", "0s", "2d", "1m1h", "٢h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InputError, match="allowed: a duration such as 2h"):
        duration_s(text)


def test_sizes() -> None:
    assert size_hw("96x128") == (96, 128)
    for text in ("96", "96x", "31x64", "64x4097", "96X128", "96x128x3", ""):
        with pytest.raises(InputError, match="allowed: HxW"):
            size_hw(text)
