"""Every temporal cell at equal training, beside the average and wider networks: cells.md. Ranks nothing itself.

Usage: python -m experiments.cells [--time] [--data ../shared/data] [--out experiments/results] [--workers 2]
`--time` measures what each costs and needs a quiet machine; without it, what has no row yet is trained. As in
signal_temporal, a network without cells is trained on stills once a seed and every cell goes on from its weights.
"""

import argparse
import csv
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from evaluators.job import Job
from evaluators.latency import LatencyEvaluator
from experiments.runs import Row, run_jobs
from experiments.signal_temporal import COLUMNS, KEYS, Setting, Training, run_one
from latency_tables.device import parse_target
from latency_tables.measurement import SEARCH
from search_spaces.architecture import Architecture, NetworkSpec, TemporalSite
from search_spaces.cells.attention_specs import (
    AdaptiveKernelsSpec,
    AttentionPropagationSpec,
    LocalCorrelationSpec,
    MemoryAttentionSpec,
    TemporalAttentionSpec,
)
from search_spaces.cells.dynamic_spec import DynamicCellSpec, NodeSpec, OperandSpec
from search_spaces.cells.specs import (
    ConvGRUSpec,
    ConvLSTMSpec,
    DiagonalStateSpaceSpec,
    ExponentialAverageSpec,
    FeedbackSpec,
    FlowGatedWarpSpec,
    FlowWarpedAverageSpec,
    MinGRUSpec,
    SimilarityGateSpec,
    StackedConvGRUSpec,
    StreamedConvSpec,
    TemporalShiftSpec,
)
from search_spaces.presets import PRESETS
from search_spaces.trace import num_macs, num_parameters, state_bytes

BASE = PRESETS["plain_small"].architecture
SIZE_HW = (120, 160)
NUM_CLASSES = 11
SEEDS = (0, 1, 2)
WEIGHTS = (0.0, 5.0)
SEPARABLE = "depthwise_separable"
GATED_STATE = DynamicCellSpec(
    (NodeSpec((OperandSpec("feature", "skip"), OperandSpec("state", "sep_conv3x3")), "gate"),)
)
"""One graph of the dynamic cell: the searcher of such graphs is another experiment."""

CELLS: Mapping[str, TemporalSite] = {
    "average": TemporalSite("decoder", ExponentialAverageSpec()),
    "average on scores": TemporalSite("logits", ExponentialAverageSpec()),
    "flow-warped average": TemporalSite("decoder", FlowWarpedAverageSpec()),
    "flow-gated warp": TemporalSite("decoder", FlowGatedWarpSpec()),
    "feedback of features": TemporalSite("decoder", FeedbackSpec()),
    "feedback of the prediction": TemporalSite("logits", FeedbackSpec("softmax")),
    "temporal shift": TemporalSite("decoder", TemporalShiftSpec(4)),
    "minimal GRU": TemporalSite("decoder", MinGRUSpec()),
    "diagonal state space": TemporalSite("decoder", DiagonalStateSpaceSpec()),
    "ConvGRU, half": TemporalSite("decoder", ConvGRUSpec(), share="1/2"),
    "ConvGRU, separable": TemporalSite("decoder", ConvGRUSpec(3, SEPARABLE)),
    "stacked ConvGRU, separable": TemporalSite("decoder", StackedConvGRUSpec(3, SEPARABLE)),
    "ConvLSTM, separable": TemporalSite("decoder", ConvLSTMSpec(3, SEPARABLE)),
    "3D": TemporalSite("decoder", StreamedConvSpec("full")),
    "(2+1)D": TemporalSite("decoder", StreamedConvSpec("r2plus1d")),
    "channel-separated 3D": TemporalSite("decoder", StreamedConvSpec("channel_separated")),
    "perpendicular 1D": TemporalSite("decoder", StreamedConvSpec("perpendicular")),
    "orthogonal (2+1)D": TemporalSite("decoder", StreamedConvSpec("orthogonal")),
    "similarity gate": TemporalSite("decoder", SimilarityGateSpec()),
    "adaptive kernels": TemporalSite("decoder", AdaptiveKernelsSpec()),
    "local correlation": TemporalSite("decoder", LocalCorrelationSpec()),
    "attention propagation": TemporalSite("bottleneck", AttentionPropagationSpec()),
    "memory attention": TemporalSite("bottleneck", MemoryAttentionSpec()),
    "temporal attention": TemporalSite("decoder", TemporalAttentionSpec()),
    "dynamic cell, gated state": TemporalSite("decoder", GATED_STATE),
}
WIDER = (5 / 4, 3 / 2, 2)
"""Factors of all widths of the network without a cell: what its latency could have been spent on instead."""

