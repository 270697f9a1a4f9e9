"""Do architectures differ more than seeds, and do short trainings rank them? See signal.md, question 1.

Usage: python -m experiments.signal_rank [--data ../shared/data/camvid_small] [--out experiments/results]
Chooses and measures the networks once (needs a quiet machine), then trains what has no row yet.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from evaluators.datasets.base import Video
from evaluators.job import Job
from evaluators.latency import LatencyEvaluator
from evaluators.options import TrainOptions
from evaluators.scoring import score_videos
from evaluators.segmentation import predictor, search_data
from evaluators.train import train_network
from experiments.runs import Row, read_rows, run_jobs
from latency_tables.device import parse_target
from search_spaces.architecture import Architecture, TrainingSpec
from search_spaces.decisions import sample
from search_spaces.trace import num_macs, num_parameters
from search_spaces.video_cells import VideoCells

SIZE_HW = (120, 160)
LARGE_HW = (180, 240)
NUM_CLASSES = 11
TARGET_MS = 0.7
WITHIN = 0.2
NUM_NETWORKS = 24
NUM_LARGE = 8
FIDELITIES = (5, 15, 30)
SEEDS = (0, 1)
DEFAULTS = TrainOptions(threads=1, device="cpu")
VARIANTS = {
    "default": DEFAULTS,
    "batch of 8": replace(DEFAULTS, batch_frames=8),
    "batch of 4": replace(DEFAULTS, batch_frames=4),
}
"""What to change where the default does not rank: more steps for the same frames."""

KEYS = ("network", "size", "epochs", "seed", "variant")
COLUMNS = (
    *KEYS, "latency_ms", "macs_m", "params_k", "miou", "miou_stills", "tc", "warp_flip", "train_loss",
    "frames_seen", "cpu_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chosen:
    """A network of the experiment and what it costs at SIZE_HW."""

    architecture: Architecture
    latency_ms: float
    macs_m: float
    params_k: float

    @property
    def name(self) -> str:
        """The start of the architecture's key."""
        return self.architecture.key[:12]


def choose_networks(path: Path) -> list[Chosen]:
    """The first NUM_NETWORKS random networks of the space whose measured latency is TARGET_MS +- WITHIN.

    Training is the same for all of them (no temporal loss), so that networks alone differ.
    """
    if path.exists():
        return [_read(line) for line in path.read_text().splitlines()]
    rng = random.Random(0)
    found: list[Chosen] = []
    seen: set[str] = set()
    while len(found) < NUM_NETWORKS:
        batch: list[Architecture] = []
        while len(batch) < 12:
            architecture = replace(sample(VideoCells(), rng).architecture, training=TrainingSpec())
            # Far outside the band by its count already: not worth a measurement.
            if architecture.key not in seen and 6e6 < num_macs(architecture, SIZE_HW, NUM_CLASSES) < 4.5e7:
                batch.append(architecture)
            seen.add(architecture.key)
        measured = _measured(batch)
        print("latency_ms:", *(f"{c.latency_ms:.2f}" for c in measured))
        found += [c for c in measured if abs(c.latency_ms / TARGET_MS - 1) <= WITHIN]
        print(f"{len(found)} networks within {WITHIN:.0%} of {TARGET_MS} ms among {len(seen)} drawn", flush=True)
    found = found[:NUM_NETWORKS]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(_written(c) + "\n" for c in found))
    return found


def _measured(batch: list[Architecture]) -> list[Chosen]:
    with tempfile.TemporaryDirectory() as folder:
        evaluator = LatencyEvaluator(parse_target("onnxruntime:f32:1@thiscpu"), SIZE_HW, NUM_CLASSES, Path(folder), 0)
        outcomes = evaluator.many([Job("measure", architecture) for architecture in batch])
    return [
        Chosen(
            architecture,
            round(outcome.metrics["latency_ms"], 4),
            round(num_macs(architecture, SIZE_HW, NUM_CLASSES) / 1e6, 3),
            num_parameters(architecture, NUM_CLASSES) / 1e3,
        )
        for architecture, outcome in zip(batch, outcomes, strict=True)
        if outcome.error is None
    ]


