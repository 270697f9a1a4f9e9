"""The table of memory.md from its raw results: median and range over seeds, in points.

Usage: python -m experiments.memory_table experiments/results/memory.csv
"""

import sys

import pandas as pd

METRICS = ("miou", "tc", "warp_flip", "vc8c")
ORDER = ("none", "wider", "average", "conv_gru")


def main() -> None:
    """Print one table a scored set, markdown."""
    rows = pd.read_csv(sys.argv[1])
    for scored_on, part in rows.groupby("scored_on", sort=False):
        ceiling, floor = part["tc_ceiling"].median() * 100, part["warp_flip_floor"].median() * 100
        print(f"\n### {scored_on}: ground truth tc {ceiling:.1f}, warp-flip {floor:.2f}\n")
        print("| network | temporal weight | " + " | ".join(METRICS) + " |\n|---|---|" + "---|" * len(METRICS))
        for name in ORDER:
            for weight, cell in part[part["network"] == name].groupby("temporal_weight"):
                texts = [
                    f"{values.median():.1f} ({values.min():.1f}..{values.max():.1f})"
                    for values in (cell[metric].dropna() * 100 for metric in METRICS)
                ]
                print(f"| {name} | {weight:g} | " + " | ".join(texts) + " |")
    runs = rows.groupby(["trained_on", "network", "temporal_weight", "seed"]).cpu_s.first()
    print(f"\n{len(runs)} trainings, {runs.sum() / 60:.0f} CPU minutes")


if __name__ == "__main__":
    main()
