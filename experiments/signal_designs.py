"""Is the user better off with a known design? Five of them against a search's front. See signal.md, question 3.

Usage: python -m experiments.signal_designs --time [--front DIR/front.json]     needs a quiet machine, minutes
       python -m experiments.signal_designs [--front DIR/front.json]            trains what has no row yet
       python -m experiments.signal_designs --table
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from evaluators.datasets.base import Video
from evaluators.datasets.registry import open_dataset
from evaluators.flow import with_flow
from evaluators.options import TrainOptions
from evaluators.scoring import score_videos
from evaluators.segmentation import predictor, search_data
from evaluators.train import train_model
from experiments.designs.entries import KEYS as ENTRY_KEYS
from experiments.designs.entries import Entry, design_entries, front_entries
from experiments.memory import CACHE
from experiments.runs import Row, read_rows, run_jobs
from experiments.signal_rank import NUM_CLASSES, stills_of

KEYS = (*ENTRY_KEYS, "size", "epochs", "seed")
COLUMNS = (
    *KEYS, "miou", "miou_stills", "tc", "warp_flip", "val_miou", "val_tc", "val_warp_flip", "train_loss",
    "frames_seen", "cpu_s",
)  # fmt: skip
SEEDS = (0, 1)


@dataclass(frozen=True, slots=True)
class Training:
    """One training of an entry."""

    data: str
    entry: Entry
    size_hw: tuple[int, int]
    epochs: int
    seed: int


def run_one(job: Training) -> list[Row]:
    """Train on the fit part; score the held-out drive as pseudo-video and as stills, and, to report, val at 15 Hz."""
    torch.set_num_threads(1)
    options = TrainOptions(threads=1, device="cpu")
    data, select, last = search_data(job.data, job.size_hw, options)
    model = job.entry.build(data.num_classes, seed=job.seed)
    weight = job.entry.temporal_weight
    start = time.process_time()
    trained = train_model(model, data, options, temporal_weight=weight, epochs=job.epochs, seed=job.seed)
    cpu_s = time.process_time() - start
    predict = predictor(trained.model)
    video = score_videos(predict, select, data.num_classes, last_frame_only=last).metrics
    stills = score_videos(predict, stills_of(job.data, job.size_hw), data.num_classes, last_frame_only=False).metrics
    val = score_videos(predict, _val(job.data, job.size_hw), data.num_classes, last_frame_only=False).metrics
    scores = {
        "miou": video["miou"],
        "miou_stills": stills["miou"],
        "tc": video["tc"],
        "warp_flip": video["warp_flip"],
        **{f"val_{name}": val[name] for name in ("miou", "tc", "warp_flip")},
    }
    return [
        {
            **{name: f"{value:.5f}" for name, value in scores.items()},
            "train_loss": f"{trained.train_loss:.4f}",
            "frames_seen": trained.frames_seen,
            "cpu_s": f"{cpu_s:.1f}",
        }
    ]


@lru_cache(maxsize=1)
def _val(spec: str, size_hw: tuple[int, int]) -> Sequence[Video]:
    """The validation drive at 15 Hz with flow between its frames, once a process."""
    return [with_flow(video, CACHE) for video in open_dataset(spec, size_hw).videos("val")]


def jobs(data: str, entries: Sequence[Entry], size_hw: tuple[int, int], epochs: int) -> Iterator[tuple[Row, Training]]:
    """All entries with one seed before any with the next, so that a whole picture is there early.

    With the average the first seed alone is trained: what it does is the subject of question 2.
    """
    for seed in SEEDS:
        for entry in entries:
            if entry.average and seed != SEEDS[0]:
                continue
            key = {**entry.key, "size": f"{size_hw[0]}x{size_hw[1]}", "epochs": epochs, "seed": seed}
            yield key, Training(data, entry, size_hw, epochs, seed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", action="store_true", help="export and measure all, in one interleaved run")
    parser.add_argument("--table", action="store_true", help="print the table of what is there")
    parser.add_argument("--front", type=Path, help="front.json of a search; absent: known designs alone")
    parser.add_argument("--members", help="trials of the front, separated by commas; absent: all")
    parser.add_argument("--only", help="names of designs, separated by commas; absent: all")
    parser.add_argument("--data", default="../shared/data/camvid_small")
    parser.add_argument("--size", default="120x160")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("experiments/results"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--protocol", choices=("final", "search"), default="final", help="how long to measure")
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    raw, latencies = options.out / "signal_designs.csv", options.out / "signal_designs_latency.csv"
    if options.table:
        from experiments.designs.table import markdown, read

        print(markdown(read(raw), read(latencies)))
        return
    height, width = (int(side) for side in options.size.split("x"))
    entries = [e for e in design_entries() if options.only is None or e.name in options.only.split(",")]
    if options.front is not None:
        members = None if options.members is None else {int(trial) for trial in options.members.split(",")}
        entries += front_entries(options.front, members)
    if options.time:
        from experiments.designs.timing import time_entries
        from latency_tables.measurement import FINAL, SEARCH

        protocol = {"final": FINAL, "search": SEARCH}[options.protocol]
        failures = time_entries(entries, (height, width), NUM_CLASSES, protocol, latencies)
        sys.exit("\n".join(failures) or None)
    plan = jobs(f"camvid:{options.data}", entries, (height, width), options.epochs)
    run_jobs(raw, COLUMNS, KEYS, plan, run_one, workers=options.workers)
    print(f"{len(read_rows(raw))} rows in {raw}")


if __name__ == "__main__":
    main()
