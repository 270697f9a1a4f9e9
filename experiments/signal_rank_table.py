"""The tables of signal.md, question 1, from the raw rows.

Usage: python -m experiments.signal_rank_table [experiments/results/signal_rank.csv]
"""

import sys
from functools import partial

import numpy as np
import pandas as pd

from experiments.ranking import Floats, Interval, bootstrap, cross_seed_tau, spread, tau

SCORES = ("miou", "miou_stills", "warp_flip")
NAMES = {
    "miou": "mIoU, pseudo-video, last frames",
    "miou_stills": "mIoU, stills",
    "warp_flip": "warp-flip, pseudo-video",
}


def main() -> None:
    """Print spread, ranks and costs for every fidelity that is complete."""
    rows = pd.read_csv(sys.argv[1] if len(sys.argv) > 1 else "experiments/results/signal_rank.csv")
    small = rows[rows["size"] == "120x160"]
    for score in SCORES:
        print(f"\n### {NAMES[score]}\n")
        print("| training | networks | mean | SD architectures | SD seeds | ratio | tau to 30 epochs, another seed"
              " | as a share of the ceiling | CPU s a network |\n|---|---|---|---|---|---|---|---|---|")  # fmt: skip
        full = _table(small, "default", 30, score)
        for (variant, epochs), part in small.groupby(["variant", "epochs"]):
            scores = _table(small, variant, epochs, score)
            if scores.shape[1] < full.shape[1]:
                continue  # a seed is still to come
            both = scores.index.intersection(full.index)
            ranks, share = _ranks(scores.loc[both].to_numpy(), full.loc[both].to_numpy())
            found = spread(scores.to_numpy() * 100)
            print(f"| {variant}, {epochs} epochs | {len(scores)} | {scores.to_numpy().mean() * 100:.1f}"
                  f" | {found.architectures:.2f} | {found.seeds:.2f} | {found.ratio:.1f} | {ranks} | {share}"
                  f" | {part.cpu_s.mean():.0f} |")  # fmt: skip
        _sizes(rows, score)
    print(f"\n{len(rows)} trainings, {rows.cpu_s.sum() / 60:.0f} CPU minutes")


def _table(rows: pd.DataFrame, variant: str, epochs: int, score: str) -> pd.DataFrame:
    """Networks x seeds, those that have all seeds."""
    part = rows[(rows.variant == variant) & (rows.epochs == epochs)]
    return part.pivot(index="network", columns="seed", values=score).dropna()


def _ranks(cheap_AS: Floats, full_AS: Floats) -> tuple[Interval, Interval]:
    def found(index: np.ndarray) -> float:
        return cross_seed_tau(cheap_AS[index], full_AS[index])

    def shared(index: np.ndarray) -> float:
        return found(index) / cross_seed_tau(full_AS[index], full_AS[index])

    return bootstrap(found, len(full_AS), seed=0), bootstrap(shared, len(full_AS), seed=0)


def _sizes(rows: pd.DataFrame, score: str) -> None:
    """Whether the order at the small size is that at the large one, by means over seeds."""
    large = rows[rows["size"] == "180x240"].groupby("network")[score].mean()
    for epochs, part in rows[(rows["size"] == "120x160") & (rows.variant == "default")].groupby("epochs"):
        means = part.groupby("network")[score].mean()
        both = means.index.intersection(large.index)
        if len(both) > 2:
            ranks = bootstrap(
                partial(_chosen_tau, means.loc[both].to_numpy(), large.loc[both].to_numpy()), len(both), seed=0
            )
            print(f"\n120x160, {epochs} epochs against 180x240, 15 epochs, {len(both)} networks: tau {ranks}")


def _chosen_tau(one: Floats, other: Floats, index: np.ndarray) -> float:
    return tau(one[index], other[index])


if __name__ == "__main__":
    main()
