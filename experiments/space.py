"""Is the space a good one? Errors of random members beside a plain space and known designs: see space.md.

Usage: python -m experiments.space choose|train [--data ../shared/data/camvid_small] [--out experiments/results]
`choose` draws and measures the networks once and needs a quiet machine; `train` trains what has no row yet. The
method is that of Radosavovic et al. 2020 (arXiv:2003.13678, section 3.1): spaces are compared by the distribution of
the errors of random members at one cost, here measured latency instead of FLOPs.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from evaluators.job import Job
from evaluators.latency import LatencyEvaluator
from evaluators.options import TrainOptions
from evaluators.scoring import score_videos
from evaluators.segmentation import predictor, search_data
from evaluators.train import train_network
from experiments.latency_guess import features, fit
from experiments.runs import Row, read_rows, run_jobs
from experiments.signal_rank import stills_of
from latency_tables.device import parse_target
from search_spaces.architecture import Architecture, StageSpec, StemSpec, TrainingSpec
from search_spaces.decisions import SearchSpace, sample
from search_spaces.errors import InputError
from search_spaces.presets import PRESETS
from search_spaces.restricted import Restricted, Rules
from search_spaces.trace import num_macs, num_parameters
from search_spaces.video_cells import VideoCells

SIZE_HW = (120, 160)
NUM_CLASSES = 11
TARGETS_MS = (0.7, 1.5)
WITHIN = 0.2
NUM_NETWORKS = 24
MACS = (2e6, 2e8)
"""Outside, no network of any space has been near the targets: not worth a measurement."""

GUESSED_WITHIN = 0.35
"""Guesses are within 25 % of five networks in six."""

EPOCHS = 5
SEEDS = (0,)
OPTIONS = TrainOptions(threads=1, device="cpu", batch_frames=4)
"""The fidelity that signal.md, question 1, decided on."""

PLAIN: Rules = {
    "stem.kind": ("conv",),
    "*.activation": ("relu",),
    "stage*.block": ("plain", "residual"),
    "stage*.factorization": ("dense",),
    "stage*.attention": ("none",),
    "network.context": ("none",),
    "network.branches": (1,),
    "network.schedule": ("none",),
    "decoder.kind": ("bilinear", "skip_add"),
    "temporal.sites": (0,),
    "training.*": (0.0, False),
}
"""A space of dense convolutions: scale, strides, depths, widths, kernels, dilations and the skip stay free."""

# Recorded before that and not drawn again: three populations "before pruning" of the space as it then was, whose
# results are why it is as it is now.
SPACES: Mapping[str, SearchSpace] = {
    "video_cells": VideoCells(),
    "dense": Restricted(VideoCells(), PLAIN),
}
DESIGNS = "designs"
FACTORS = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
"""Widths of a known design, from which the nearest to a target is taken."""

KEYS = ("population", "target_ms", "network", "seed")
COLUMNS = (
    *KEYS, "latency_ms", "macs_m", "params_k", "miou", "miou_stills", "tc", "warp_flip", "train_loss", "cpu_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """A network of a population and what it costs at SIZE_HW."""

    population: str
    target_ms: float
    name: str
    architecture: Architecture
    latency_ms: float

    def written(self) -> str:
        """One line of JSON."""
        facts = {"population": self.population, "target_ms": self.target_ms, "name": self.name}
        return json.dumps(
            {**facts, "latency_ms": self.latency_ms, "architecture": json.loads(self.architecture.to_json())}
        )

    @staticmethod
    def read(line: str) -> "Member":
        """What `written` wrote."""
        found = json.loads(line)
        architecture = Architecture.from_json(json.dumps(found.pop("architecture")))
        return Member(**found, architecture=architecture)


def choose(path: Path) -> None:
    """Draw from every space until each target has its networks; known designs at their nearest width."""
    found = [Member.read(line) for line in path.read_text().splitlines()] if path.exists() else []
    for population, draw in (
        *((name, partial(_random, space)) for name, space in SPACES.items()),
        ("designs", _scaled),
    ):
        if any(member.population == population for member in found):
            continue
        found += _population(population, draw(), found)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(member.written() + "\n" for member in found))


def _population(population: str, drawn: Iterator[tuple[str, Architecture]], known: Sequence[Member]) -> list[Member]:
    """The first NUM_NETWORKS of each target; of a known design the width that is nearest."""
    found: dict[float, list[Member]] = {target: [] for target in TARGETS_MS}
    num_drawn = 0
    drawn = _likely(drawn, known, found)
    while any(len(members) < NUM_NETWORKS for members in found.values()):
        batch = [pair for pair, _ in zip(drawn, range(12), strict=False)]
        if not batch:
            break
        num_drawn += len(batch)
        for (name, architecture), latency_ms in zip(batch, measured([a for _, a in batch]), strict=True):
            for target, members in found.items():
                if latency_ms is not None and abs(latency_ms / target - 1) <= WITHIN and len(members) < NUM_NETWORKS:
                    members.append(Member(population, target, name, architecture, round(latency_ms, 4)))
        counts = ", ".join(f"{len(members)} near {target} ms" for target, members in found.items())
        print(f"{population}: {num_drawn} measured, {counts}", flush=True)
    if population != DESIGNS:
        return [member for members in found.values() for member in members]
    return [m for members in found.values() for m in _nearest(members)]


def _likely(
    drawn: Iterator[tuple[str, Architecture]], known: Sequence[Member], found: Mapping[float, Sequence[Member]]
) -> Iterator[tuple[str, Architecture]]:
    """Those whose latency is guessed near a target that still needs some, by the networks measured before."""
    if not known:
        yield from drawn
        return
    weights = fit([(features(m.architecture, SIZE_HW, NUM_CLASSES), m.latency_ms) for m in known])
    for name, architecture in drawn:
        guess_ms = float(features(architecture, SIZE_HW, NUM_CLASSES) @ weights)
        wanted = [target for target, members in found.items() if len(members) < NUM_NETWORKS]
        if any(abs(guess_ms / target - 1) <= GUESSED_WITHIN for target in wanted):
            yield name, architecture


def _nearest(members: Sequence[Member]) -> list[Member]:
    best: dict[str, Member] = {}
    for member in members:
        design = member.name.split(" x")[0]
        distance = abs(member.latency_ms - member.target_ms)
        if design not in best or distance < abs(best[design].latency_ms - member.target_ms):
            best[design] = member
    return list(best.values())


def _random(space: SearchSpace) -> Iterator[tuple[str, Architecture]]:
    """Random members of a space, each once, all trained alike."""
    rng = random.Random(0)
    seen: set[str] = set()
    while True:
        architecture = replace(sample(space, rng).architecture, training=TrainingSpec())
        if architecture.key not in seen and MACS[0] < num_macs(architecture, SIZE_HW, NUM_CLASSES) < MACS[1]:
            yield architecture.key[:12], architecture
        seen.add(architecture.key)


def _scaled() -> Iterator[tuple[str, Architecture]]:
    for name, entry in PRESETS.items():
        for factor in FACTORS:
            try:
                architecture = scaled(entry.architecture, factor)
            except (ValueError, InputError):
                continue  # a width that one of its operations cannot have
            if num_macs(architecture, SIZE_HW, NUM_CLASSES) < MACS[1]:
                yield f"{name} x{factor:g}", architecture


def scaled(architecture: Architecture, factor: float) -> Architecture:
    """All widths times `factor`, at multiples of 8. Raises ValueError where an operation cannot have one."""
    spec = architecture.video

    def width(channels: int) -> int:
        return max(8, 8 * round(channels * factor / 8))

    def stage(given: StageSpec) -> StageSpec:
        hidden = None if given.hidden is None else width(given.hidden)
        return replace(given, channels=width(given.channels), hidden=hidden)

    def stem(given: StemSpec) -> StemSpec:
        return replace(given, channels=width(given.channels))

    detail = spec.detail
    if detail is not None:
        own = None if detail.stem is None else stem(detail.stem)
        stages = tuple(stage(given) for given in detail.stages)
        detail = replace(detail, channels=width(detail.channels), stem=own, stages=stages)
    network = replace(
        spec,
        stem=stem(spec.stem),
        stages=tuple(stage(given) for given in spec.stages),
        detail=detail,
        decoder=replace(spec.decoder, channels=width(spec.decoder.channels)),
        context_channels=None if spec.context_channels is None else width(spec.context_channels),
    )
    return Architecture(network, TrainingSpec())


def measured(batch: Sequence[Architecture]) -> list[float | None]:
    """latency_ms of each, interleaved in one run; None for what cannot be measured, which is said."""
    with tempfile.TemporaryDirectory() as folder:
        evaluator = LatencyEvaluator(parse_target("onnxruntime:f32:1@thiscpu"), SIZE_HW, NUM_CLASSES, Path(folder), 0)
        outcomes = evaluator.many([Job("measure", architecture) for architecture in batch])
    for architecture, outcome in zip(batch, outcomes, strict=True):
        if outcome.error is not None:
            print(f"{architecture.key[:12]}: {outcome.error}", flush=True)
    return [None if outcome.error is not None else outcome.metrics["latency_ms"] for outcome in outcomes]


@dataclass(frozen=True, slots=True)
class Training:
    """One training: the data, the member, the seed."""

    data: str
    member: Member
    seed: int
    epochs: int = EPOCHS


def run_one(job: Training) -> list[Row]:
    """Train on the fit part, score the held-out drive twice: pseudo-video as a search does, and stills."""
    torch.set_num_threads(1)
    architecture = job.member.architecture
    data, select, last = search_data(job.data, SIZE_HW, OPTIONS)
    start = time.process_time()
    trained = train_network(architecture, data, OPTIONS, epochs=job.epochs, seed=job.seed)
    cpu_s = time.process_time() - start
    predict = predictor(trained.model)
    video = score_videos(predict, select, NUM_CLASSES, last_frame_only=last).metrics
    stills = score_videos(predict, stills_of(job.data, SIZE_HW), NUM_CLASSES, last_frame_only=False).metrics
    facts = {
        "latency_ms": job.member.latency_ms,
        "macs_m": f"{num_macs(architecture, SIZE_HW, NUM_CLASSES) / 1e6:.3f}",
        "params_k": f"{num_parameters(architecture, NUM_CLASSES) / 1e3:.3f}",
        "miou_stills": f"{stills['miou']:.5f}",
        "train_loss": f"{trained.train_loss:.4f}",
        "cpu_s": f"{cpu_s:.1f}",
    }
    return [{**facts, **{name: f"{video[name]:.5f}" for name in ("miou", "tc", "warp_flip")}}]


def jobs(data: str, members: Sequence[Member]) -> Iterator[tuple[Row, Training]]:
    """The populations in turn, so that what is there at any moment compares them."""
    turn: dict[tuple[str, float], int] = {}
    order = []
    for member in members:
        place = turn[member.population, member.target_ms] = turn.get((member.population, member.target_ms), 0) + 1
        order.append((place, member))
    for seed in SEEDS:
        for _, member in sorted(order, key=lambda pair: pair[0]):
            row = {"population": member.population, "target_ms": member.target_ms, "network": member.name}
            yield {**row, "seed": seed}, Training(data, member, seed)


def main() -> None:
    """Choose the networks, or train them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("choose", "train"))
    parser.add_argument("--data", default="../shared/data/camvid_small")
    parser.add_argument("--out", type=Path, default=Path("experiments/results"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    networks = given.out / "space_networks.jsonl"
    if given.what == "choose":
        choose(networks)
        return
    members = [Member.read(line) for line in networks.read_text().splitlines()]
    path = given.out / "space.csv"
    run_jobs(path, COLUMNS, KEYS, jobs(f"camvid:{given.data}", members), run_one, workers=given.workers)
    print(f"{len(read_rows(path))} rows in {path}")


if __name__ == "__main__":
    main()
