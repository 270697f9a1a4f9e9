"""The process that times: one target, many candidates, interleaved with the anchor. Knows nothing of tables.

`python -m latency_tables.worker` reads one JSON request from stdin and writes JSON lines to stdout:
`at` (what is touched next), `loaded`, `block` (raw times of one block of runs), `done` (a candidate), `end`.
It handles no failure: whatever goes wrong ends it, its driver reads from the last `at` whose fault it was, and
starts another one for the rest. With onnxruntime it must not import torch, which costs seconds and memory.
"""

import gc
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from latency_tables.runtimes.base import Candidate, FloatArray, Runtime, StreamingStep
from latency_tables.runtimes.registry import load_runtime
from latency_tables.stats import Samples, is_steady

ANCHOR = -1
"""Number of the anchor network among the candidates."""

_NUM_FRAMES = 4
_UNTIMED_CYCLES = 2
"""Cycles of the schedule run before a block is timed: its neighbours have emptied the caches."""

_MS = 1e-6


class Session:
    """Everything the worker holds while it times."""

    def __init__(self, request: dict[str, Any], out: TextIO) -> None:
        self.protocol: dict[str, Any] = request["protocol"]
        self.threads = int(request["threads"])
        self.precision = str(request["precision"])
        self.out = out
        self.order = random.Random(request["seed"])
        self.frame_rng = np.random.default_rng(request["seed"])
        self.frames: dict[tuple[int, ...], list[FloatArray]] = {}
        self.steps: dict[int, StreamingStep] = {}
        self.sizes: dict[int, tuple[int, int]] = {}
        self.rounds: dict[int, list[Samples]] = {}

    def say(self, event: str, **values: Any) -> None:
        """One JSON line to the driver."""
        self.out.write(json.dumps({"event": event, **values}) + "\n")
        self.out.flush()

    def frames_for(self, size_hw: tuple[int, int]) -> list[FloatArray]:
        """Random frames of a size, the same ones for every candidate."""
        if size_hw not in self.frames:
            self.frames[size_hw] = [
                self.frame_rng.random((1, 3, *size_hw), dtype=np.float32) for _ in range(_NUM_FRAMES)
            ]
        return self.frames[size_hw]


def load(session: Session, runtime: Runtime, number: int, candidate: Candidate | None, anchor: Path | None) -> None:
    """Load a candidate (or the anchor) and warm it up."""
    session.say("at", candidate=number, doing="load")
    if candidate is None:
        from latency_tables.anchor import SIZE_HW

        step, size_hw = runtime.load_anchor(anchor, session.threads), SIZE_HW
    else:
        step, size_hw = runtime.load(candidate, session.precision, session.threads), candidate.size_hw
    session.steps[number], session.sizes[number], session.rounds[number] = step, size_hw, []
    session.say("at", candidate=number, doing="warm-up")
    frames = session.frames_for(size_hw)
    step.reset()
    runs, until = 0, time.perf_counter() + float(session.protocol["warmup_s"])
    while runs < session.protocol["warmup_runs"] or time.perf_counter() < until:
        step.step(frames[runs % _NUM_FRAMES])
        runs += 1
    step.synchronize()
    session.say("loaded", candidate=number, num_phases=step.num_phases, state_bytes=step.state_bytes)


def block(session: Session, number: int) -> None:
    """Time one block of runs and report it; the state is carried within it."""
    step, frames, protocol = (
        session.steps[number],
        session.frames_for(session.sizes[number]),
        session.protocol,
    )
    session.say("at", candidate=number, doing="timing")
    step.reset()
    untimed = _UNTIMED_CYCLES * step.num_phases
    for index in range(untimed):
        step.step(frames[index % _NUM_FRAMES])
    step.synchronize()
    wall_ns: list[int] = []
    cpu_ns: list[int] = []
    block_ns = int(protocol["block_s"] * 1e9)
    least = int(protocol["block_runs"]) * step.num_phases
    start = time.perf_counter_ns()
    while len(wall_ns) < least or time.perf_counter_ns() - start < block_ns:
        frame = frames[len(wall_ns) % _NUM_FRAMES]
        wall = time.perf_counter_ns()
        cpu = time.process_time_ns()
        step.step(frame)
        step.synchronize()
        cpu_ns.append(time.process_time_ns() - cpu)
        wall_ns.append(time.perf_counter_ns() - wall)
    whole = len(wall_ns) - len(wall_ns) % step.num_phases
    session.say("block", candidate=number, wall_ns=wall_ns[:whole], cpu_ns=cpu_ns[:whole])
    judged = cpu_ns if session.threads == 1 else wall_ns
    session.rounds[number].append(np.asarray(judged[:whole], np.float64) * _MS)


def is_done(session: Session, number: int) -> bool:
    """Whether a candidate has runs enough and is steady, or has had its time."""
    rounds, protocol, num_phases = session.rounds[number], session.protocol, session.steps[number].num_phases
    runs = sum(len(samples) for samples in rounds)
    if len(rounds) < protocol["min_rounds"] or runs < protocol["min_runs"] * num_phases:
        return False
    spent_s = sum(float(samples.sum()) for samples in rounds) / 1e3
    return spent_s >= protocol["max_s"] or is_steady(rounds, num_phases, protocol["steady"])


def run(request: dict[str, Any], out: TextIO, runtime: Runtime | None = None) -> None:
    """Do a whole request, with the runtime it names or the one given."""
    session = Session(request, out)
    session.say("at", candidate=ANCHOR, doing="import")
    runtime = runtime or load_runtime(request["runtime"])
    anchor = Path(request["anchor_path"]) if request["anchor_path"] else None
    load(session, runtime, ANCHOR, None, anchor)
    pending = [int(number) for number in request["numbers"]]
    for number, plain in zip(pending, request["candidates"], strict=True):
        load(session, runtime, number, Candidate.from_plain(plain), None)
    gc.collect()
    gc.freeze()
    gc.disable()
    while pending:
        turn = [ANCHOR, *pending]
        session.order.shuffle(turn)
        for number in turn:
            block(session, number)
        for number in [number for number in pending if is_done(session, number)]:
            session.say("done", candidate=number)
            pending.remove(number)
            del session.steps[number]
    session.say("end", version=runtime.version(), options=runtime.options(session.precision, session.threads))


def main(runtime: Runtime | None = None) -> None:
    """Keep stdout for the events: whatever a runtime prints goes to stderr.

    An experiment that times what no registry has gives its own `runtime`, in a module of its own that `measure`
    is told to start instead of this one.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        run(json.loads(sys.stdin.read()), out, runtime)


if __name__ == "__main__":
    main()
