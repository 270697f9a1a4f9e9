"""What onnxruntime's own profiler says each part of a step costs. Knows nothing of how parts are made or tabled.

The profiler times every kernel of the optimized graph, in whole microseconds rounded down, and slows the run
down; kernels that were fused across two parts stand with the later one. So it is a check, not the measurement.
"""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latency_tables.parity import random_frames

_WARM_UP = 20
_US_TO_MS = 1e-3
_KERNEL = "_kernel_time"
_PROBE = "logits"


@dataclass(frozen=True, slots=True)
class Profile:
    """p10 over runs: milliseconds of kernels by part, in whole runs, and the number of kernels by part."""

    kernels_ms: Mapping[str, float]
    num_kernels: Mapping[str, int]
    run_ms: float


def part_of_values(prefixes: Mapping[str, Path]) -> dict[str, str]:
    """The part of every node and value name of the whole network's file.

    `prefixes` are the files of the networks that end after each part, in order; the last is the whole, the others
    end in a probe, which writes `logits`. The exporter names what is computed by counting, so that a value has one
    name in all files, and belongs to the part of the first prefix that has it.

    Raises:
        ValueError: a prefix computes what the whole does not, or another thing under the same name.
    """
    import onnx

    *_, whole = prefixes.values()
    nodes = {output: node for node in onnx.load(str(whole)).graph.node for output in node.output}
    parts: dict[str, str] = {}
    for part, path in prefixes.items():
        for own in onnx.load(str(path)).graph.node:
            for output in own.output:
                if output == _PROBE and path != whole:
                    continue
                if output not in nodes or nodes[output].op_type != own.op_type:
                    raise ValueError(f"{path.name}: {output} ({own.op_type}), after {part!r}, is not in the whole")
                for name in (output, nodes[output].name):
                    parts.setdefault(name, part)
    return parts


def profile(whole: Path, parts: Mapping[str, str], size_hw: tuple[int, int], *, num_runs: int, seed: int) -> Profile:
    """Run the file with the profiler on, one thread, as it is timed otherwise; `parts` from `part_of_values`."""
    from latency_tables.runtimes.onnxruntime import OnnxStep, open_session, session_options

    with tempfile.TemporaryDirectory() as folder:
        options = session_options(1)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
        session = open_session(whole, 1, options)
        step = OnnxStep([session])
        frames = random_frames(size_hw, 4, seed=seed)
        for index in range(_WARM_UP + num_runs):
            step.step(frames[index % len(frames)])
        events = json.loads(Path(session.end_profiling()).read_text())
        owners = _owners(Path(folder, "optimized.onnx"), parts)
    return _condense(events, owners)


def _owners(optimized: Path, parts: Mapping[str, str]) -> dict[str, str]:
    """The part of every node of the optimized graph.

    Most keep the name of the node they came from, or of its output. What changes the layout belongs to whoever
    reads it, as with the prefixes, and at the end of the graph to whoever wrote it.
    """
    import onnx

    graph = onnx.load(str(optimized)).graph
    owners = {node.name: part for node in graph.node if (part := _named(node, parts)) is not None}
    for node in reversed(graph.node):
        if node.name in owners:
            continue
        readers = [owners[other.name] for other in graph.node if set(other.input) & set(node.output)]
        writers = [parts[name] for name in node.output if name in parts]
        if not readers and not writers:
            raise ValueError(f"node {node.name!r} ({node.op_type}) of the optimized graph belongs to no part")
        owners[node.name] = min(readers, key=list(parts.values()).index) if readers else writers[0]
    return owners


def _named(node: Any, parts: Mapping[str, str]) -> str | None:
    """The part that the node's own name tells: `conv2d_1_nchwc`, `node_silu/QuickGeluFusion/`, `node_add_2`."""
    if node.op_type.startswith("Reorder"):
        return None
    name = re.sub(r"_nchwc(_token_\d+)?$", "", node.name.split("/")[0])
    return parts.get(name, next((parts[output] for output in node.output if output in parts), None))


def _condense(events: Sequence[Mapping[str, Any]], owners: Mapping[str, str]) -> Profile:
    durations: dict[str, list[int]] = {}
    runs_us: list[int] = []
    for event in events:
        name = event["name"]
        if name == "model_run":
            runs_us.append(event["dur"])
        elif name.endswith(_KERNEL):
            durations.setdefault(name.removesuffix(_KERNEL), []).append(event["dur"])
    kernels: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for name, per_run in durations.items():
        part = owners[name]
        if len(per_run) != len(runs_us):
            raise ValueError(f"node {name!r} ran {len(per_run)} times in {len(runs_us)} runs")
        kernels[part] = kernels.get(part, 0) + np.asarray(per_run[_WARM_UP:], np.float64)
        counts[part] = counts.get(part, 0) + 1
    low = {part: float(np.percentile(total, 10)) * _US_TO_MS for part, total in kernels.items()}
    return Profile(low, counts, float(np.percentile(runs_us[_WARM_UP:], 10)) * _US_TO_MS)
