"""Do temporal choices transfer between data sets? See signal.md, question 2.

Usage: python -m experiments.signal_temporal [--data ../shared/data] [--out experiments/results] [--workers 2]
A plain network is trained on stills once a set and seed; every temporal option then goes on from those weights
on clips, so that options of one seed differ by the option alone. Resumable; signal_temporal_table prints.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from evaluators.checkpoint import load_weights, save_weights
from evaluators.datasets.base import Video, VideoDataset
from evaluators.datasets.clips import select_clips
from evaluators.datasets.registry import open_dataset
from evaluators.datasets.splits import fit_and_select
from evaluators.flow import with_flow
from evaluators.options import TrainOptions
from evaluators.scoring import score_videos
from evaluators.segmentation import predictor
from evaluators.train import train_model
from evaluators.training_data import TrainingData, training_data
from experiments.runs import Row, run_jobs
from search_spaces.architecture import Architecture, TemporalSite
from search_spaces.cells.specs import (
    ConvGRUSpec,
    ExponentialAverageSpec,
    FeedbackSpec,
    FlowWarpedAverageSpec,
    MinGRUSpec,
    SimilarityGateSpec,
    TemporalShiftSpec,
)
from search_spaces.network import build
from search_spaces.presets import PRESETS

BASE = PRESETS["plain_small"].architecture
OPTIONS: Mapping[str, TemporalSite | None] = {
    "none": None,
    "average": TemporalSite("decoder", ExponentialAverageSpec()),
    "warped_average": TemporalSite("decoder", FlowWarpedAverageSpec()),
    "shift": TemporalSite("decoder", TemporalShiftSpec(4)),
    "gru_half": TemporalSite("decoder", ConvGRUSpec(), share="1/2"),
    "gru_separable": TemporalSite("decoder", ConvGRUSpec(3, "depthwise_separable")),
    "min_gru": TemporalSite("decoder", MinGRUSpec()),
    "feedback": TemporalSite("decoder", FeedbackSpec()),
    "similarity_gate": TemporalSite("decoder", SimilarityGateSpec()),
}
WEIGHTS = (0.0, 5.0)
SEQUENCES = ("Candela_m1.10", "HallAndMonitor", "HighwayI", "IBMtest2")
STILLS = TrainOptions(threads=1, device="cpu", clip_frames=6, batch_frames=24, stills_share=1.0)
CLIPS = replace(STILLS, stills_share=0.0, learning_rate=4e-3)
"""Clips of six frames: four were too short to judge a recurrent cell by (memory.md)."""

KEYS = ("trained_on", "fold", "option", "temporal_weight", "seed")
COLUMNS = (
    *KEYS, "scored_on", "miou", "tc", "tc_ceiling", "warp_flip", "warp_flip_floor", "vc8c", "train_loss", "cpu_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """A data set, the sequence held out where that is asked, its size and the epochs on stills and on clips."""

    name: str
    spec: str
    size_hw: tuple[int, int]
    still_epochs: int
    clip_epochs: int
    num_seeds: int
    fold: str = ""


@dataclass(frozen=True, slots=True)
class Training:
    """One training, from the weights in the file `start`, or on stills and into that file where `base` says so.

    What others start from is a network without a cell; an option's cell begins untrained.
    """

    setting: Setting
    architecture: Architecture
    start: Path
    base: bool
    temporal_weight: float
    seed: int


def settings(data: Path) -> list[Setting]:
    """The three sets, sbi2015 once for every sequence that is left out."""
    sbi = Setting("sbi2015", f"folder:{data / 'sbi2015'}", (120, 160), 2, 2, 1)
    return [
        Setting("camvid_pseudo", f"camvid:{data / 'camvid_small'}", (120, 160), 10, 8, 2),
        Setting("moving_shapes", "moving_shapes", (96, 128), 5, 3, 2),
        *(replace(sbi, fold=name) for name in SEQUENCES),
    ]


def architecture_of(option: str | None) -> Architecture:
    """The plain network with the option's cell on the decoder feature."""
    site = OPTIONS[option] if option is not None else None
    return BASE if site is None else Architecture(replace(BASE.video, temporal=(site,)))


