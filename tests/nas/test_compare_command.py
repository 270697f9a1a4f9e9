"""`vidseg-nas compare`: what it prints, that its JSON holds what the journals say, that it claims no more."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import api
from nas.compare.reference import parse_reference
from nas.journal import read_lines
from nas.objectives import parse_objectives
from nas.recipe import Recipe
from search_spaces.errors import InputError

SEEDS = range(5)
TRIALS = 16
SPREAD = {"median", "q1", "q3"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three arms of five seeds; `ppo` asks for fewer trials."""
    root = tmp_path_factory.mktemp("runs")
    found = []
    for searcher, trials, options in (
        ("random", TRIALS, {}),
        ("evolution", TRIALS + 4, {"population": 4, "sample": 2}),
        ("ppo", TRIALS, {}),
    ):
        for seed in SEEDS:
            folder = root / f"{searcher}-{seed}"
            recipe = Recipe(space="toy", searcher=searcher, searcher_options=options, trials=trials, seed=seed)
            api.search(recipe, out=folder)
            found.append(folder)
    return found


def reached(folder: Path) -> list[tuple[float, float]]:
    """(miou, latency_ms) of every trial, from the journal's own lines, in the order told."""
    records = [json.loads(line) for line in read_lines(folder / "journal.jsonl")]
    return [(r["metrics"]["miou"], r["metrics"]["latency_ms"]) for r in records if r["type"] == "stage"]


def arm(facts: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in facts["arms"] if found["name"] == name)


def test_the_figures_are_those_of_the_journals(cli: Any, folders: list[Path]) -> None:
    """Hypervolume by the library, regret by brute force, p by the library, from the lines of the journals alone."""
    moocore, stats = pytest.importorskip("moocore"), pytest.importorskip("scipy.stats")
    facts = cli("compare", *folders, "--json").facts
    everything = [point for folder in folders for point in reached(folder)]
    worst = {"miou": min(m for m, _ in everything), "latency_ms": max(ms for _, ms in everything)}
    assert facts["reference"] == worst
    budgets = np.percentile([ms for _, ms in everything], range(10, 100, 10))
    assert facts["cost_budgets"] == pytest.approx(budgets)
    best = [max(m for m, ms in everything if ms <= budget) for budget in facts["cost_budgets"]]
    assert facts["best_known"] == pytest.approx(best)
    volumes: dict[str, list[float]] = {}
    for name in ("random", "evolution", "ppo"):
        last = arm(facts, name)["axes"]["evaluations"]["quarters"][-1]
        assert last["at"] == TRIALS
        for seed in SEEDS:
            points = reached(next(f for f in folders if f.name == f"{name}-{seed}"))[:TRIALS]
            losses = np.asarray([(-m, ms) for m, ms in points])
            volume = moocore.hypervolume(losses, ref=np.asarray([-worst["miou"], worst["latency_ms"]]))
            assert last["hypervolume"]["values"][seed] == pytest.approx(volume)
            volumes.setdefault(name, []).append(last["hypervolume"]["values"][seed])
            regrets = [
                most - max([m for m, ms in points if ms <= budget], default=worst["miou"])
                for budget, most in zip(facts["cost_budgets"], best, strict=True)
            ]
            assert last["regret"]["values"][seed] == pytest.approx(np.mean(regrets))
            assert [one["values"][seed] for one in last["regret_by_budget"]] == pytest.approx(regrets)
        assert last["hypervolume"]["median"] == pytest.approx(np.median(volumes[name]))
    verdicts = {n: arm(facts, n)["axes"]["evaluations"]["quarters"][-1]["hypervolume_verdict"] for n in volumes}
    assert verdicts["random"] is None
    raw = {}
    for name in ("evolution", "ppo"):
        values = (volumes[name], volumes["random"])
        assert len({*values[0], *values[1]}) == 10, "no ties: the library's exact test is the reference"
        raw[name] = stats.mannwhitneyu(*values, alternative="two-sided", method="exact").pvalue
        assert verdicts[name]["p"] == pytest.approx(raw[name])
    low, high = sorted(raw, key=lambda name: raw[name])
    assert verdicts[low]["p_holm"] == pytest.approx(min(1, 2 * raw[low]))
    assert verdicts[high]["p_holm"] == pytest.approx(min(1, max(2 * raw[low], raw[high])))


