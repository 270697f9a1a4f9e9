"""The tables of signal.md, question 4, from the raw results. Knows nothing of how they were measured."""

from pathlib import Path

import pandas as pd

_WIDTH = "width of stage "


def print_parts(path: Path) -> None:
    """One table a size: a part's milliseconds with half-width, its share of the step, the profiler's share."""
    for size, rows in pd.read_csv(path).groupby("size", sort=False):
        names = list(rows["network"].unique())
        print(f"\n### Parts of a step, {size} ({_quality(rows)})\n")
        print("ms ± half-width, share of the step (share of the profiler's kernels)\n")
        print("| part | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
        cells = {(row.network, row.part): _part(row, rows) for row in rows.itertuples()}
        for part in sorted(rows["part"].unique(), key=_order):
            print(f"| {part} | " + " | ".join(cells.get((name, part), "") for name in names) + " |")
        wholes = rows.groupby("network", sort=False).first()
        print(
            "| whole | "
            + " | ".join(f"{wholes.latency_ms[n]:.3f} ± {wholes.halfwidth_ms[n]:.3f}" for n in names)
            + " |"
        )


def _part(row: "pd.Series[float]", rows: pd.DataFrame) -> str:
    share = row.part_ms / row.latency_ms
    text = f"{row.part_ms:.3f} ± {row.part_halfwidth_ms:.3f}, {share:.0%}"
    if row.part == "call":  # the profiler's rest is mostly its own doing
        return text
    kernels = rows[(rows["network"] == row.network) & (rows["part"] != "call")]["profiler_ms"]
    return f"{text} ({row.profiler_ms / kernels.sum():.0%})"


def _order(part: str) -> tuple[int, str]:
    """Parts in the order of the step; not every network has all of them."""
    order = (
        "call", "input", "stem", "stage", "context", "temporal bottleneck", "decoder", "temporal decoder", "head",
        "temporal logits", "upsampling",
    )  # fmt: skip
    return order.index("stage" if part.startswith("stage") else part), part


def print_levers(path: Path) -> None:
    """One table a size: latency over the latency of the same network without the lever; then the widths."""
    for size, rows in pd.read_csv(path).groupby("size", sort=False):
        names = list(rows["network"].unique())
        print(f"\n### Levers, {size} ({_quality(rows)})\n")
        print("| lever | variant | against | " + " | ".join(names) + " |\n|---|---|---|" + "---|" * len(names))
        levers = rows[~rows["lever"].str.startswith(_WIDTH)]
        for (lever, variant, base), found in levers.groupby(["lever", "variant", "base"], sort=False):
            by_name = found.set_index("network")
            texts = [_lever(by_name.loc[name]) if name in by_name.index else "" for name in names]
            print(f"| {lever} | {variant} | {base} | " + " | ".join(texts) + " |")
        _print_widths(rows[rows["lever"].str.startswith(_WIDTH)], str(size))


def _lever(row: "pd.Series[float]") -> str:
    if row["variant"] == row["base"]:
        return f"{row['latency_ms']:.3f} ± {row['halfwidth_ms']:.3f} ms"
    return f"{row['ratio']:.3f} ± {row['ratio_halfwidth']:.3f}"


def _print_widths(rows: pd.DataFrame, size: str) -> None:
    """Milliseconds by width, and how far a width is above the line between its neighbours at multiples."""
    curves = rows.assign(width=rows["variant"].astype(int)).pivot_table(
        index=["network", "lever"], columns="width", values="latency_ms", sort=False
    )
    widths = [int(width) for width in curves.columns]
    print(f"\n### Widths of one stage, {size}: ms; then % above the line between multiples of 8, and of 16\n")
    heads = [*map(str, widths), "4 mod 8", "8 mod 16"]
    print("| network, stage | " + " | ".join(heads) + " |\n|---|" + "---|" * len(heads))
    for (name, lever), curve in curves.iterrows():
        texts = [f"{curve[width]:.3f}" for width in widths]
        texts += [_excess(curve, 8), _excess(curve, 16)]
        print(f"| {name}, {lever.removeprefix(_WIDTH)} | " + " | ".join(texts) + " |")


def _excess(curve: "pd.Series[float]", multiple: int) -> str:
    """Mean over widths midway between two multiples that were both measured, in percent."""
    half = multiple // 2
    between = [
        curve[width] / ((curve[width - half] + curve[width + half]) / 2) - 1
        for width in curve.index
        if width % multiple == half and width - half in curve.index and width + half in curve.index
    ]
    return f"{100 * sum(between) / len(between):+.1f} (n {len(between)})" if between else ""


def _quality(rows: pd.DataFrame) -> str:
    noise = f"{int(rows['contended'].sum())} of {len(rows)} values contended, anchor CV {rows['anchor_cv'].max():.1%}"
    return f"{rows['protocol'].iloc[0]}; {noise}"
