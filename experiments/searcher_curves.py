"""Regret of searchers on recorded benchmarks, at latency budgets they are not told: searcher_curves.md.

Usage: python -m experiments.searcher_curves --table "tabular:PATH[?options]" --label NAME
       [--searcher "NAME option=value ..."]... [--seeds 20] [--first-seed 0] [--trials 256] [--epochs 1]
       [--out experiments/results/searcher_curves.csv] [--workers 1]
`--searcher` may be given several times; `most_macs` is a control that is told the budgets. What has rows is not run
again. `python -m experiments.searcher_curves_table` makes the tables.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluators.job import Job
from evaluators.tabular import open_benchmark
from experiments.runs import Row, run_jobs
from nas.compose import make_parts
from nas.recipe import Recipe
from nas.stages import Stage
from nas.trial import Proposal, Trial
from search_spaces.architecture import Architecture

MARKS = (16, 32, 64, 128, 256, 512)
BUDGETS = 9
KEYS = ("table", "searcher", "seed")
COLUMNS = (*KEYS, "evaluations", "regret_points", "trials", "cpu_s")
MOST_MACS = "most_macs"
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Nine latency budgets, the best recorded accuracy under each, and the worst recorded: true values, in points."""

    budgets_ms: Floats
    best: Floats
    worst: float

    def regret(self, latency_ms: Floats, observed: Floats, true: Floats) -> float:
        """Mean over the budgets of best - true value of what was observed to be best; nothing under one: the worst."""
        regrets = []
        for budget_ms, best in zip(self.budgets_ms, self.best, strict=True):
            under = np.flatnonzero(latency_ms <= budget_ms)
            chosen = true[under[np.argmax(observed[under])]] if len(under) else self.worst
            regrets.append(best - chosen)
        return float(np.mean(regrets))


@lru_cache(maxsize=2)
def yardstick(spec: str) -> Yardstick:
    """Of the networks of a table: budgets are the deciles of their latencies."""
    benchmark = open_benchmark(spec)
    truths = [benchmark.truth(network.member.architecture) for network in benchmark.table.members]
    latency_ms = np.array([truth["latency_ms"] for truth in truths])
    true = 100.0 * np.array([truth["miou"] for truth in truths])
    budgets_ms = np.quantile(latency_ms, np.arange(1, BUDGETS + 1) / (BUDGETS + 1))
    best = np.array([true[latency_ms <= budget].max() for budget in budgets_ms])
    return Yardstick(budgets_ms, best, float(true.min()))


@dataclass(frozen=True, slots=True)
class Arm:
    """One searcher on one table with one seed."""

    spec: str
    searcher: str
    seed: int
    trials: int
    epochs: int


def run(arm: Arm) -> list[Row]:
    """Regret at every mark. An evaluation is a training of full length; a shorter one is its share of that."""
    benchmark, measure, started = open_benchmark(arm.spec), yardstick(arm.spec), time.process_time()
    rows: list[Row] = []
    spent = 0.0
    latency_ms: list[float] = []
    observed: list[float] = []
    true: list[float] = []
    for number, (architecture, share, miou) in enumerate(_trials(arm), start=1):
        spent += share
        if share >= 1.0 and miou is not None:
            truth = benchmark.truth(architecture)
            latency_ms.append(truth["latency_ms"])
            observed.append(miou)
            true.append(100.0 * truth["miou"])
        while len(rows) < len(MARKS) and spent >= MARKS[len(rows)] - 1e-9:
            regret = measure.regret(np.array(latency_ms), np.array(observed), np.array(true))
            used = time.process_time() - started
            rows.append(
                {"evaluations": MARKS[len(rows)], "regret_points": f"{regret:.5f}", "trials": number,
                 "cpu_s": f"{used:.1f}"}
            )  # fmt: skip
        if spent >= arm.trials:
            break
    return rows


def _trials(arm: Arm) -> Iterator[tuple[Architecture, float, float | None]]:
    """(architecture, share of a full training, observed mIoU or None where it failed), one trial after another."""
    if arm.searcher == MOST_MACS:
        yield from _most_macs(arm)
        return
    name, *settings = arm.searcher.split()
    options = {key: json.loads(value) for key, value in (setting.split("=") for setting in settings)}
    recipe = Recipe(space=arm.spec, searcher=name, searcher_options=options, epochs=arm.epochs, seed=arm.seed)
    parts = make_parts(recipe, Path())
    for number in range(64 * arm.trials):
        proposal = parts.searcher.ask()
        if not isinstance(proposal, Proposal):
            return
        epochs = arm.epochs if proposal.epochs is None else proposal.epochs
        metrics = _metrics(parts.stages, proposal.architecture, epochs, arm.seed)
        parts.searcher.tell(Trial(number, proposal, "complete", metrics))
        yield proposal.architecture, epochs / arm.epochs, metrics["miou"]


def _metrics(stages: Sequence[Stage], architecture: Architecture, epochs: int, seed: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for stage in stages:
        job = Job(stage.kind, architecture, (), epochs, seed)
        found.update(stage.evaluator(job).metrics)
    return found


def _most_macs(arm: Arm) -> Iterator[tuple[Architecture, float, float | None]]:
    """The largest under each budget, then the second largest, and so on: no searcher, and told the budgets."""
    benchmark, measure = open_benchmark(arm.spec), yardstick(arm.spec)
    members = [network.member.architecture for network in benchmark.table.members]
    costs = [benchmark.measured(architecture) for architecture in members]
    by_macs = sorted(range(len(members)), key=lambda place: -costs[place]["macs_m"])
    seen: set[int] = set()
    left = [iter([p for p in by_macs if costs[p]["latency_ms"] <= budget]) for budget in measure.budgets_ms]
    while len(seen) < arm.trials:
        for places in left:
            place = next((place for place in places if place not in seen), None)
            if place is not None:
                seen.add(place)
                metrics = benchmark.trained(members[place], arm.epochs, arm.seed)
                yield members[place], 1.0, metrics["miou"]


def main() -> None:
    """Run what has no rows yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--searcher", action="append")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("experiments/results/searcher_curves.csv"))
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    searchers = given.searcher or ["random", "evolution", "ppo", "surrogate"]
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    jobs = (
        ({"table": given.label, "searcher": searcher, "seed": seed},
         Arm(given.table, searcher, seed, given.trials, given.epochs))
        for seed in seeds
        for searcher in searchers
    )  # fmt: skip
    run_jobs(given.out, COLUMNS, KEYS, jobs, run, workers=given.workers)


if __name__ == "__main__":
    main()
