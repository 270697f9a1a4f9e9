"""From the raw cost table to the file that `vidseg-nas list` reads. Times nothing.

Usage: python -m experiments.op_costs_package [experiments/results]; on the machine that measured it. Reads the rows of
op_costs and of schedule_costs.
"""

import importlib.metadata
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from experiments.op_costs_harness import CHANNELS, DENSE, SIZE_HW
from experiments.runs import read_rows
from latency_tables import reference_costs
from latency_tables.device import cpu_model
from search_spaces.schedules import REFERENCE_HW, REFERENCE_PRESET

RUNTIMES = ("onnxruntime", "torch")
WHOLE = f"all of {REFERENCE_PRESET} at {REFERENCE_HW[0]}x{REFERENCE_HW[1]}"


def package(rows: list[dict[str, str]], schedules: list[dict[str, str]]) -> str:
    """The text of the packaged file: what is subtracted from others is left out."""
    parts = [_part(row) for row in rows if row["group"] != "base"]
    dense = next(part for part in parts if f"{part.group}/{part.name}/{part.variant}" == DENSE)
    header = reference_costs.CostHeader(
        generator="python -m experiments.op_costs, python -m experiments.op_costs_package",
        protocol=rows[0]["protocol"],
        processor=cpu_model(),
        versions={runtime: importlib.metadata.version(runtime) for runtime in RUNTIMES},
        channels=CHANNELS,
        height=SIZE_HW[0],
        width=SIZE_HW[1],
        dense_ms=dense.latency_ms,
    )
    return reference_costs.to_lines(header, [*parts, *_schedules(schedules, dense.latency_ms)])


def _schedules(rows: list[dict[str, str]], dense_ms: Mapping[str, float]) -> Iterator[reference_costs.PartCost]:
    """Two forms of each: the mean over its frames, and the dearest one. A whole network, so nothing is subtracted."""
    for name in dict.fromkeys(row["schedule"] for row in rows):
        own = {row["runtime"]: row for row in rows if row["schedule"] == name}
        first = next(iter(own.values()))
        for variant, latency, macs in (("", "latency_ms", "macs"), ("dearest frame", "latency_worst_ms", "worst_macs")):
            yield reference_costs.PartCost(
                group="schedule",
                name=name,
                variant=variant,
                macs=int(first[macs]),
                parameters=int(first["parameters"]),
                state_bytes=int(first["state_bytes"]),
                latency_ms={runtime: float(row[latency]) for runtime, row in own.items()},
                ratio={runtime: float(row[latency]) / dense_ms[runtime] for runtime, row in own.items()},
                ratio_halfwidth={
                    runtime: float(row["latency_halfwidth_ms"]) / dense_ms[runtime] for runtime, row in own.items()
                },
                contended=any(float(row["contended"]) for row in own.values()),
                note=WHOLE,
            )


def _part(row: dict[str, str]) -> reference_costs.PartCost:
    timed = [runtime for runtime in RUNTIMES if row[f"{runtime}_ms"]]
    return reference_costs.PartCost(
        group=row["group"],
        name=row["name"],
        variant=row["variant"],
        macs=round(float(row["macs_m"]) * 1e6),
        parameters=round(float(row["params_k"]) * 1e3),
        state_bytes=round(float(row["state_kb"]) * 1e3),
        latency_ms={runtime: float(row[f"{runtime}_ms"]) for runtime in timed},
        ratio={runtime: float(row[f"{runtime}_ratio"]) for runtime in timed},
        ratio_halfwidth={runtime: float(row[f"{runtime}_ratio_halfwidth"]) for runtime in timed},
        contended=any(row[f"{runtime}_contended"] == "1" for runtime in timed),
        note=row["note"],
    )


def main() -> None:
    """Write the file into the package."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "experiments/results")
    target = Path(reference_costs.__file__).with_name(reference_costs.FILE)
    rows, schedules = (read_rows(folder / f"{name}.csv") for name in ("op_costs", "schedule_costs"))
    target.write_text(package(rows, schedules), encoding="utf-8")
    print(f"{target.name}: {len(rows)} parts and {len(schedules)} schedules packaged")


if __name__ == "__main__":
    main()