LATENCY_COLUMNS = (
    "option", "latency_ms", "latency_halfwidth_ms", "contended", "macs_m", "params_k", "state_bytes",
)  # fmt: skip


def wider(factor: float) -> Architecture:
    """The network without a cell, every width times `factor`, at multiples of 4."""

    def scaled(channels: int) -> int:
        return 4 * round(channels * factor / 4)

    spec: NetworkSpec = BASE.video
    stages = tuple(replace(stage, channels=scaled(stage.channels)) for stage in spec.stages)
    stem = replace(spec.stem, channels=scaled(spec.stem.channels))
    decoder = replace(spec.decoder, channels=scaled(spec.decoder.channels))
    return Architecture(replace(spec, stem=stem, stages=stages, decoder=decoder))


def options() -> dict[str, tuple[Architecture, str]]:
    """name -> (network, name of the network whose weights on stills it goes on from)."""
    found = {"none": (BASE, "none")}
    for factor in WIDER:
        found[f"wider {factor:g}"] = (wider(factor), f"wider {factor:g}")
    for name, site in CELLS.items():
        found[name] = (Architecture(replace(BASE.video, temporal=(site,))), "none")
    return found


def jobs(setting: Setting, scratch: Path, *, base: bool) -> Iterator[tuple[Row, Training]]:
    """Seed by seed, so that what is there at any moment is complete for the seeds so far."""
    for seed in SEEDS:
        for name, (architecture, start_name) in options().items():
            if base and name != start_name:
                continue
            start = scratch / f"base-{start_name.replace(' ', '-')}-{seed}.safetensors"
            for weight in (0.0,) if base else WEIGHTS:
                option = f"stills, {name}" if base else name
                row = {"trained_on": setting.name, "fold": "", "option": option, "temporal_weight": weight}
                yield {**row, "seed": seed}, Training(setting, architecture, start, base, weight, seed)


def time_all(path: Path) -> None:
    """One interleaved run over all options; a row each."""
    found = options()
    with tempfile.TemporaryDirectory() as folder:
        target = parse_target("onnxruntime:f32:1@thiscpu")
        evaluator = LatencyEvaluator(target, SIZE_HW, NUM_CLASSES, Path(folder), 0, SEARCH)
        outcomes = evaluator.many([Job("measure", architecture) for architecture, _ in found.values()])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, LATENCY_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for (name, (architecture, _)), outcome in zip(found.items(), outcomes, strict=True):
            if outcome.error is not None:
                raise SystemExit(f"{name}: {outcome.error}")
            counts = {
                "macs_m": num_macs(architecture, SIZE_HW, NUM_CLASSES) / 1e6,
                "params_k": num_parameters(architecture, NUM_CLASSES) / 1e3,
                "state_bytes": state_bytes(architecture, SIZE_HW, NUM_CLASSES),
            }
            writer.writerow({"option": name, **outcome.metrics, **counts})
            print(f"{name:30} {outcome.metrics['latency_ms']:.3f} ms", flush=True)


def main() -> None:
    """Time, or train: networks without cells on stills first, then every option from their weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("experiments/results"))
    parser.add_argument("--scratch", type=Path, default=Path("runs/cells"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.time:
        time_all(given.out / "cells_latency.csv")
        return
    given.scratch.mkdir(parents=True, exist_ok=True)
    setting = Setting("camvid_pseudo", f"camvid:{given.data / 'camvid_small'}", SIZE_HW, 10, 8, len(SEEDS))
    for base in (True, False):
        rows = jobs(setting, given.scratch, base=base)
        run_jobs(given.out / "cells.csv", COLUMNS, KEYS, rows, run_one, workers=given.workers)


if __name__ == "__main__":
    main()