@lru_cache(maxsize=2)
def _data(setting: Setting, cache: Path) -> tuple[TrainingData, Mapping[str, tuple[Sequence[Video], bool]]]:
    """(what is trained on, name -> (what is scored, whether last frames alone))."""
    dataset = open_dataset(setting.spec, setting.size_hw)
    if setting.name == "moving_shapes":
        return training_data(dataset, dataset.videos("train"), CLIPS), {
            "moving_shapes_val": (dataset.videos("val"), False)
        }
    if setting.name == "sbi2015":
        return _left_one_out(dataset, setting.fold, cache)
    fit, select = fit_and_select(dataset)
    return training_data(dataset, fit, CLIPS), {
        "camvid_pseudo_held_out": (select_clips(select, sparse=True, num_frames=8, seed=0), True),
        "camvid_val_15hz": ([with_flow(video, cache) for video in dataset.videos("val")], False),
    }


def _left_one_out(
    dataset: VideoDataset, fold: str, cache: Path
) -> tuple[TrainingData, Mapping[str, tuple[Sequence[Video], bool]]]:
    videos = [with_flow(v, cache) for split in dataset.info.splits for v in dataset.videos(split)]
    kept = [v for v in videos if not v.name.startswith(fold)]
    return training_data(dataset, kept, CLIPS), {
        "sbi2015_left_out": ([v for v in videos if v.name.startswith(fold)], False)
    }


def run_one(job: Training) -> list[Row]:
    """Train and score; weights of networks on stills are kept in the scratch folder."""
    torch.set_num_threads(1)
    setting = job.setting
    data, scored = _data(setting, job.start.parent / "flow")
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        model = build(job.architecture, data.num_classes)
    if not job.base:
        missing, unknown = model.load_state_dict(load_weights(job.start), strict=False)
        assert not unknown
        assert all(name.startswith("sites.") for name in missing)
    options = STILLS if job.base else CLIPS
    epochs = setting.still_epochs if job.base else setting.clip_epochs
    start = time.process_time()
    trained = train_model(model, data, options, temporal_weight=job.temporal_weight, epochs=epochs, seed=job.seed)
    cpu_s = time.process_time() - start
    if job.base:
        save_weights(job.start, trained.model.state_dict())
    rows: list[Row] = []
    for scored_on, (videos, last) in scored.items():
        report = score_videos(predictor(trained.model), videos, data.num_classes, last_frame_only=last)
        figures = {key: f"{value:.5f}" for key, value in report.metrics.items() if key in COLUMNS}
        facts = {"train_loss": f"{trained.train_loss:.4f}", "cpu_s": f"{cpu_s:.1f}"}
        rows.append({"scored_on": scored_on, **facts, **figures})
    return rows


def jobs(chosen: Sequence[Setting], scratch: Path, *, base: bool) -> Iterator[tuple[Row, Training]]:
    """Seed by seed, so that what is there at any moment is complete for the seeds so far."""
    for seed in range(max(s.num_seeds for s in chosen)):
        for setting in chosen:
            if seed >= setting.num_seeds:
                continue
            for option in [None] if base else list(OPTIONS):
                for weight in (0.0,) if base else WEIGHTS:
                    key = {
                        "trained_on": setting.name,
                        "fold": setting.fold,
                        "option": "stills" if option is None else option,
                        "temporal_weight": weight,
                        "seed": seed,
                    }
                    start = scratch / f"base-{setting.name}-{setting.fold}-{seed}.safetensors"
                    yield key, Training(setting, architecture_of(option), start, base, weight, seed)


def main() -> None:
    """Plain networks first, then every option from their weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("experiments/results"))
    parser.add_argument("--scratch", type=Path, default=Path("runs/signal_temporal"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sets", default="camvid_pseudo,moving_shapes,sbi2015")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    chosen = [s for s in settings(options.data) if s.name in options.sets.split(",")]
    for base in (True, False):
        path = options.out / "signal_temporal.csv"
        run_jobs(path, COLUMNS, KEYS, jobs(chosen, options.scratch, base=base), run_one, workers=options.workers)


if __name__ == "__main__":
    main()
