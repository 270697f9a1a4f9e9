"""A recorded benchmark of networks that segment video: video_benchmark.md. Draws, trains and times; searches nothing.

Usage: python -m experiments.video_benchmark networks|train|time [--data ../shared/data/camvid_small]
       [--out experiments/results/video_benchmark] [--workers 2]
`networks` needs the results of experiments.space; `train` trains what has no row yet (what experiments.space trained
alike is taken over); `time` needs a quiet machine. What it writes is what `tabular:experiments/results/video_benchmark`
reads.
"""

import argparse
import csv
import json
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evaluators.job import Job
from evaluators.latency import LatencyEvaluator
from experiments.latency_guess import features, fit
from experiments.runs import Row, read_rows, run_jobs
from experiments.space import EPOCHS, MACS, NUM_CLASSES, SIZE_HW, Member, Training, run_one
from latency_tables.device import parse_target
from search_spaces.architecture import Architecture, TrainingSpec
from search_spaces.decisions import Decoded, Genotype, mutate
from search_spaces.likeness import most_like
from search_spaces.restricted import Restricted
from search_spaces.trace import num_macs, num_parameters, state_bytes
from search_spaces.video_cells import VideoCells

SPACE = Restricted(VideoCells(), {"training.*": (0.0, False)})
"""All networks train alike."""

NUM_PARENTS = 24
NUM_CHILDREN = 2
MAX_MS = 4.0
"""Guessed; dearer children are not worth their training here."""

SHORT_EPOCHS = 2
TIMED_AT_ONCE = 24
SECOND_SEED_EVERY = 3
RUNTIMES = ("onnxruntime", "openvino")
NETWORK_COLUMNS = (
    "name", "population", "genotype", "architecture", "macs_m", "params_k", "state_kb",
    *(f"latency_{runtime}_{figure}" for runtime in RUNTIMES for figure in ("ms", "halfwidth_ms", "contended")),
)  # fmt: skip
TRAINING_KEYS = ("name", "epochs", "seed")
SCORES = ("miou", "miou_stills", "tc", "warp_flip", "train_loss", "cpu_s")


@dataclass(frozen=True, slots=True)
class Network:
    """A member of the benchmark."""

    population: str
    architecture: Architecture
    genotype: Genotype

    @property
    def name(self) -> str:
        """The beginning of its key."""
        return self.architecture.key[:12]

    def row(self) -> Row:
        """Without latencies."""
        return {
            "name": self.name,
            "population": self.population,
            "genotype": json.dumps(dict(self.genotype)),
            "architecture": self.architecture.to_json(),
            "macs_m": f"{num_macs(self.architecture, SIZE_HW, NUM_CLASSES) / 1e6:.3f}",
            "params_k": f"{num_parameters(self.architecture, NUM_CLASSES) / 1e3:.3f}",
            "state_kb": f"{state_bytes(self.architecture, SIZE_HW, NUM_CLASSES) / 1e3:.3f}",
        }


def networks(members: Sequence[Member], scores: Mapping[str, float]) -> Iterator[Network]:
    """Random members, the nearest relatives of known designs, and children of the best of both; each once."""
    seen: set[str] = set()
    found = []
    for member in members:
        point = most_like(SPACE, replace(member.architecture, training=TrainingSpec()))
        design = member.population == "designs"
        if point.architecture.key not in seen and (design or point.architecture.key == member.architecture.key):
            seen.add(point.architecture.key)
            found.append(Network("relative of a design" if design else "random", point.architecture, point.genotype))
            yield found[-1]
    weights = fit([(features(m.architecture, SIZE_HW, NUM_CLASSES), m.latency_ms) for m in members])
    best = sorted((n for n in found if n.name in scores), key=lambda network: -scores[network.name])[:NUM_PARENTS]
    parents = [*best, *(network for network in found if network.population != "random")]
    rng = random.Random(0)
    for parent in parents:
        born = 0
        while born < NUM_CHILDREN:
            child = _child(parent.genotype, rng)
            guess_ms = float(features(child.architecture, SIZE_HW, NUM_CLASSES) @ weights)
            affordable = MACS[0] < num_macs(child.architecture, SIZE_HW, NUM_CLASSES) < MACS[1] and guess_ms < MAX_MS
            if affordable and child.architecture.key not in seen:
                seen.add(child.architecture.key)
                born += 1
                yield Network("neighbour", child.architecture, child.genotype)


