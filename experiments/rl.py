"""Does the controller's dependence on its own answers pay, and does it heed a target? See rl.md.

Usage: python -m experiments.rl planted|target [--seeds 5] [--table ../shared/data/tabular/TABLE.csv.gz]
One line a search as it ends, then the table as Markdown.
"""

import argparse
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evaluators.tabular import open_benchmark
from nas.objectives import parse_objectives
from nas.searchers.registry import Scalar, make_searcher
from nas.trial import Proposal, Trial
from search_spaces.architecture import Architecture
from search_spaces.decisions import SearchSpace, enumerate_all
from search_spaces.spaces import make_space
from search_spaces.toy import MatchingSpace, ToySpace, toy_metrics

Metrics = Mapping[str, float]

PLANTED_TRIALS = 800
TARGET_TRIALS = 256
TIGHTER = 0.8
REWARDS = ("hard", "soft", "absolute")


@dataclass(frozen=True, slots=True)
class Landscape:
    """A space, what is true of its points, and all of them."""

    name: str
    space: SearchSpace
    metrics: Callable[[Architecture], Metrics]
    points: Sequence[Metrics]


def toy() -> Landscape:
    """The conditional toy space, enumerated."""
    points = [toy_metrics(decoded.architecture) for decoded in enumerate_all(ToySpace())]
    return Landscape("toy", ToySpace(), toy_metrics, points)


def recorded(path: str) -> Landscape:
    """A recorded benchmark."""
    spec = f"tabular:{path}"
    benchmark = open_benchmark(spec)
    points = [benchmark.truth(network.member.architecture) for network in benchmark.table.members]
    return Landscape("recorded", make_space(spec), benchmark.truth, points)


def told(
    space: SearchSpace, metrics: Callable[[Architecture], Metrics], searcher: str, seed: int, trials: int,
    objectives: tuple[str, ...], options: Mapping[str, Scalar],
) -> list[Metrics]:  # fmt: skip
    """One search of one slot: the metrics of its proposals in the order asked."""
    found: list[Metrics] = []
    made = make_searcher(searcher, space, seed=seed, objectives=parse_objectives(objectives), options=options)
    while len(found) < trials and isinstance(proposal := made.ask(), Proposal):
        found.append(metrics(proposal.architecture))
        made.tell(Trial(len(found) - 1, proposal, "complete", found[-1]))
    return found


def last_quarter(found: Sequence[Metrics]) -> list[Metrics]:
    """What the searcher proposes once it has learned."""
    return list(found[len(found) * 3 // 4 :])


def planted(seed: int, condition_on: str, trials: int = PLANTED_TRIALS) -> tuple[float, int]:
    """(mean share of right pairs in the last quarter, wholly right points found) of one search of MatchingSpace."""
    space = MatchingSpace()
    found = told(space, space.metrics, "ppo", seed, trials, ("miou",), {"condition_on": condition_on})
    return statistics.fmean(m["miou"] for m in last_quarter(found)), sum(m["miou"] == 1.0 for m in found)


@dataclass(frozen=True, slots=True)
class Aimed:
    """The last quarter of a search under a target, beside as many random points within it. mIoU 0..1."""

    miou: float
    within: float
    miou_within: float
    random_within: float


def aimed(landscape: Landscape, target_ms: float, reward: str, seed: int, trials: int = TARGET_TRIALS) -> Aimed:
    """One search by `ppo` with `target_ms`."""
    options = {"target": target_ms, "reward": reward}
    both = ("miou", "latency_ms")
    last = last_quarter(told(landscape.space, landscape.metrics, "ppo", seed, trials, both, options))
    feasible = [point["miou"] for point in landscape.points if point["latency_ms"] <= target_ms]
    inside = [point["miou"] for point in last if point["latency_ms"] <= target_ms]
    return Aimed(
        statistics.fmean(point["miou"] for point in last),
        len(inside) / len(last),
        statistics.fmean(inside) if inside else 0.0,
        statistics.fmean(random.Random(seed).sample(feasible, min(len(last), len(feasible)))),
    )


def tightened(landscape: Landscape) -> float:
    """A fifth under the median latency of all points."""
    return TIGHTER * statistics.median(point["latency_ms"] for point in landscape.points)


def main() -> None:
    """Run what is named and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("planted", "target"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--table", default="../shared/data/tabular/transnas_micro_segmentation.csv.gz")
    arguments = parser.parse_args()
    seeds = range(arguments.seeds)
    rows = _planted_rows(seeds) if arguments.what == "planted" else _target_rows(seeds, arguments.table)
    print("\n".join(["", *rows]))


def _planted_rows(seeds: Sequence[int]) -> Iterator[str]:
    yield "| condition_on | right pairs in the last quarter: mean (deviation), lowest, highest | right points found |"
    yield "|---|---|---|"
    for condition_on in ("actions", "nothing"):
        found = []
        for seed in seeds:
            found.append(planted(seed, condition_on))
            print(condition_on, seed, found[-1], flush=True)
        shares = [share for share, _ in found]
        points = statistics.fmean(count for _, count in found)
        yield f"| {condition_on} | {_spread(shares)}, {min(shares):.3f}, {max(shares):.3f} | {points:.0f} |"


def _target_rows(seeds: Sequence[int], table: str) -> Iterator[str]:
    from scipy.stats import wilcoxon

    yield "| landscape, target | reward | mIoU of all | within the target | mIoU within | random within | p |"
    yield "|---|---|---|---|---|---|---|"
    for landscape in (toy(), recorded(table)):
        target_ms = tightened(landscape)
        for reward in REWARDS:
            found = []
            for seed in seeds:
                found.append(aimed(landscape, target_ms, reward, seed))
                print(landscape.name, reward, seed, found[-1], flush=True)
            p = wilcoxon([f.miou_within for f in found], [f.random_within for f in found], alternative="greater").pvalue
            columns = ([f.miou for f in found], [f.within for f in found], [f.miou_within for f in found])
            cells = " | ".join(map(_spread, (*columns, [f.random_within for f in found])))
            yield f"| {landscape.name}, {target_ms:.3f} ms | {reward} | {cells} | {p:.3g} |"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.3f} ({statistics.stdev(values) if len(values) > 1 else 0.0:.3f})"


if __name__ == "__main__":
    main()
