"""The tables of space.md from the raw rows: distributions of errors, and what the choices of members go with.

Usage: python -m experiments.space_table [experiments/results]
"""

import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu

from experiments.space import Member
from search_spaces.network_questions import COARSEST_PX

METRICS = ("miou", "miou_stills", "tc", "warp_flip")
CONTROLS = ("dense before pruning", "dense")
DRAWN_BEFORE = ["whole frames before pruning", "before pruning"]
MIN_COUNT = 5
"""Members with and without a choice below which its mean says nothing."""


def main() -> None:
    """Print the tables as Markdown."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "experiments/results")
    rows = pd.read_csv(folder / "space.csv")
    rows[list(METRICS)] *= 100
    print(f"{len(rows)} trainings, {rows.cpu_s.sum() / 60:.0f} CPU minutes")
    for target, part in rows.groupby("target_ms"):
        print(f"\n### Within 20 % of {target} ms\n")
        print("\n".join(_distributions(part)))
    members = {
        (m.population, m.target_ms, m.name): m
        for m in map(Member.read, (folder / "space_networks.jsonl").read_text().splitlines())
    }
    for title, populations in (("video_cells", ["video_cells"]), ("what was pruned", DRAWN_BEFORE)):
        print(f"\n### What choices go with, {title}, both targets\n")
        print("\n".join(_choices(rows[rows.population.isin(populations)], members)))


def _distributions(part: pd.DataFrame) -> Iterator[str]:
    yield "| population | n | " + " | ".join(METRICS) + " | best miou | p of miou against " + ", ".join(CONTROLS) + " |"
    yield "|---|---:|" + "---|" * (len(METRICS) + 2)
    controls = [part[part.population == name] for name in CONTROLS]
    for population, rows in part.groupby("population", sort=False):
        cells = [
            f"{rows[m].median():.1f} ({rows[m].quantile(0.25):.1f}..{rows[m].quantile(0.75):.1f})" for m in METRICS
        ]
        said = ", ".join(_p(rows, control) for control in controls)
        yield f"| {population} | {len(rows)} | {' | '.join(cells)} | {rows.miou.max():.1f} | {said} |"
    yield ""
    yield "Medians with quartiles, in points; p: Mann-Whitney, two-sided."
    yield ""
    quantiles = (0.1, 0.25, 0.5, 0.75, 0.9)
    yield "| error (100 - miou) at the quantile | " + " | ".join(f"{q:.0%}" for q in quantiles) + " |"
    yield "|---|" + "---:|" * len(quantiles)
    for population, rows in part.groupby("population", sort=False):
        yield f"| {population} | " + " | ".join(f"{(100 - rows.miou).quantile(q):.1f}" for q in quantiles) + " |"


def _p(one: pd.DataFrame, other: pd.DataFrame) -> str:
    apart = len(other) and one.population.iloc[0] != other.population.iloc[0]
    return f"{mannwhitneyu(one.miou, other.miou).pvalue:.2g}" if apart else "-"


def _choices(rows: pd.DataFrame, members: dict[tuple[str, float, str], Member]) -> Iterator[str]:
    """For every option that enough members have and lack: the difference of their mean mIoU, targets apart."""
    chosen = [
        set(_options(members[row.population, row.target_ms, row.network]))
        for row in rows.itertuples()
    ]  # fmt: skip
    gain = rows.miou - rows.groupby(["population", "target_ms"]).miou.transform("mean")
    found = []
    for option in sorted(set().union(*chosen)):
        has = np.array([option in options for options in chosen])
        if min(has.sum(), (~has).sum()) >= MIN_COUNT:
            difference = float(gain[has].mean() - gain[~has].mean())
            error = float(np.hypot(gain[has].std() / has.sum() ** 0.5, gain[~has].std() / (~has).sum() ** 0.5))
            found.append((difference, error, int(has.sum()), option))
    yield "| option | members with it | mIoU with less mIoU without, ± standard error |"
    yield "|---|---:|---|"
    for difference, error, count, option in sorted(found):
        yield f"| {option} | {count} | {difference:+.2f} ± {error:.2f} |"


def _options(member: Member) -> Iterator[str]:
    """Field=value of everything recorded of a network that is a name or a small number, stages pooled."""

    def walk(path: str, value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from walk(f"{path}.{name}".lstrip("."), inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(path, inner)
        elif path != "kind":
            yield f"{path}={value}"

    network = member.architecture.video
    pixels = network.head_stride / Fraction(network.input_scale)
    yield f"frame pixels under the scores {'>' if pixels > COARSEST_PX else '<='} {float(COARSEST_PX):.1f}"
    yield from walk("", json.loads(member.architecture.to_json())["network"])


if __name__ == "__main__":
    main()
