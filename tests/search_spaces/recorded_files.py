"""Writes small recorded benchmarks: one wide file, and a folder of real networks."""

import csv
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from search_spaces.decisions import Decoded, sample
from search_spaces.spaces import make_space


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def wide_rows() -> list[tuple[object, ...]]:
    """(op, width, accuracy in percent after 3 and 30 epochs, latency)."""
    return [
        (op, width, 10 * place + width / 8, 20 * place + width / 8 + 1, 1.0 + place + width / 16)
        for place, op in enumerate(("conv", "pool", "skip"))
        for width in (8, 16)
    ]


def wide_file(folder: Path, name: str = "wide.csv") -> Path:
    return write_csv(folder / name, ("op", "width", "acc3", "acc30", "dev_ms"), wide_rows())


def real_members(number: int, seed: int = 5) -> list[Decoded]:
    space, rng = make_space("video_cells:small"), random.Random(seed)
    found: dict[str, Decoded] = {}
    while len(found) < number:
        point = sample(space, rng)
        found.setdefault(point.architecture.key, point)
    return list(found.values())


NETWORK_COLUMNS = (
    "name", "population", "genotype", "architecture", "macs_m", "params_k", "state_kb",
    "latency_onnxruntime_ms", "latency_onnxruntime_halfwidth_ms", "latency_openvino_ms",
)  # fmt: skip
TRAINING_COLUMNS = ("name", "epochs", "seed", "miou", "tc", "warp_flip", "seconds")


def real_folder(folder: Path, members: Sequence[Decoded], seeds: int = 3) -> Path:
    """Two fidelities (2, 5); `seeds` seeds of every second network at 5 epochs, one of the others."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(
        folder / "networks.csv",
        NETWORK_COLUMNS,
        [
            (f"n{i}", "random", json.dumps(dict(m.genotype)), m.architecture.to_json(), 10 + i, i, 0, 5 + i, 0.1, 7 + i)
            for i, m in enumerate(members)
        ],
    )
    trainings = [(f"n{i}", 2, 0, 0.1 + i / 100, 0.8, 0.1, 1.5) for i in range(len(members))]
    for i in range(len(members)):
        for seed in range(seeds if i % 2 == 0 else 1):
            trainings.append((f"n{i}", 5, seed, 0.2 + i / 100 + seed / 1000, 0.8, 0.1, 3.5))
    write_csv(folder / "trainings.csv", TRAINING_COLUMNS, trainings)
    return folder
