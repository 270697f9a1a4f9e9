"""Times all entries of the comparison in one interleaved run on onnxruntime. Knows nothing of data or accuracy."""

import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.designs.entries import KEYS, Entry
from latency_tables.device import parse_target
from latency_tables.measurement import Failure, Measurement, TimingProtocol
from latency_tables.onnx_export import export_step
from latency_tables.parity import verify_step
from latency_tables.protocol import measure
from latency_tables.random_weights import enliven
from latency_tables.runtimes.base import Candidate

COLUMNS = (*KEYS, "latency_ms", "halfwidth", "wall_p50", "macs_m", "params_k", "contended")
TARGET = "onnxruntime:f32:1@thiscpu"
SEED = 0
"""Of the random weights and the order of rounds: what a dense network costs does not depend on them."""


class UnfaithfulExportError(RuntimeError):
    """An exported network computes something else than torch; its latency would be another network's."""


def time_entries(
    entries: Sequence[Entry], size_hw: tuple[int, int], num_classes: int, protocol: TimingProtocol, path: Path
) -> list[str]:
    """Export and check every entry, time all of them interleaved, write one row each; returns what failed and why.

    Raises:
        UnfaithfulExportError: an export differs from torch over frames with carried state.
    """
    with tempfile.TemporaryDirectory() as folder:
        candidates = []
        for number, entry in enumerate(entries):
            candidates.append(_exported(entry, size_hw, num_classes, Path(folder, f"{number}.onnx")))
            print("exported", *entry.key.values(), flush=True)
        results = measure(candidates, parse_target(TARGET), protocol, seed=SEED)
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, Failure):
                failures.append(f"{' '.join(entry.key.values())}: {result.reason}")
            else:
                writer.writerow({**entry.key, **_figures(result), **counts(entry, size_hw, num_classes)})
    return failures


def _exported(entry: Entry, size_hw: tuple[int, int], num_classes: int, path: Path) -> Candidate:
    model = entry.build(num_classes, seed=SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = enliven(model)
    export_step(model, size_hw, path, entry.key)
    parity = verify_step(model, path, size_hw, seed=SEED)
    if not parity.ok:
        name = " ".join(entry.key.values())
        raise UnfaithfulExportError(f"{name}: the export differs from torch by {parity.relative:.2g} of the range")
    return Candidate(size_hw, (str(path),))


def _figures(measured: Measurement) -> dict[str, str]:
    return {
        "latency_ms": f"{measured.latency_ms:.4f}",
        "halfwidth": f"{measured.halfwidth_ms:.4f}",
        "wall_p50": f"{measured.wall_p50_ms:.4f}",
        "contended": "yes" if measured.contended else "no",
    }


def counts(entry: Entry, size_hw: tuple[int, int], num_classes: int) -> dict[str, str]:
    """Millions of multiply-accumulates of one step and thousands of parameters, counted on the meta device."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = entry.build(num_classes, seed=SEED).eval()
        model.step(torch.empty(1, 3, *size_hw), model.initial_state(1, *size_hw))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    # The counter has two operations for a multiply-accumulate.
    return {"macs_m": f"{counter.get_total_flops() / 2e6:.3f}", "params_k": f"{parameters / 1e3:.3f}"}