def _child(genotype: Genotype, rng: random.Random) -> Decoded:
    """One answer changed or, half of the time, two."""
    child = mutate(SPACE, genotype, rng)
    return mutate(SPACE, child.genotype, rng) if rng.random() < 0.5 else child


def jobs(data: str, rows: Sequence[Mapping[str, str]]) -> Iterator[tuple[Row, Training]]:
    """Every network at the long fidelity, then at the short one, then the second seeds."""
    for epochs, seed in ((EPOCHS, 0), (SHORT_EPOCHS, 0), (EPOCHS, 1), (SHORT_EPOCHS, 1)):
        for number, row in enumerate(rows):
            if seed == 0 or number % SECOND_SEED_EVERY == 0:
                architecture = Architecture.from_json(row["architecture"])
                member = Member(row["population"], 0.0, row["name"], architecture, 0.0)
                yield {"name": row["name"], "epochs": epochs, "seed": seed}, Training(data, member, seed, epochs)


def run(job: Training) -> list[Row]:
    """The scores alone: what else is known of a network is said once."""
    return [{name: row[name] for name in SCORES} for row in run_one(job)]


def take_over(path: Path, known: Sequence[Mapping[str, str]], rows: Sequence[Mapping[str, str]]) -> None:
    """Write the trainings that experiments.space did of these networks."""
    if path.exists():
        return
    names = {row["name"] for row in rows}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, (*TRAINING_KEYS, *SCORES), extrasaction="ignore")
        writer.writeheader()
        taken: set[str] = set()
        for row in known:
            if row["network"] in names - taken:
                taken.add(row["network"])
                writer.writerow({**row, "name": row["network"], "epochs": EPOCHS})


def time_all(path: Path, rows: list[dict[str, str]]) -> None:
    """Interleaved, TIMED_AT_ONCE at a time; written after every such run."""
    rows = [dict(row) for row in rows]
    for runtime in RUNTIMES:
        target = parse_target(f"{runtime}:f32:1@thiscpu")
        todo = [row for row in rows if not row[f"latency_{runtime}_ms"]]
        while todo:
            batch, todo = todo[:TIMED_AT_ONCE], todo[TIMED_AT_ONCE:]
            with tempfile.TemporaryDirectory() as folder:
                evaluator = LatencyEvaluator(target, SIZE_HW, NUM_CLASSES, Path(folder), 0)
                given = [Job("measure", Architecture.from_json(row["architecture"])) for row in batch]
                outcomes = evaluator.many(given)
            for row, outcome in zip(batch, outcomes, strict=True):
                if outcome.error is not None:
                    raise SystemExit(f"{row['name']}: {outcome.error}")
                row[f"latency_{runtime}_ms"] = f"{outcome.metrics['latency_ms']:.5f}"
                row[f"latency_{runtime}_halfwidth_ms"] = f"{outcome.metrics['latency_halfwidth_ms']:.5f}"
                row[f"latency_{runtime}_contended"] = f"{outcome.metrics['contended']:.0f}"
            write(path, rows)
            print(f"{runtime}: {len(todo)} left", flush=True)


def write(path: Path, rows: Sequence[Row]) -> None:
    """networks.csv, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, NETWORK_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """One of the three steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("networks", "train", "time"))
    parser.add_argument("--data", default="../shared/data/camvid_small")
    parser.add_argument("--space", type=Path, default=Path("experiments/results"))
    parser.add_argument("--out", type=Path, default=Path("experiments/results/video_benchmark"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    path = given.out / "networks.csv"
    known = read_rows(given.space / "space.csv")
    if given.what == "networks":
        lines = (given.space / "space_networks.jsonl").read_text().splitlines()
        scores = {row["network"]: float(row["miou"]) for row in known}
        write(path, [network.row() for network in networks([Member.read(line) for line in lines], scores)])
        return
    rows = read_rows(path)
    if given.what == "time":
        time_all(path, rows)
        return
    trainings = given.out / "trainings.csv"
    take_over(trainings, known, rows)
    todo = jobs(f"camvid:{given.data}", rows)
    run_jobs(trainings, (*TRAINING_KEYS, *SCORES), TRAINING_KEYS, todo, run, workers=given.workers)


if __name__ == "__main__":
    main()
