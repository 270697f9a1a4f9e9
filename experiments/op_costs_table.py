"""The tables of op_costs.md from the raw results, and where multiply-accumulates mislead. Times nothing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

RUNTIMES = ("onnxruntime", "torch")
WORST = 12
FREE_OF_MACS_M = 0.05
"""Millions of multiply-accumulates below which a part has none worth a rank: gates, pooled maps."""


def markdown(path: Path) -> str:
    """All tables."""
    rows = pd.read_csv(path, keep_default_na=False, na_values={c: [""] for c in _numbers()})
    rows["part"] = rows["name"] + rows["variant"].where(rows["variant"] == "", ", " + rows["variant"])
    dense = rows[(rows["group"] == "convolution") & (rows["part"] == "dense, 3x3")].iloc[0]
    rows["macs_ratio"] = rows["macs_m"] / dense["macs_m"]
    lines = [_quality(rows, dense)]
    for group, members in rows[rows["group"] != "base"].groupby("group", sort=False):
        lines += [f"\n### {group}\n", *_table(members)]
    for runtime in RUNTIMES:
        lines += [f"\n### Where MACs mislead, {runtime}\n", *_misled(rows, runtime)]
    return "\n".join(lines)


def _numbers() -> list[str]:
    figures = ("ms", "halfwidth_ms", "ratio", "ratio_halfwidth", "contended", "anchor_cv")
    return ["macs_m", "params_k", "state_kb", *(f"{runtime}_{figure}" for runtime in RUNTIMES for figure in figures)]


def _quality(rows: pd.DataFrame, dense: "pd.Series[float]") -> str:
    said = [f"protocol {rows['protocol'].iloc[0]}"]
    for runtime in RUNTIMES:
        contended, cv = rows[f"{runtime}_contended"], rows[f"{runtime}_anchor_cv"].max()
        said.append(
            f"{runtime}: dense 3x3 {dense[f'{runtime}_ms']:.3f} ms, {int(contended.sum())} of "
            f"{int(contended.count())} contended, anchor CV {cv:.1%}"
        )
    return "; ".join(said)


def _table(members: pd.DataFrame) -> Iterator[str]:
    yield "| part | MMAC | MACs / dense | params k | state kB | onnxruntime / dense | torch / dense | note |"
    yield "|---|" + "---:|" * 6 + "---|"
    for _, row in members.iterrows():
        ratios = [_ratio(row, runtime) for runtime in RUNTIMES]
        state = f"{row['state_kb']:.1f}" if row["state_kb"] else "-"
        yield (
            f"| {row['part']} | {row['macs_m']:.2f} | {row['macs_ratio']:.3f} | {row['params_k']:.2f} | {state} | "
            f"{' | '.join(ratios)} | {row['note']} |"
        )


def _ratio(row: "pd.Series[float]", runtime: str) -> str:
    ratio = row[f"{runtime}_ratio"]
    return "-" if np.isnan(ratio) else f"{ratio:.3f} ± {row[f'{runtime}_ratio_halfwidth']:.3f}"


def _misled(rows: pd.DataFrame, runtime: str) -> Iterator[str]:
    """Rank correlation; for the worst parts the one they are furthest on the wrong side of; what MACs do not see."""
    known = rows[rows[f"{runtime}_ratio"].notna() & (rows["group"] != "base")]
    counted = known[known["macs_m"] > FREE_OF_MACS_M]
    ranks = pd.DataFrame({"macs": counted["macs_m"].rank(), "ms": counted[f"{runtime}_ms"].rank()}, counted.index)
    correlation = ranks["macs"].corr(ranks["ms"]) if len(ranks) > 1 else float("nan")
    yield f"Rank correlation of MACs with latency over {len(ranks)} parts that have any: {correlation:.2f}.\n"
    yield "| part (rank by MACs, by latency) | is dearer than (ranks) | with a share of its MACs | at latency x |"
    yield "|---|---|---:|---:|"
    for one, other, share, factor in sorted(_pairs(counted, runtime), key=lambda p: p[2] / p[3])[:WORST]:
        names = [f"{counted['part'][i]} ({ranks['macs'][i]:.0f}, {ranks['ms'][i]:.0f})" for i in (one, other)]
        yield f"| {names[0]} | {names[1]} | {share:.3f} | {factor:.2f} |"
    free = known[(known["macs_m"] <= FREE_OF_MACS_M)].sort_values(f"{runtime}_ratio", ascending=False)
    said = ", ".join(f"{row['part']} {row[f'{runtime}_ratio']:.3f}" for _, row in free.iterrows())
    yield f"\nWithout MACs, in dense 3x3 convolutions: {said or 'none measured'}."


def _pairs(rows: pd.DataFrame, runtime: str) -> Iterator[tuple[int, int, float, float]]:
    """For every part the other one that it is dearer than, beyond the noise, with the smallest share of its MACs.

    (part, other, share of the other's MACs, latency in the other's); smallest by share over factor.
    """
    ms, noise_ms, macs = rows[f"{runtime}_ms"], rows[f"{runtime}_halfwidth_ms"], rows["macs_m"]
    for one in rows.index:
        dearer = (ms[one] - ms > noise_ms[one] + noise_ms) & (macs[one] < macs) & (ms > noise_ms)
        if dearer.any():
            share, factor = macs[one] / macs[dearer], ms[one] / ms[dearer]
            other = (share / factor).idxmin()
            yield one, other, float(share[other]), float(factor[other])
