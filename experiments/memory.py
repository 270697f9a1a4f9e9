"""Is memory worth something where it should be? ConvGRU against none, wider and an average; see memory.md.

Usage: python -m experiments.memory --out experiments/results/memory.csv [--data DIR] [--sets moving_shapes,...]
Resumable: a (set, network, temporal weight, seed) that has rows in the file is not run again.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evaluators.datasets.base import Video
from evaluators.datasets.clips import select_clips
from evaluators.datasets.registry import open_dataset
from evaluators.datasets.splits import fit_and_select
from evaluators.flow import with_flow
from evaluators.job import Job
from evaluators.latency import LatencyEvaluator
from evaluators.options import TrainOptions
from evaluators.scoring import score_videos
from evaluators.segmentation import predictor
from evaluators.train import train_network
from evaluators.training_data import training_data
from experiments.runs import Row, run_jobs
from latency_tables.device import parse_target
from search_spaces.architecture import Architecture, NetworkSpec, StageSpec, TemporalSite
from search_spaces.cells.specs import ConvGRUSpec, ExponentialAverageSpec
from search_spaces.presets import PRESETS

COLUMNS = (
    "trained_on", "scored_on", "network", "temporal_weight", "seed", "miou", "tc", "tc_ceiling",
    "warp_flip", "warp_flip_floor", "vc8c", "train_loss", "cpu_s",
)  # fmt: skip
BASE = PRESETS["plain_small"].architecture
WEIGHTS = (0.0, 5.0)
SEEDS = (0, 1, 2)
CACHE = Path("runs/flow")
KEYS = ("trained_on", "network", "temporal_weight", "seed")


@dataclass(frozen=True, slots=True)
class Setting:
    """A data set: where it is, at which size, for how long, and what the networks are scored on."""

    name: str
    spec: str
    size_hw: tuple[int, int]
    epochs: int


Training = tuple[Setting, str, Architecture, float, int]
"""(data set, name of the network, network, weight of the temporal loss, seed)"""


def settings(data: Path) -> dict[str, Setting]:
    return {
        "moving_shapes": Setting("moving_shapes", "moving_shapes", (96, 128), 8),
        "camvid": Setting("camvid", f"camvid:{data / 'camvid_small'}", (120, 160), 12),
        "sbi2015": Setting("sbi2015", f"folder:{data / 'sbi2015'}", (120, 160), 3),
    }


HELD_OUT = "HallAndMonitor"
"""The sbi2015 sequence that no network is trained on."""


def with_cells(network: NetworkSpec, *sites: TemporalSite) -> Architecture:
    return Architecture(replace(network, temporal=sites))


def widened(factor: float) -> Architecture:
    """The base network with every stage `factor` as wide, in multiples of 4."""

    def wide(stage: StageSpec) -> StageSpec:
        return replace(stage, channels=max(4, round(stage.channels * factor / 4) * 4))

    return Architecture(replace(BASE.video, stages=tuple(wide(stage) for stage in BASE.video.stages)))


def networks(wide_factor: float) -> dict[str, Architecture]:
    return {
        "none": BASE,
        "average": with_cells(BASE.video, TemporalSite("decoder", ExponentialAverageSpec())),
        "conv_gru": with_cells(BASE.video, TemporalSite("decoder", ConvGRUSpec(), share="1/2")),
        "wider": widened(wide_factor),
    }


def equal_latency_factor(size_hw: tuple[int, int], num_classes: int) -> tuple[float, Mapping[str, float]]:
    """The widest base network that is at most 5 % slower than with a ConvGRU, from one interleaved measurement."""
    factors = (1.0, 1.125, 1.25, 1.375, 1.5, 1.75, 2.0)
    candidates = [*(widened(f) for f in factors), networks(1.0)["conv_gru"], networks(1.0)["average"]]
    with tempfile.TemporaryDirectory() as folder:
        evaluator = LatencyEvaluator(parse_target("onnxruntime:f32:1@thiscpu"), size_hw, num_classes, Path(folder), 0)
        found = evaluator.many([Job("measure", candidate) for candidate in candidates])
    latencies = [outcome.metrics["latency_ms"] for outcome in found]
    gru_ms = latencies[len(factors)]
    best = max(i for i in range(len(factors)) if latencies[i] <= 1.05 * gru_ms)
    figures = {f"wider_{f}": ms for f, ms in zip(factors, latencies, strict=False)}
    return factors[best], {**figures, "conv_gru": gru_ms, "average": latencies[-1]}


def _videos(setting: Setting, weight: float) -> tuple[Sequence[Video], dict[str, tuple[Sequence[Video], bool]]]:
    """(what is trained on, name -> (what is scored, whether last frames alone))."""
    dataset = open_dataset(setting.spec, setting.size_hw)
    if setting.name == "sbi2015":
        videos = [video for split in dataset.info.splits for video in dataset.videos(split)]
        flowed = [with_flow(video, CACHE) for video in videos]
        fit = [v for v in flowed if not v.name.startswith(HELD_OUT)]
        return fit, {"sbi2015_held_out": ([v for v in flowed if v.name.startswith(HELD_OUT)], False)}
    if not dataset.info.sparse:
        return dataset.videos("train"), {"moving_shapes_val": (dataset.videos("val"), False)}
    fitted, select = fit_and_select(dataset)
    pseudo = select_clips(select, sparse=True, num_frames=8, seed=0)
    val = [with_flow(video, CACHE) for video in dataset.videos("val")]
    return fitted, {"camvid_pseudo_held_out": (pseudo, True), "camvid_val_15hz": (val, False)}


def run_one(job: Training) -> list[Row]:
    """Train one network and score it on every set that belongs to its training set."""
    setting, _, architecture, weight, seed = job
    dataset = open_dataset(setting.spec, setting.size_hw)
    fit, scored = _videos(setting, weight)
    options = TrainOptions(temporal_weight=weight, threads=1, device="cpu")
    start = time.process_time()
    trained = train_network(
        architecture, training_data(dataset, fit, options), options, epochs=setting.epochs, seed=seed
    )
    cpu_s = time.process_time() - start
    rows: list[Row] = []
    for scored_on, (videos, last) in scored.items():
        report = score_videos(predictor(trained.model), videos, len(dataset.info.classes), last_frame_only=last)
        rows.append(
            {
                "scored_on": scored_on,
                "train_loss": f"{trained.train_loss:.4f}",
                "cpu_s": f"{cpu_s:.1f}",
                **{key: f"{value:.5f}" for key, value in report.metrics.items() if key in COLUMNS},
            }
        )
    return rows


def _jobs(chosen: Sequence[Setting], factor: float) -> Iterator[tuple[Row, Training]]:
    for setting in chosen:
        for seed in SEEDS:
            for name, architecture in networks(factor).items():
                for weight in WEIGHTS:
                    key = {"trained_on": setting.name, "network": name, "temporal_weight": weight, "seed": seed}
                    yield key, (setting, name, architecture, weight, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default="moving_shapes,camvid,sbi2015")
    parser.add_argument("--wide", type=float, help="width factor of the wider network; measured when absent")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    factor = options.wide
    if factor is None:
        factor, figures = equal_latency_factor((120, 160), 11)
        print("latency_ms on onnxruntime, 120x160:", {k: round(v, 3) for k, v in figures.items()})
    print(f"wider = {factor}")
    chosen = [settings(options.data)[name] for name in options.sets.split(",")]
    run_jobs(options.out, COLUMNS, KEYS, _jobs(chosen, factor), run_one, workers=options.workers)


if __name__ == "__main__":
    main()