def _written(chosen: Chosen) -> str:
    facts = {"latency_ms": chosen.latency_ms, "macs_m": chosen.macs_m, "params_k": chosen.params_k}
    return json.dumps({**facts, "architecture": json.loads(chosen.architecture.to_json())})


def _read(line: str) -> Chosen:
    found = json.loads(line)
    architecture = Architecture.from_json(json.dumps(found["architecture"]))
    return Chosen(architecture, found["latency_ms"], found["macs_m"], found["params_k"])


@dataclass(frozen=True, slots=True)
class Training:
    """One training: a network, a size, a length, a seed, and how it differs from the defaults."""

    data: str
    chosen: Chosen
    size_hw: tuple[int, int]
    epochs: int
    seed: int
    options: TrainOptions


def run_one(job: Training) -> list[Row]:
    """Train on the fit part, score the held-out drive twice: pseudo-video as a search does, and stills."""
    torch.set_num_threads(1)
    data, select, last = search_data(job.data, job.size_hw, job.options)
    start = time.process_time()
    trained = train_network(job.chosen.architecture, data, job.options, epochs=job.epochs, seed=job.seed)
    cpu_s = time.process_time() - start
    predict = predictor(trained.model)
    video = score_videos(predict, select, NUM_CLASSES, last_frame_only=last).metrics
    stills = score_videos(predict, stills_of(job.data, job.size_hw), NUM_CLASSES, last_frame_only=False).metrics
    return [
        {
            "latency_ms": job.chosen.latency_ms,
            "macs_m": job.chosen.macs_m,
            "params_k": job.chosen.params_k,
            "miou": f"{video['miou']:.5f}",
            "miou_stills": f"{stills['miou']:.5f}",
            "tc": f"{video['tc']:.5f}",
            "warp_flip": f"{video['warp_flip']:.5f}",
            "train_loss": f"{trained.train_loss:.4f}",
            "frames_seen": trained.frames_seen,
            "cpu_s": f"{cpu_s:.1f}",
        }
    ]


def stills_of(spec: str, size_hw: tuple[int, int]) -> list[Video]:
    """Every labelled frame of the held-out part as a video of its own."""
    from evaluators.datasets.registry import open_dataset
    from evaluators.datasets.splits import fit_and_select

    _, select = fit_and_select(open_dataset(spec, size_hw))
    return [
        replace(
            video,
            frames_TCHW=video.frames_TCHW[t : t + 1],
            labels_THW=video.labels_THW[t : t + 1],
            labelled_T=video.labelled_T[t : t + 1],
            flow_T2HW=None,
            visible_THW=None,
        )
        for video in select
        for t in range(len(video.frames_TCHW))
        if video.labelled_T[t]
    ]


def jobs(data: str, chosen: list[Chosen]) -> Iterator[tuple[Row, Training]]:
    """Cheap and full fidelity first, so that the main figure is there early."""
    plan = [
        (SIZE_HW, 5, NUM_NETWORKS, "default"),
        (SIZE_HW, 30, NUM_NETWORKS, "default"),
        (SIZE_HW, 5, NUM_NETWORKS, "batch of 8"),
        (SIZE_HW, 15, NUM_NETWORKS, "default"),
        (SIZE_HW, 5, NUM_NETWORKS, "batch of 4"),
        (LARGE_HW, 15, NUM_LARGE, "default"),
    ]
    for size_hw, epochs, count, variant in plan:
        for seed in SEEDS:
            for network in chosen[:count]:
                key = {
                    "network": network.name,
                    "size": f"{size_hw[0]}x{size_hw[1]}",
                    "epochs": epochs,
                    "seed": seed,
                    "variant": variant,
                }
                yield key, Training(data, network, size_hw, epochs, seed, VARIANTS[variant])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data/camvid_small")
    parser.add_argument("--out", type=Path, default=Path("experiments/results"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--networks-only", action="store_true")
    options = parser.parse_args()
    chosen = choose_networks(options.out / "signal_networks.jsonl")
    if not options.networks_only:
        path = options.out / "signal_rank.csv"
        run_jobs(path, COLUMNS, KEYS, jobs(f"camvid:{options.data}", chosen), run_one, workers=options.workers)
        print(f"{len(read_rows(path))} rows in {path}")


if __name__ == "__main__":
    main()
