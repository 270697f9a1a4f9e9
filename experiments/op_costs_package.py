"""From the raw cost table to the file that `vidseg-nas list` reads. Times nothing.

Usage: python -m experiments.op_costs_package [experiments/results/op_costs.csv]; on the machine that measured it.
"""

import importlib.metadata
import sys
from pathlib import Path

from experiments.op_costs_harness import CHANNELS, DENSE, SIZE_HW
from experiments.runs import read_rows
from latency_tables import reference_costs
from latency_tables.device import cpu_model

RUNTIMES = ("onnxruntime", "torch")


def package(rows: list[dict[str, str]]) -> str:
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
    return reference_costs.to_lines(header, parts)


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
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "experiments/results/op_costs.csv")
    target = Path(reference_costs.__file__).with_name(reference_costs.FILE)
    target.write_text(package(read_rows(path)), encoding="utf-8")
    print(f"{target.name}: {path.name} packaged")


if __name__ == "__main__":
    main()
