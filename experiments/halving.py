"""How many epochs successive halving needs for what random search reaches, on NAS-Bench-201. See halving.md.

Usage: python -m experiments.halving [--table ../shared/data/tabular/nb201.csv.gz] [--seeds 20]
Minutes on one core; prints the tables as Markdown.
"""

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from evaluators.tabular import open_benchmark
from nas.objectives import parse_objectives
from nas.searchers.registry import Scalar, make_searcher
from nas.trial import Proposal, Trial
from search_spaces.recorded_layouts import NB201_DATASETS
from search_spaces.spaces import make_space

FULL_EPOCHS = 200
TRAININGS = 100
"""Full trainings of random search, whose epochs are the budget of everyone."""

BUDGET = TRAININGS * FULL_EPOCHS

CONTROL = "random"
MAIN = "halving:random"


@dataclass(frozen=True, slots=True)
class Arm:
    """A searcher with its options."""

    searcher: str
    options: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As the tables call it."""
        return " ".join([self.searcher, *(f"{name}={value:g}" for name, value in self.options.items())])


ARMS = (
    Arm(CONTROL), Arm(MAIN), Arm(MAIN, {"eta": 4.0}), Arm(MAIN, {"eta": 8.0}), Arm(MAIN, {"eta": 32.0}),
    Arm("evolution"), Arm("halving:evolution"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """After `epochs`: the best validation accuracy of a full training, and that network's test accuracy, in %."""

    epochs: int
    validation: float
    test: float


def curve(spec: str, arm: Arm, seed: int) -> list[Point]:
    """One search of one slot. Promotions are paid in full too, although training would go on from a checkpoint."""
    benchmark, tests = open_benchmark(spec), _tests(spec)
    searcher = make_searcher(
        arm.searcher, make_space(spec), seed=seed, objectives=parse_objectives(("miou",)), options=arm.options,
        epochs=FULL_EPOCHS, fidelities=benchmark.epochs,
    )  # fmt: skip
    points: list[Point] = []
    spent = number = 0
    while spent < BUDGET and isinstance(proposal := searcher.ask(), Proposal):
        epochs = proposal.epochs or FULL_EPOCHS
        spent += epochs
        metrics = benchmark.trained(proposal.architecture, epochs, seed)
        found = 100 * metrics["miou"]
        if epochs == FULL_EPOCHS and (not points or found > points[-1].validation):
            points.append(Point(spent, found, tests[proposal.architecture.key]))
        searcher.tell(Trial(number, proposal, "complete", metrics))
        number += 1
    return points


@cache
def _tests(spec: str) -> dict[str, float]:
    """Test accuracy in % by key, which no searcher sees."""
    benchmark = open_benchmark(spec)
    csv = benchmark.table.networks
    column = benchmark.table.fidelities[FULL_EPOCHS].replace("_val", "_test")
    return {network.member.architecture.key: csv.number(network.row, column) for network in benchmark.table.members}


def epochs_to_reach(points: Sequence[Point], validation: float) -> int | None:
    """None: not within the budget."""
    return next((point.epochs for point in points if point.validation >= validation), None)


def at(points: Sequence[Point], epochs: int) -> Point | None:
    """The last point of a curve up to `epochs`."""
    return next((point for point in reversed(points) if point.epochs <= epochs), None)


def mean_reaches(curves: Sequence[Sequence[Point]], validation: float) -> int | None:
    """The first epochs at which the mean over seeds of the best so far is as good."""
    for epochs in sorted({point.epochs for points in curves for point in points}):
        found = [at(points, epochs) for points in curves]
        if all(found) and statistics.fmean(point.validation for point in found if point) >= validation:
            return epochs
    return None


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", default="../shared/data/tabular/nb201.csv.gz")
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    for dataset in NB201_DATASETS:
        spec = f"tabular:{arguments.table}?dataset={dataset}"
        curves = {arm.name: [curve(spec, arm, seed) for seed in range(arguments.seeds)] for arm in ARMS}
        print(f"\n### {dataset}\n")
        print("\n".join(_rows(curves)), flush=True)


def _rows(curves: Mapping[str, Sequence[Sequence[Point]]]) -> Iterator[str]:
    goal = statistics.fmean(points[-1].validation for points in curves[CONTROL])
    yield f"Goal: {goal:.2f} % validation, random search's mean over seeds after {BUDGET} epochs."
    yield ""
    yield (
        "| searcher | the mean over seeds reaches it after epochs (share) | each seed: quartiles of the share "
        "| at a quarter of the budget: validation, test | at its end: validation, test |"
    )
    yield "|---|---|---|---|---|"
    for name, searches in curves.items():
        mean = mean_reaches(searches, goal)
        reached = [epochs for points in searches if (epochs := epochs_to_reach(points, goal)) is not None]
        quartiles = statistics.quantiles(reached, method="inclusive") if len(reached) > 1 else []
        shares = ", ".join(f"{quartile / BUDGET:.2f}" for quartile in quartiles)
        said = "never" if mean is None else f"{mean} ({mean / BUDGET:.3f})"
        yield (
            f"| {name} | {said} | {shares} ({len(reached)} of {len(searches)}) "
            f"| {_accuracies(searches, BUDGET // 4)} | {_accuracies(searches, BUDGET)} |"
        )


def _accuracies(searches: Sequence[Sequence[Point]], epochs: int) -> str:
    points = [point for search in searches if (point := at(search, epochs)) is not None]
    return ", ".join(
        f"{statistics.fmean(values):.2f} ({statistics.stdev(values):.2f})"
        for values in ([point.validation for point in points], [point.test for point in points])
    )


if __name__ == "__main__":
    main()
