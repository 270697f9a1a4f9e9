"""What does a frame cost, and what would make it cheaper? See signal.md, question 4. Needs a quiet machine.

Usage: python -m experiments.signal_frame --parts|--levers --front RUN/front.json [--members 0,4,7]
           [--size 120x160 --size 180x240] [--protocol search|final] [--out experiments/results]
       python -m experiments.signal_frame --table [--out experiments/results]

The parts of a step are differences of networks that stop after each part, timed interleaved: the sum is the
whole by construction. Onnxruntime's profiler stands beside them. Levers are ratios to the network without them.
"""

import argparse
import csv
import json
import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from experiments.frame_levers import variants
from experiments.frame_parts import Prefix, parts_of
from experiments.frame_profile import part_of_values, profile
from experiments.frame_table import print_levers, print_parts
from experiments.runs import Row
from latency_tables.device import parse_target
from latency_tables.measurement import FINAL, SEARCH, Failure, Measurement, TimingProtocol
from latency_tables.onnx_export import export_step
from latency_tables.parity import verify_step
from latency_tables.protocol import measure
from latency_tables.random_weights import build_random
from latency_tables.runtimes.base import Candidate
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.presets import PRESETS

TARGET = parse_target("onnxruntime:f32:1@thiscpu")
SEED = 0
PROFILED_RUNS = 500
CALL = "call"
"""The part that computes nothing: what it costs to call the runtime and to draw one pixel."""

