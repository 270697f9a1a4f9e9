"""What every convolution, block, activation, attention, context and cell costs, beside a dense 3x3 convolution.

All parts are timed interleaved in one run a runtime, onnxruntime and torch eager, one thread, 64 channels at
45x60. A part's cost is its latency less that of the same network without it. `--table` prints what was measured.
"""

import argparse
import csv
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.op_costs_harness import DENSE, FRAME, NOTHING, SEED, Part, counts, streamed
from experiments.op_costs_network import HALF, SCORES
from experiments.op_costs_parts import UNIT, parts
from experiments.op_costs_table import markdown
from latency_tables.device import parse_target
from latency_tables.measurement import FINAL, SEARCH, Failure, Measurement, TimingProtocol
from latency_tables.onnx_export import ExportError, export_step
from latency_tables.parity import verify_step
from latency_tables.protocol import measure
from latency_tables.runtimes.base import Candidate

RUNTIMES = ("onnxruntime", "torch")
SMOKE = TimingProtocol("smoke", 1, 0.0, 2, 0.0, 2, 4, 0.1, 1.0, 120.0)
"""Whether it runs; the figures mean nothing."""

PROTOCOLS = {protocol.name: protocol for protocol in (SMOKE, SEARCH, FINAL)}
FIGURES = ("ms", "halfwidth_ms", "ratio", "ratio_halfwidth", "contended", "anchor_cv")
COLUMNS = (
    "protocol", "group", "name", "variant", "macs_m", "params_k", "state_kb",
    *(f"{runtime}_{figure}" for runtime in RUNTIMES for figure in FIGURES), "note",
)  # fmt: skip
NEEDED = (*(part.key for part in (NOTHING, FRAME, HALF, SCORES, UNIT)), DENSE)

Found = Mapping[str, Measurement | Failure]


def run(chosen: Sequence[Part], protocol: TimingProtocol, path: Path) -> None:
    """Export, check and time `chosen`; one row each. What cannot be exported or timed says why and has no figure."""
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as folder:
        exported = {part.key: _exported(part, Path(folder, f"{number}.onnx")) for number, part in enumerate(chosen)}
        candidates = {key: file for key, file in exported.items() if isinstance(file, Candidate)}
        found["onnxruntime"] = {
            **{key: file for key, file in exported.items() if isinstance(file, Failure)},
            **_timed("onnxruntime", candidates, chosen, protocol, "latency_tables.worker"),
        }
    # The worker builds the part of this name; num_classes and the architecture's usual meaning are not its.
    named = {part.key: Candidate(part.size_hw, architecture=part.key) for part in chosen}
    found["torch"] = _timed("torch", named, chosen, protocol, "experiments.op_costs_worker")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for part in chosen:
            writer.writerow({"protocol": protocol.name, **_row(part, found)})


def _exported(part: Part, path: Path) -> Candidate | Failure:
    model = streamed(part)
    try:
        export_step(model, part.size_hw, path, {"part": part.key})
    except ExportError as error:
        return Failure(str(error))
    parity = verify_step(model, path, part.size_hw, seed=SEED)
    if not parity.ok:
        return Failure(f"the export differs from torch by {parity.relative:.2g} of the range")
    print("exported", part.key, flush=True)
    return Candidate(part.size_hw, (str(path),))


def _timed(
    runtime: str,
    candidates: Mapping[str, Candidate],
    chosen: Sequence[Part],
    protocol: TimingProtocol,
    worker: str,
) -> Found:
    """What works on whole frames is timed apart: beside it, what is small finds its cache emptied."""
    target = parse_target(f"{runtime}:f32:1@thiscpu")
    found: dict[str, Measurement | Failure] = {}
    for large in (False, True):
        keys = [part.key for part in chosen if part.large == large and part.key in candidates]
        print(f"{runtime}: {len(keys)} parts, protocol {protocol.name}", flush=True)
        results = measure([candidates[key] for key in keys], target, protocol, seed=SEED, worker=worker)
        found |= dict(zip(keys, results, strict=True))
    return found


def _row(part: Part, found: Mapping[str, Found]) -> dict[str, str]:
    row = {"group": part.group, "name": part.name, "variant": part.variant}
    row |= {name: f"{value:.6f}" for name, value in counts(part).items()}
    notes = []
    for runtime, results in found.items():
        own = results[part.key]
        if isinstance(own, Failure):
            notes.append(f"{runtime}: {own.reason}")
        else:
            row |= {f"{runtime}_{name}": value for name, value in _figures(part, own, results).items()}
    return {**row, "note": "; ".join(notes)}


def _figures(part: Part, own: Measurement, results: Found) -> dict[str, str]:
    host = {"contended": str(int(own.contended)), "anchor_cv": f"{own.anchor_cv:.4f}"}
    if part.base is None:
        return {"ms": f"{own.latency_ms:.5f}", "halfwidth_ms": f"{own.halfwidth_ms:.5f}", **host}
    ms, halfwidth_ms = _cost(own, _known(results, part.base.key))
    dense_ms, dense_halfwidth_ms = _cost(_known(results, DENSE), _known(results, NOTHING.key))
    ratio = ms / dense_ms
    return {
        "ms": f"{ms:.5f}",
        "halfwidth_ms": f"{halfwidth_ms:.5f}",
        "ratio": f"{ratio:.4f}",
        "ratio_halfwidth": f"{math.hypot(halfwidth_ms, ratio * dense_halfwidth_ms) / dense_ms:.4f}",
        **host,
    }


def _known(results: Found, key: str) -> Measurement:
    found = results[key]
    if isinstance(found, Failure):
        raise RuntimeError(f"{key}: {found.reason}; every row needs it")
    return found


def _cost(own: Measurement, base: Measurement) -> tuple[float, float]:
    """The difference and the half-width of its 95 % interval."""
    return own.latency_ms - base.latency_ms, math.hypot(own.halfwidth_ms, base.halfwidth_ms)


def _chosen(names: Sequence[str]) -> list[Part]:
    """The parts whose key contains one of `names`, or all, and those that all figures need."""
    return [p for p in parts() if p.key in NEEDED or not names or any(name in p.key for name in names)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=(), help="parts whose group/name/variant contains one of these")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="final")
    parser.add_argument("--out", type=Path, default=Path("experiments/results/op_costs.csv"))
    parser.add_argument("--table", action="store_true", help="print the tables of --out, measure nothing")
    options = parser.parse_args()
    if not options.table:
        run(_chosen(options.only), PROTOCOLS[options.protocol], options.out)
    print(markdown(options.out))


if __name__ == "__main__":
    main()
