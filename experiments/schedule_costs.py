"""What a network costs with each schedule, the mean over its frames and the dearest one: see op_costs.md.

Usage: python -m experiments.schedule_costs [--out experiments/results/schedule_costs.csv]; needs a quiet machine.
"""

import argparse
import csv
import tempfile
from dataclasses import replace
from pathlib import Path

from evaluators.job import Job
from evaluators.latency import LatencyEvaluator
from experiments.op_costs_package import RUNTIMES
from latency_tables.device import parse_target
from search_spaces.architecture import Architecture
from search_spaces.presets import preset
from search_spaces.schedules import REFERENCE_CLASSES, REFERENCE_HW, REFERENCE_PRESET, SCHEDULES, schedule_cost

COLUMNS = (
    "schedule", "runtime", "latency_ms", "latency_worst_ms", "latency_halfwidth_ms", "contended", "macs", "worst_macs",
    "parameters", "state_bytes",
)  # fmt: skip


def main() -> None:
    """Time all schedules interleaved, once a runtime."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("experiments/results/schedule_costs.csv"))
    given = parser.parse_args()
    schedules = {"none": None, **{name: entry.typical for name, entry in SCHEDULES.items()}}
    whole = preset(REFERENCE_PRESET).architecture.video
    jobs = [Job("measure", Architecture(replace(whole, schedule=schedule))) for schedule in schedules.values()]
    with given.out.open("w", newline="") as file, tempfile.TemporaryDirectory() as folder:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for runtime in RUNTIMES:
            target = parse_target(f"{runtime}:f32:1@thiscpu")
            evaluator = LatencyEvaluator(target, REFERENCE_HW, REFERENCE_CLASSES, Path(folder), 0)
            for (name, schedule), outcome in zip(schedules.items(), evaluator.many(jobs), strict=True):
                if outcome.error is not None:
                    raise SystemExit(f"{name}: {outcome.error}")
                cost = schedule_cost(schedule)
                counted = {field: getattr(cost, field) for field in COLUMNS if hasattr(cost, field)}
                writer.writerow({"schedule": name, "runtime": runtime, **outcome.metrics, **counted})
                mean, worst = outcome.metrics["latency_ms"], outcome.metrics["latency_worst_ms"]
                print(f"{runtime:12} {name:12} mean {mean:.3f} ms, dearest frame {worst:.3f} ms", flush=True)


if __name__ == "__main__":
    main()
