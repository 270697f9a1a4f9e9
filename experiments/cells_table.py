"""The table of cells.md from the raw rows: every cell beside the average and wider networks.

Usage: python -m experiments.cells_table [experiments/results]
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

SETS = {"camvid_pseudo_held_out": "pseudo-video, held out", "camvid_val_15hz": "real clip, 15 Hz"}
METRICS = ("miou", "tc", "warp_flip")
CONTROL = "average"


def main() -> None:
    """Print a table for each scored set, then what the cells gain over the average and over a wider network."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "experiments/results")
    rows = pd.read_csv(folder / "cells.csv")
    costs = pd.read_csv(folder / "cells_latency.csv").set_index("option")
    rows[[*METRICS, "tc_ceiling", "warp_flip_floor"]] *= 100
    runs = rows.groupby(["option", "temporal_weight", "seed"]).cpu_s.first()
    print(f"{len(runs)} trainings, {runs.sum() / 60:.0f} CPU minutes; "
          f"{int(costs.contended.sum())} of {len(costs)} latencies contended")  # fmt: skip
    for scored_on, title in SETS.items():
        part = rows[(rows.scored_on == scored_on) & ~rows.option.str.startswith("stills")]
        print(f"\n### {title}: ground truth tc {part.tc_ceiling.median():.1f}, "
              f"warp-flip {part.warp_flip_floor.median():.2f}\n")  # fmt: skip
        print("\n".join(_scores(part, costs)))
        print("\n" + "\n".join(_verdicts(part, costs)))


def _scores(part: pd.DataFrame, costs: pd.DataFrame) -> Iterator[str]:
    """Medians over seeds with their range, without and with the temporal loss."""
    names = [f"{metric}{loss}" for metric in METRICS for loss in ("", " + loss")]
    yield "| cell | latency_ms | state kB | " + " | ".join(names) + " |"
    yield "|---|---:|---:|" + "---|" * len(names)
    for option in dict.fromkeys(part.option):
        cells = []
        for metric in METRICS:
            for weight in (0.0, 5.0):
                scores = part[(part.option == option) & (part.temporal_weight == weight)][metric]
                cells.append(f"{scores.median():.1f} ({scores.min():.1f}..{scores.max():.1f})" if len(scores) else "-")
        cost = costs.loc[option]
        yield f"| {option} | {cost.latency_ms:.3f} | {cost.state_bytes / 1e3:.1f} | {' | '.join(cells)} |"


def _verdicts(part: pd.DataFrame, costs: pd.DataFrame) -> Iterator[str]:
    """Gains paired by seed, with the temporal loss; wider is the one nearest in latency."""
    wide = part.pivot_table(index="option", columns=["temporal_weight", "seed"], values=list(METRICS))
    wider = [name for name in costs.index if name == "none" or name.startswith("wider")]
    yield "| cell, with loss | mIoU over average | warp-flip less than average | wider network of its latency | "\
          "mIoU over it | warp-flip less than it |"  # fmt: skip
    yield "|---|---|---|---|---|---|"
    for option in wide.index:
        if option in wider:
            continue
        rival = min(wider, key=lambda name: abs(costs.latency_ms[name] - costs.latency_ms[option]))
        cells = []
        for other in (CONTROL, rival):
            miou = wide.loc[option, ("miou", 5.0)] - wide.loc[other, ("miou", 5.0)]
            flip = wide.loc[other, ("warp_flip", 5.0)] - wide.loc[option, ("warp_flip", 5.0)]
            cells += [f"{d.median():+.1f} ({d.min():+.1f}..{d.max():+.1f})" for d in (miou, flip)]
        yield f"| {option} | {cells[0]} | {cells[1]} | {rival} | {cells[2]} | {cells[3]} |"


if __name__ == "__main__":
    main()
