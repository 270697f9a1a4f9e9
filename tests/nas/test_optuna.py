"""Optuna hears what it should of every trial, keeps quiet, and is missed in one sentence."""

import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asking import BOTH, made, run
from toy_search import journal_of, toy_search

from nas.objectives import parse_objectives
from nas.searchers.registry import make_searcher
from nas.trial import Proposal, Trial
from search_spaces.architecture import Architecture, PointSpec
from search_spaces.decisions import replay
from search_spaces.errors import InputError, MissingExtraError
from search_spaces.toy import ToySpace, toy_metrics

optuna = pytest.importorskip("optuna")

NAMES = ("optuna:gp", "optuna:nsga2", "optuna:tpe")


def told(searcher: Any, status: str, metrics: dict[str, float], number: int = 0) -> Proposal:
    proposal = searcher.ask()
    searcher.tell(Trial(number, proposal, status, metrics))
    assert isinstance(proposal, Proposal)
    return proposal


@pytest.mark.parametrize("name", NAMES)
def test_the_study_hears_losses_and_what_was_answered(name: str) -> None:
    searcher: Any = made(name)
    proposal = told(searcher, "complete", {"miou": 0.25, "latency_ms": 3.0})
    (trial,) = searcher._study.trials
    assert trial.values == [-0.25, 3.0]
    assert [direction.name for direction in searcher._study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert trial.constraints == {"feasible": -1.0}
    num_options = {"depth": 4, "op": 5, "width": 4}
    expected = {
        f"{decision}/{num_options[decision.rpartition('.')[2]]}": option
        for decision, option in proposal.genotype.items()
    }  # fmt: skip
    assert trial.params == expected


@pytest.mark.parametrize("name", NAMES)
def test_an_infeasible_trial_breaks_a_constraint_with_the_worst_of_what_nobody_measured(name: str) -> None:
    searcher: Any = made(name)
    told(searcher, "infeasible", {"latency_ms": 30.0})
    told(searcher, "complete", {"miou": 0.5, "latency_ms": 3.0})
    told(searcher, "complete", {"miou": 0.25, "latency_ms": 2.0})
    told(searcher, "infeasible", {"latency_ms": 30.0})
    told(searcher, "failed", {})
    states = [trial.state.name for trial in searcher._study.trials]
    assert states == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE", "FAIL"], "before a complete one nothing is worst"
    broken = searcher._study.trials[3]
    assert broken.values == [-0.25, 30.0]
    assert broken.constraints == {"feasible": 1.0}
    assert {trial.number for trial in searcher._study.best_trials} == {1, 2}


def over_six_ms(name: str, seed: int, tell: Callable[[str], str] = lambda status: status) -> float:
    """The share of the last half of 80 proposals that are over six milliseconds, which is infeasible."""
    searcher, over = made(name, seed=seed, objectives=("miou",), options={"startup": 10}), []
    for number in range(80):
        proposal = searcher.ask()
        assert proposal is not None
        metrics = toy_metrics(proposal.architecture)
        over.append(metrics["latency_ms"] > 6.0)
        status = "infeasible" if over[-1] else "complete"
        searcher.tell(Trial(number, proposal, tell(status), metrics))  # type: ignore[arg-type]
    return sum(over[40:]) / 40


def test_constraints_are_heeded_and_a_bare_failure_is_not_enough() -> None:
    """Better accuracy lies beyond the constraint; a sampler that never hears of what is there goes on looking."""
    heard = sum(over_six_ms("optuna:tpe", seed) for seed in range(3)) / 3
    unheard = (
        sum(over_six_ms("optuna:tpe", seed, lambda s: s if s == "complete" else "failed") for seed in range(3)) / 3
    )
    assert heard < unheard - MARGIN


MARGIN = 0.1


@dataclass(frozen=True)
class Varying:
    """The same question with as many options as the answer before it allows."""

    def decode(self, choose: Any) -> Architecture:
        most = choose("most", (1, 2, 5))
        op = choose("op", tuple(range(most)))
        return Architecture(PointSpec((("depth", most), ("node0.op", op))))


@pytest.mark.parametrize("name", NAMES)
def test_options_may_vary_and_every_point_is_found_once(name: str) -> None:
    searcher: Any = made(name, space=Varying(), options={})
    seen = set()
    for number in range(8):
        proposal = searcher.ask()
        assert replay(Varying(), proposal.genotype) == proposal.architecture
        seen.add(proposal.architecture.key)
        searcher.tell(Trial(number, proposal, "complete", {"miou": number / 8, "latency_ms": 1.0}))
    assert len(seen) == 8
    assert searcher.ask() is None
    assert {parameter for trial in searcher._study.trials for parameter in trial.params} == {"most/3", "op/2", "op/5"}


@pytest.mark.parametrize("name", NAMES)
def test_prior_data_is_in_the_study(name: str) -> None:
    searcher: Any = made(name)
    for number, proposal in enumerate(run(made("random", seed=8), 12)):
        searcher.tell(Trial(number, proposal, "complete", toy_metrics(proposal.architecture)))
    searcher.tell(Trial(12, run(made("random", seed=9), 1)[0], "failed"))
    assert [trial.state.name for trial in searcher._study.trials] == ["COMPLETE"] * 12
    assert all(trial.params for trial in searcher._study.trials)


def test_prior_data_is_a_generation_of_nsga2() -> None:
    """A trial with given answers has none by itself, and the population would start from nothing."""
    searcher: Any = made("optuna:nsga2", options={"population": 6})
    for number, proposal in enumerate(run(made("random", seed=8), 6)):
        searcher.tell(Trial(number, proposal, "complete", toy_metrics(proposal.architecture)))
    searcher.ask()
    assert searcher._study.trials[-1].system_attrs["NSGAIISampler:generation"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_said_and_the_users_settings_stay(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(made(name), 8)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "package"), [("optuna:tpe", "optuna"), ("optuna:gp", "scipy")])
def test_what_is_missing_is_said_in_one_sentence(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    sentence = f"searcher {name} needs {package}, which is not installed; install it with `pip install 'vidseg-nas"
    with pytest.raises(MissingExtraError, match=sentence):
        make_searcher(name, ToySpace(), seed=0, objectives=parse_objectives(BOTH))


def test_optuna_is_imported_only_by_who_asks_for_it() -> None:
    code = (
        "import sys; from nas.objectives import parse_objectives as p; from nas.searchers.registry import *; "
        "from search_spaces.toy import ToySpace; import nas.searchers.optuna_search; names(); "
        "make_searcher('halving:random', ToySpace(), seed=0, objectives=p(('miou',))); print('optuna' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("name", "option", "users"),
    [("optuna:tpe", "population", "nsga2"), ("optuna:nsga2", "startup", "tpe, gp"), ("optuna:gp", "joint", "tpe")],
)
def test_an_option_of_another_sampler_is_refused(name: str, option: str, users: str) -> None:
    with pytest.raises(InputError, match=rf"{option!r} given for searcher {name}; only {users} uses it"):
        made(name, options={option: True if option == "joint" else 10})


@pytest.mark.parametrize("name", ["optuna", "optuna:", "optuna:cmaes"])
def test_an_unknown_sampler_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"searcher: '{name}' given; .*optuna:tpe, optuna:nsga2, optuna:gp"):
        made(name, options={})


@pytest.mark.slow
def test_the_gaussian_process_resumes_while_it_models(tmp_path: Path) -> None:
    def go(folder: Path) -> bytes:
        toy_search(folder, "optuna:gp", trials=10, slots=3, options={"startup": 4}, objectives=BOTH)
        return journal_of(folder)

    whole = go(tmp_path / "whole")
    for cut in random.Random(0).sample(range(len(whole) // 2, len(whole)), 2):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(whole[:cut])
        assert go(folder) == whole
