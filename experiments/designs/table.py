"""The markdown table of signal.md, question 3, from its raw results. Trains and times nothing."""

from pathlib import Path

import numpy as np
import pandas as pd

from experiments.designs.entries import KEYS
from nas.pareto import front

SCORES = ("miou", "miou_stills", "tc", "warp_flip", "val_miou", "val_tc", "val_warp_flip")
JUDGE = "miou_stills"
"""The accuracy of the Pareto front: of the held-out drive, every labelled frame by itself."""


def summary(trainings: pd.DataFrame, latencies: pd.DataFrame) -> pd.DataFrame:
    """One row an entry, fastest first: its latency, the median of every score over seeds, and whether it is optimal.

    Optimal: no other entry is at most as slow and at least as accurate, and better in one of the two. An entry
    without a latency is left out.
    """
    medians = trainings.groupby(list(KEYS))[list(SCORES)].median().reset_index()
    table = medians.merge(latencies, on=list(KEYS), how="inner").sort_values("latency_ms", ignore_index=True)
    optimal = front(np.stack([table["latency_ms"], -table[JUDGE]], axis=1))
    return table.assign(pareto=table.index.isin(optimal))


def read(path: Path) -> pd.DataFrame:
    """A CSV of results whose columns KEYS are text."""
    return pd.read_csv(path, dtype=dict.fromkeys(KEYS, str))


def markdown(trainings: pd.DataFrame, latencies: pd.DataFrame) -> str:
    """A table a size and a length of training; scores in points, median (least..most) over seeds."""
    parts = []
    for (size, epochs), rows in trainings.groupby(["size", "epochs"]):
        parts.append(f"### {size}, {epochs} epochs, {rows['seed'].nunique()} seeds\n")
        parts.append("| name | width | average | latency ms | " + " | ".join(SCORES) + " | Pareto |")
        parts.append("|---|---|---|" + "---:|" * (len(SCORES) + 1) + "---|")
        for _, entry in summary(rows, latencies).iterrows():
            own = rows[(rows[list(KEYS)] == entry[list(KEYS)]).all(axis=1)]
            cells = [_cell(own[score] * 100) for score in SCORES]
            noisy = " (contended)" if entry["contended"] == "yes" else ""
            latency = f"{entry['latency_ms']:.3f} ± {entry['halfwidth']:.3f}{noisy}"
            parts.append(f"| {' | '.join([*entry[list(KEYS)], latency, *cells, 'yes' if entry['pareto'] else ''])} |")
        parts.append(f"\n{len(rows)} trainings, {rows['cpu_s'].sum() / 60:.0f} CPU minutes\n")
    return "\n".join(parts)


def _cell(values: pd.Series) -> str:
    return f"{values.median():.2f} ({values.min():.2f}..{values.max():.2f})"
