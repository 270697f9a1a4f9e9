"""The tables of searcher_curves.md, from the raw rows.

Usage: python -m experiments.searcher_curves_table [experiments/results/searcher_curves.csv] [--label NAME]
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.runs import read_rows
from nas.compare.ranking import holm, mann_whitney

CONTROL = "random"
Curves = Mapping[str, Mapping[int, Sequence[float]]]
"""Searcher -> evaluations -> regret of each seed."""


def curves(rows: Sequence[Mapping[str, str]], label: str) -> Curves:
    """Of one table's rows."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        if row["table"] == label:
            regrets = found.setdefault(row["searcher"], {}).setdefault(int(row["evaluations"]), [])
            regrets.append(float(row["regret_points"]))
    return found


def lines(found: Curves) -> list[str]:
    """Mean, median and quartiles at every mark, the corrected p-value against the control at the last two."""
    marks = sorted({mark for curve in found.values() for mark in curve})
    tests = {
        mark: _against_control(found, mark)
        for mark in [mark for mark in marks if mark in found.get(CONTROL, {})][-2:]
    }  # fmt: skip
    head = [f"{mark}: mean, median (quartiles)" for mark in marks] + [f"p at {mark}" for mark in tests]
    text = ["| searcher | seeds | " + " | ".join(head) + " |", "|---|---|" + "---|" * len(head)]
    for searcher, curve in found.items():
        cells = [_spread(curve[mark]) if mark in curve else "" for mark in marks]
        cells += [test.get(searcher, "") for test in tests.values()]
        seeds = max(len(regrets) for regrets in curve.values())
        text.append(f"| {searcher} | {seeds} | " + " | ".join(cells) + " |")
    return text


def halves(found: Curves) -> list[str]:
    """Whether a searcher is with half of the evaluations where the control is with all of them."""
    text = ["| searcher | evaluations | regret | random after twice as many | p |", "|---|---|---|---|---|"]
    control = found.get(CONTROL, {})
    for searcher, curve in found.items():
        for mark, regrets in sorted(curve.items()):
            if searcher != CONTROL and 2 * mark in control:
                later = control[2 * mark]
                p = mann_whitney(regrets, later)
                text.append(f"| {searcher} | {mark} | {np.mean(regrets):.3f} | {np.mean(later):.3f} | {p:.2g} |")
    return text


def _against_control(found: Curves, mark: int) -> dict[str, str]:
    others = [searcher for searcher in found if searcher != CONTROL and mark in found[searcher]]
    raw = [mann_whitney(found[searcher][mark], found[CONTROL][mark]) for searcher in others]
    return {searcher: f"{p:.2g}" for searcher, p in zip(others, holm(raw), strict=True)}


def _spread(regrets: Sequence[float]) -> str:
    low, middle, high = np.quantile(regrets, (0.25, 0.5, 0.75))
    return f"**{np.mean(regrets):.3f}**, {middle:.3f} ({low:.3f}..{high:.3f})"


def main() -> None:
    """Print the tables of every label, or of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path, default=Path("experiments/results/searcher_curves.csv"))
    parser.add_argument("--label")
    given = parser.parse_args()
    rows = read_rows(given.path)
    for label in [given.label] if given.label else dict.fromkeys(row["table"] for row in rows):
        found = curves(rows, label)
        print(f"\n### {label}\n", *lines(found), "", *halves(found), sep="\n")


if __name__ == "__main__":
    main()
