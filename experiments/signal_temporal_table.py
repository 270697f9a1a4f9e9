"""The tables of signal.md, question 2, from the raw rows.

Usage: python -m experiments.signal_temporal_table [experiments/results/signal_temporal.csv]
"""

import sys
from itertools import combinations

import numpy as np
import pandas as pd

from experiments.ranking import bootstrap, spread, tau

METRICS = ("miou", "tc", "warp_flip")
SETS = ("moving_shapes_val", "camvid_pseudo_held_out", "camvid_val_15hz", "sbi2015_left_out")
CONTROL = "average"


def main() -> None:
    """Print every option's scores, gains over the control, and how gains transfer."""
    rows = pd.read_csv(sys.argv[1] if len(sys.argv) > 1 else "experiments/results/signal_temporal.csv")
    rows["fold"] = rows["fold"].fillna("")
    rows[list(METRICS)] *= 100
    rows["choice"] = rows.option + rows.temporal_weight.map(lambda w: " + loss" if w else "")
    runs = rows.groupby(["trained_on", "fold", "choice", "seed"]).cpu_s.first()
    print(f"{len(runs)} trainings, {runs.sum() / 60:.0f} CPU minutes")
    gains = {}
    for scored_on in SETS:
        part = rows[(rows.scored_on == scored_on) & (rows.option != "stills")]
        # A fold of sbi2015 is a repetition as a seed is: what is paired is what trained on the same frames.
        table = part.assign(repeat=part.fold + part.seed.astype(str))
        print(f"\n### {scored_on}: ground truth tc {part.tc_ceiling.median() * 100:.1f}, "
              f"warp-flip {part.warp_flip_floor.median() * 100:.2f}\n")  # fmt: skip
        print("| option | " + " | ".join(METRICS) + " |\n|---|" + "---|" * len(METRICS))
        wide = {m: table.pivot(index="choice", columns="repeat", values=m).dropna(axis=1) for m in METRICS}
        order = list(dict.fromkeys(part.choice))
        for choice in order:
            cells = [f"{w.loc[choice].median():.1f} ({w.loc[choice].min():.1f}..{w.loc[choice].max():.1f})"
                     for w in wide.values()]  # fmt: skip
            print(f"| {choice} | " + " | ".join(cells) + " |")
        for metric, scores in wide.items():
            gains[scored_on, metric] = _gains(scores)
            found = spread(gains[scored_on, metric].to_numpy())
            print(f"\n{metric}: SD of the options' gains {found.architectures:.2f}, of one gain over repeats "
                  f"{found.seeds:.2f}, ratio {found.ratio:.1f}")  # fmt: skip
    _transfer(gains)


def _gains(scores: pd.DataFrame) -> pd.DataFrame:
    """Of every option over the average with the same loss, seed by seed; the average itself is left out."""
    found = {}
    for choice in scores.index:
        option, _, loss = choice.partition(" + ")
        if option != CONTROL:
            found[choice] = scores.loc[choice] - scores.loc[CONTROL + (" + loss" if loss else "")]
    return pd.DataFrame(found).T


def _transfer(gains: dict[tuple[str, str], pd.DataFrame]) -> None:
    for metric in METRICS:
        print(f"\n### Transfer of the gain in {metric}: Kendall tau (95 % bootstrap over options and repeats)\n")
        for one, other in combinations(SETS, 2):
            a, b = gains[one, metric], gains[other, metric]
            names = a.index.intersection(b.index)
            first, second = a.loc[names].to_numpy(), b.loc[names].to_numpy()
            print(f"- {one} / {other}: {_bootstrapped(first, second)}")
        for one in SETS:
            scores = gains[one, metric].to_numpy()
            if scores.shape[1] > 1:
                halves = [tau(scores[:, i], scores[:, j]) for i, j in combinations(range(scores.shape[1]), 2)]
                print(f"- {one}, one repeat / another (ceiling): {np.mean(halves):.2f}")


def _bootstrapped(first_AS: np.ndarray, second_AS: np.ndarray) -> str:
    rng = np.random.default_rng(0)

    def means(index: np.ndarray) -> float:
        if (index == np.arange(len(index))).all():
            return tau(first_AS.mean(1), second_AS.mean(1))
        one = first_AS[:, rng.integers(first_AS.shape[1], size=first_AS.shape[1])].mean(1)
        other = second_AS[:, rng.integers(second_AS.shape[1], size=second_AS.shape[1])].mean(1)
        return tau(one[index], other[index])

    return str(bootstrap(means, len(first_AS), seed=0))


if __name__ == "__main__":
    main()
