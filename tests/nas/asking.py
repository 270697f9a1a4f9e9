"""Asks a searcher and tells it the toy metrics: shared by tests of searchers."""

from collections.abc import Callable
from typing import Any

import pytest

from nas.objectives import parse_objectives
from nas.searchers.registry import make_searcher
from nas.trial import Proposal, Searcher, Trial
from search_spaces.decisions import SearchSpace
from search_spaces.toy import ToySpace, toy_metrics

BOTH = ("miou", "latency_ms")
RUNGS = {"eta": 3.0, "min_epochs": 1, "max_epochs": 9}
EVOLUTION: dict[str, Any] = {"population": 6, "sample": 3}
PPO: dict[str, Any] = {"batch": 4, "passes": 2, "hidden": 8}
SMALL: dict[str, dict[str, Any]] = {
    "random": {},
    "evolution": EVOLUTION,
    "ppo": PPO,
    "surrogate": {"initial": 4, "candidates": 8, "budgets": 8},
    "optuna:tpe": {"startup": 5},
    "optuna:nsga2": {"population": 6},
    "optuna:gp": {"startup": 36},
    "halving:random": RUNGS,
    "halving:evolution": RUNGS | EVOLUTION,
    "halving:ppo": RUNGS | PPO,
    "halving:optuna:tpe": RUNGS | {"startup": 5},
}
"""Options with which little is asked before a searcher does what it does later on."""


def made(name: str, seed: int = 0, objectives: tuple[str, ...] = BOTH, **more: Any) -> Searcher:
    if "optuna" in name:
        pytest.importorskip("optuna")
    options = {**SMALL.get(name, {}), **more.pop("options", {})}
    space: SearchSpace = more.pop("space", ToySpace())
    return make_searcher(name, space, seed=seed, objectives=parse_objectives(objectives), options=options, **more)


def run(searcher: Searcher, trials: int, spoil: Callable[[int], str] = lambda _: "complete") -> list[Proposal]:
    """Ask and tell, one at a time; `spoil` gives each trial's status."""
    asked: list[Proposal] = []
    for number in range(trials):
        proposal = searcher.ask()
        if proposal is None:
            break
        assert isinstance(proposal, Proposal)
        asked.append(proposal)
        status = spoil(number)
        metrics = toy_metrics(proposal.architecture)
        if status != "complete":
            metrics = {"latency_ms": metrics["latency_ms"]} if status == "infeasible" else {}
        searcher.tell(Trial(number, proposal, status, metrics, None if status == "complete" else "planted"))  # type: ignore[arg-type]
    return asked


def trace(searcher: Searcher, trials: int = 40) -> str:
    return "".join(
        f"{proposal.architecture.key[:12]} {proposal.parent} {proposal.epochs}\n" for proposal in run(searcher, trials)
    )