def test_the_shape_of_the_json(cli: Any, folders: list[Path]) -> None:
    facts = cli("compare", *folders, "--json").facts
    assert set(facts) == {
        "objectives", "reference", "reference_given", "cost", "cost_budgets", "best_known", "control",
        "hypervolume_of_all", "axes", "arms", "warnings", "plot",
    }  # fmt: skip
    assert (facts["objectives"], facts["cost"], facts["control"]) == (["miou", "latency_ms"], "latency_ms", "random")
    assert (facts["reference_given"], facts["plot"]) == (False, None)
    assert [found["name"] for found in facts["arms"]] == ["random", "evolution", "ppo"]
    for name, cut, most in (("budget", 5.0 * TRIALS, 5.0 * (TRIALS + 4)), ("evaluations", TRIALS, TRIALS + 4)):
        axis = facts["axes"][name]
        assert set(axis) == {"unit", "cut", "most", "points"}
        assert (axis["cut"], axis["most"], axis["points"][-1]) == (cut, most, cut)
        for found in facts["arms"]:
            assert set(found) == {"name", "seeds", "folders", "states", "axes"}
            assert (found["seeds"], found["states"]) == (list(SEEDS), ["finished"] * 5)
            along = found["axes"][name]
            assert [quarter["at"] for quarter in along["quarters"]] == [cut / 4, cut / 2, 3 * cut / 4, cut]
            for figure in ("hypervolume", "regret"):
                assert len(along["curve"][figure]) == len(axis["points"])
                assert all(set(one) == SPREAD for one in along["curve"][figure])
                assert along["curve"][figure][-1]["median"] == along["quarters"][-1][figure]["median"]
            for quarter in along["quarters"]:
                assert len(quarter["regret_by_budget"]) == 9
                assert set(quarter["hypervolume"]) == SPREAD | {"values"}
                for verdict in (quarter["hypervolume_verdict"], quarter["regret_verdict"]):
                    assert (verdict is None) == (found["name"] == "random")
                    assert verdict is None or set(verdict) == {"words", "superiority", "p", "p_holm"}
    assert any("unequal budgets: the runs have 16 to 20 trials" in warning for warning in facts["warnings"])


def test_the_order_of_folders_changes_nothing(cli: Any, folders: list[Path]) -> None:
    assert cli("compare", *folders[::-1], "--json").out == cli("compare", *folders, "--json").out
    assert cli("compare", *folders[::-1]).out == cli("compare", *folders).out


def test_the_text_names_arms_budgets_and_verdicts(cli: Any, folders: list[Path]) -> None:
    ran = cli("compare", *folders)
    assert ran.status == 0
    facts = cli("compare", *folders, "--json").facts
    for wanted in (
        "evolution", "ppo", "is the control", "against random", "80 training epochs + measurements",
        "16 trials and works", "tie, p ", "best known", f"{facts['cost_budgets'][4]:.4g}",
        f"{arm(facts, 'ppo')['axes']['budget']['quarters'][0]['hypervolume']['median']:.4g}",
    ):  # fmt: skip
        assert wanted in ran.out, wanted
    assert ran.err.count("warning: unequal budgets") == 2
    assert "warning" not in ran.out


def test_the_reference_that_is_printed_can_be_given(cli: Any, folders: list[Path]) -> None:
    text = cli("compare", *folders).out.split("--reference ")[1].split()[0]
    derived, given = (cli("compare", *folders, *more, "--json").facts for more in ((), ("--reference", text)))
    assert (derived.pop("reference_given"), given.pop("reference_given")) == (False, True)
    assert derived == given
    other = cli("compare", *folders, "--reference", "latency_ms=1e3,miou=0", "--json").facts
    assert other["reference"] == {"miou": 0.0, "latency_ms": 1000.0}
    assert other["hypervolume_of_all"] > 100 * given["hypervolume_of_all"]
    none = cli("compare", *folders, "--reference", "latency_ms=0.1,miou=0", "--json").facts
    assert none["hypervolume_of_all"] == 0
    assert any("every hypervolume is 0" in warning for warning in none["warnings"])