# Without the early stop all networks of a run are timed in the same rounds: what disturbs one disturbs its pair.
PROTOCOLS = {
    "search": replace(SEARCH, name="search, no early stop", steady=0.0),
    "final": replace(FINAL, name="final, no early stop", steady=0.0),
}
_COMMON = ("protocol", "size", "network", "latency_ms", "halfwidth_ms")
_HOST = ("contended", "anchor_ms", "anchor_cv", "wall_cpu_ratio")
PART_COLUMNS = (
    *_COMMON, "part", "cumulative_ms", "cumulative_halfwidth_ms", "part_ms", "part_halfwidth_ms", "profiler_ms",
    "profiler_kernels", *_HOST,
)  # fmt: skip
LEVER_COLUMNS = (
    *_COMMON, "lever", "variant", "base", "base_ms", "base_halfwidth_ms", "ratio", "ratio_halfwidth", *_HOST,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """A network of the experiment: what it is called and what it is."""

    name: str
    architecture: Architecture


@dataclass(frozen=True, slots=True)
class Setting:
    """How a run is made: frame size, classes, protocol, and the folder for its files."""

    size_hw: tuple[int, int]
    num_classes: int
    protocol: TimingProtocol
    folder: Path

    @property
    def size(self) -> str:
        """The frame size as text."""
        return f"{self.size_hw[0]}x{self.size_hw[1]}"


def read_front(path: Path, trials: Sequence[int] | None) -> list[Member]:
    """The members of a search's front with these trial numbers; none given: the cheapest, median and dearest.

    Raises:
        InputError: no such trial, or an architecture that cannot be read.
    """
    entries = sorted(json.loads(path.read_text()), key=lambda entry: float(entry["metrics"]["latency_ms"]))
    by_trial = {int(entry["trial"]): entry for entry in entries}
    if trials is None:
        middle = [entries[0], entries[len(entries) // 2], entries[-1]]
        trials = list(dict.fromkeys(int(entry["trial"]) for entry in middle))
    unknown = [trial for trial in trials if trial not in by_trial]
    if unknown:
        raise InputError(f"--members: trial {unknown[0]} given; {path} has {', '.join(map(str, by_trial))}")
    return [
        Member(f"trial {trial}", Architecture.from_json(json.dumps(by_trial[trial]["architecture"]), str(path)))
        for trial in trials
    ]


def measure_parts(members: Sequence[Member], setting: Setting) -> Iterator[Row]:
    """One row a part of every member: its own cost, the cost up to it, and what the profiler says."""
    files: dict[str, dict[str, Path]] = {}
    for index, member in enumerate(members):
        folder = setting.folder / str(index)
        folder.mkdir()
        files[member.name] = export_prefixes(member.architecture, setting, folder)
    flat: dict[tuple[str, ...], Path] = {
        (name, part): path for name, paths in files.items() for part, path in paths.items()
    }
    measured = _measured(flat, setting)
    for name, paths in files.items():
        *_, (last, whole_path) = paths.items()
        named = part_of_values({part: path for part, path in paths.items() if part != CALL})
        profiled = profile(whole_path, named, setting.size_hw, num_runs=PROFILED_RUNS, seed=SEED)
        whole, before = measured[name, last], None
        for part in paths:
            here = measured[name, part]
            found = profiled.kernels_ms.get(part, 0.0)
            if part == CALL:
                found = profiled.run_ms - sum(profiled.kernels_ms.values())
            yield {
                **_common(setting, name, whole),
                "part": part,
                "cumulative_ms": _ms(here.latency_ms),
                "cumulative_halfwidth_ms": _ms(here.halfwidth_ms),
                "part_ms": _ms(here.latency_ms - (before.latency_ms if before else 0.0)),
                "part_halfwidth_ms": _ms(math.hypot(here.halfwidth_ms, before.halfwidth_ms if before else 0.0)),
                "profiler_ms": _ms(found),
                "profiler_kernels": profiled.num_kernels.get(part, 0),
                **_host(here, before),
            }
            before = here


def export_prefixes(architecture: Architecture, setting: Setting, folder: Path) -> dict[str, Path]:
    """Files of the networks that end after each part, in order, the first after none; the last is the step."""
    model = build_random(architecture, setting.num_classes, seed=SEED)
    names = [CALL, *(part.name for part in parts_of(model))]
    paths = {}
    for count, name in enumerate(names):
        whole = count == len(names) - 1
        paths[name] = folder / f"{count}.onnx"
        prefix = Prefix(model, count, None if whole else setting.size_hw)
        _export(prefix, paths[name], setting, checked=whole)
    return paths


def measure_levers(members: Sequence[Member], setting: Setting) -> Iterator[Row]:
    """One row a lever's variant of every member and its ratio to the network without it."""
    found: dict[tuple[str, str, str], tuple[str, str]] = {}
    flat: dict[tuple[str, ...], Path] = {}
    for member in members:
        for variant in variants(member.architecture, setting.num_classes, setting.size_hw, seed=SEED):
            key = (member.name, variant.lever, variant.name)
            found[key] = variant.base
            flat[key] = setting.folder / f"{len(flat)}.onnx"
            _export(variant.model, flat[key], setting, checked=variant.checked)
    measured = _measured(flat, setting)
    for (name, lever, variant_name), base in found.items():
        here, without = measured[name, lever, variant_name], measured[name, *base]
        ratio = here.latency_ms / without.latency_ms
        own = (lever, variant_name) == base
        relative = math.hypot(here.halfwidth_ms / here.latency_ms, without.halfwidth_ms / without.latency_ms)
        yield {
            **_common(setting, name, here),
            "lever": lever,
            "variant": variant_name,
            "base": base[1],
            "base_ms": _ms(without.latency_ms),
            "base_halfwidth_ms": _ms(without.halfwidth_ms),
            "ratio": f"{ratio:.4f}",
            "ratio_halfwidth": f"{0.0 if own else ratio * relative:.4f}",
            **_host(here, without),
        }


def _export(model: torch.nn.Module, path: Path, setting: Setting, *, checked: bool) -> None:
    export_step(model, setting.size_hw, path, {})
    if checked and not (parity := verify_step(model, path, setting.size_hw, seed=SEED)).ok:
        raise RuntimeError(f"{path.name}: differs from torch by {parity.relative:.2g} of its range")


def _measured(paths: Mapping[tuple[str, ...], Path], setting: Setting) -> dict[tuple[str, ...], Measurement]:
    """Time all files interleaved in one run."""
    print(f"{setting.size}: {len(paths)} networks, protocol {setting.protocol.name}", flush=True)
    candidates = [Candidate(setting.size_hw, (str(path),)) for path in paths.values()]
    measured: dict[tuple[str, ...], Measurement] = {}
    for key, result in zip(paths, measure(candidates, TARGET, setting.protocol, seed=SEED), strict=True):
        if isinstance(result, Failure):
            raise RuntimeError(f"{key}: {result.reason}")
        measured[key] = result
    return measured


def _common(setting: Setting, name: str, measurement: Measurement) -> Row:
    return {
        "protocol": setting.protocol.name,
        "size": setting.size,
        "network": name,
        "latency_ms": _ms(measurement.latency_ms),
        "halfwidth_ms": _ms(measurement.halfwidth_ms),
    }


def _host(measurement: Measurement, other: Measurement | None) -> Row:
    """How quiet the machine was; contended if it was for either of the two that are compared."""
    return {
        "contended": int(measurement.contended or (other is not None and other.contended)),
        "anchor_ms": _ms(measurement.anchor_ms),
        "anchor_cv": f"{measurement.anchor_cv:.4f}",
        "wall_cpu_ratio": f"{measurement.wall_cpu_ratio:.3f}",
    }


def _ms(value: float) -> str:
    return f"{value:.5f}"


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or any(int(side) % 4 or int(side) < 32 for side in match.groups()):
        raise argparse.ArgumentTypeError(f"{text!r} given; HxW is allowed, sides multiples of 4 from 32 on")
    return int(match[1]), int(match[2])


def _trials(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--levers", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--front", type=Path, help="front.json of a search folder")
    parser.add_argument("--members", type=_trials, help="trial numbers; default: cheapest, median, dearest")
    parser.add_argument("--size", type=_size, action="append", help="HxW, may be given again")
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="search")
    parser.add_argument("--out", type=Path, default=Path("experiments/results"))
    options = parser.parse_args()
    if (options.parts or options.levers) and options.front is None:
        parser.error("--front is needed")
    return options


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    members = [] if options.front is None else read_front(options.front, options.members)
    plain = Member("plain_small", PRESETS["plain_small"].architecture)
    runs = (
        (options.parts, "signal_frame_parts.csv", PART_COLUMNS, members, measure_parts, print_parts),
        (options.levers, "signal_frame_levers.csv", LEVER_COLUMNS, [*members, plain], measure_levers, print_levers),
    )
    for wanted, name, columns, networks, run, table in runs:
        path = options.out / name
        if wanted:
            rows: list[Row] = []
            for size_hw in options.size or [(120, 160), (180, 240)]:
                with tempfile.TemporaryDirectory() as folder:
                    setting = Setting(size_hw, options.classes, PROTOCOLS[options.protocol], Path(folder))
                    rows += run(networks, setting)
                _write(path, columns, rows)
        if options.table and path.exists():
            table(path)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