def test_few_seeds_and_no_control_are_said_in_words(cli: Any, folders: list[Path]) -> None:
    few = [folder for folder in folders if folder.name[-1] in "01"]
    ran = cli("compare", *few)
    assert (ran.status, ran.out.count("too few seeds to say")) == (0, 8)
    assert ", p 0" not in ran.out
    facts = cli("compare", *few, "--json").facts
    verdict = arm(facts, "ppo")["axes"]["budget"]["quarters"][-1]["regret_verdict"]
    assert verdict["words"] == "too few seeds to say: 2 against 2, at least 5 each are needed"
    assert (verdict["p"], verdict["p_holm"]) == (None, None)
    without = cli("compare", *(folder for folder in folders if not folder.name.startswith("random")))
    assert "warning: NO CONTROL" in without.err
    assert (without.status, without.out.count("no control")) == (0, 8)


@pytest.mark.parametrize("name", ["curves.png", "curves.svg"])
def test_the_plot_is_a_picture_and_the_same_every_time(
    cli: Any, folders: list[Path], tmp_path: Path, name: str
) -> None:
    pytest.importorskip("matplotlib")
    assert cli("compare", *folders, "--plot", tmp_path / name, "--json").facts["plot"] == str(tmp_path / name)
    first = (tmp_path / name).read_bytes()
    assert f"written: {tmp_path / name}" in cli("compare", *folders[::-1], "--plot", tmp_path / name).out
    assert (tmp_path / name).read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]
    if name.endswith("svg"):
        texts = "".join(ET.fromstring(first).itertext())
        for wanted in ("hypervolume", "regret of miou", "random (5)", "evolution (5)", "trials and works"):
            assert wanted in texts, wanted
    else:
        assert first.startswith(b"\x89PNG")


def test_one_objective_has_no_regret_and_is_drawn(cli: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    recipe = Recipe(space="toy", searcher="random", objectives=("miou",), trials=5)
    folders = [tmp_path / str(seed) for seed in range(2)]
    for seed, folder in enumerate(folders):
        api.search(replace(recipe, seed=seed), out=folder)
    facts = cli("compare", *folders, "--plot", tmp_path / "a.svg", "--json").facts
    last = facts["arms"][0]["axes"]["budget"]["quarters"][-1]
    assert (facts["cost"], facts["cost_budgets"], last["regret"]) == (None, [], None)
    assert any("no regret under budgets" in warning for warning in facts["warnings"])
    every = [[m for m, _ in reached(folder)] for folder in folders]
    worst = min(min(one) for one in every)
    assert last["hypervolume"]["values"] == pytest.approx([max(one) - worst for one in every])
    assert "regret" not in cli("compare", *folders).out


def test_without_scipy_the_medians_still_come(subprocess_run: Any, folders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "scipy.py").write_text("raise ImportError('blocked')\n")
    ran = subprocess_run("compare", *folders[:10], "--json", PYTHONPATH=str(tmp_path))
    assert ran.status == 0, ran.err
    assert any("pip install 'vidseg-nas[report]'" in warning for warning in ran.facts["warnings"])
    last = arm(ran.facts, "evolution")["axes"]["budget"]["quarters"][-1]
    assert last["hypervolume_verdict"]["words"] == "not tested"
    assert last["hypervolume"]["median"] > 0


def test_a_plot_without_matplotlib_is_one_sentence(subprocess_run: Any, folders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('blocked')\n")
    ran = subprocess_run("compare", *folders[:2], "--plot", tmp_path / "a.png", PYTHONPATH=str(tmp_path))
    assert (ran.status, ran.out) == (2, "")
    assert "--plot needs matplotlib, which is not installed" in ran.err
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    "text", ["", "miou", "miou=1", "miou=0,latency_ms=x", "miou=0,latency_ms=nan", "miou=0,miou=1", "miou=0,macs_m=1"]
)
def test_a_bad_reference_says_what_is_allowed(text: str) -> None:
    with pytest.raises(InputError, match="allowed: a value for each objective, as in miou=NUMBER,latency_ms=NUMBER"):
        parse_reference(text, parse_objectives(("miou", "latency_ms")))
