"""Measuring: starts the worker of a target, follows its events, condenses them. Knows nothing of what is searched.

One process a target, with the environment set before anything is imported. A candidate that makes the worker
fail, die or fall silent is a Failure with the reason, and the rest go on in a new worker.
"""

import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from latency_tables.anchor import write_anchor
from latency_tables.device import THIS_CPU, Target
from latency_tables.measurement import FINAL, SEARCH, Failure, Measurement, Rounds, TimingProtocol, summarize
from latency_tables.runtimes.base import Candidate
from latency_tables.runtimes.registry import load_runtime, runtime_info
from latency_tables.worker import ANCHOR
from search_spaces.errors import InputError

__all__ = [
    "FINAL",
    "SEARCH",
    "Candidate",
    "Failure",
    "Measurement",
    "TimingProtocol",
    "measure",
    "worker_environment",
]

WORKER = "latency_tables.worker"

_ROOT = Path(__file__).resolve().parents[1]
_NS_TO_MS = 1e-6
_GRACE_S = 5.0


def measure(
    candidates: Sequence[Candidate],
    target: Target,
    protocol: TimingProtocol,
    *,
    seed: int,
    fps: float | None = None,
    worker: str = WORKER,
) -> list[Measurement | Failure]:
    """Time `candidates` on `target`, interleaved; one result a candidate, in order.

    `worker` is the module that is run as the worker: it calls `latency_tables.worker.main`.

    Raises:
        InputError: the target is not this machine.
        MissingExtraError: the runtime is not installed.
    """
    if not target.is_local:
        raise InputError(
            f"target {target}: device {target.device!r} given, but only {THIS_CPU!r} can be measured from here; "
            "measure on the device itself, or give its table"
        )
    load_runtime(target.runtime)
    results: dict[int, Measurement | Failure] = {}
    with tempfile.TemporaryDirectory(prefix="vidseg-nas-measure-") as folder:
        anchor_path = Path(folder, "anchor.onnx") if runtime_info(target.runtime).needs_onnx else None
        if anchor_path is not None:
            write_anchor(anchor_path)
        while len(results) < len(candidates):
            numbers = [number for number in range(len(candidates)) if number not in results]
            request = {
                "worker": worker,
                "runtime": target.runtime,
                "precision": target.precision,
                "threads": target.threads,
                "seed": seed,
                "protocol": dataclasses.asdict(protocol),
                "anchor_path": None if anchor_path is None else str(anchor_path),
                "numbers": numbers,
                "candidates": [candidates[number].to_plain() for number in numbers],
            }
            results |= _one_worker(request, target, protocol, Path(folder), fps)
    return [results[number] for number in range(len(candidates))]


def worker_environment(threads: int) -> dict[str, str]:
    """The worker's environment: thread pools of the given size that sleep while they wait."""
    count = str(threads)
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": count,
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_DYNAMIC": "FALSE",
        "KMP_BLOCKTIME": "0",
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
    }


@dataclasses.dataclass
class _Heard:
    """What a worker has said so far."""

    at: int = ANCHOR
    doing: str = "start"
    blocks: dict[int, list[tuple[list[int], list[int]]]] = dataclasses.field(default_factory=dict)
    loaded: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    done: list[int] = dataclasses.field(default_factory=list)
    ended: bool = False

    def take(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "at":
            self.at, self.doing = event["candidate"], event["doing"]
        elif kind == "loaded":
            self.loaded[event["candidate"]] = (event["num_phases"], event["state_bytes"])
        elif kind == "block":
            self.blocks.setdefault(event["candidate"], []).append((event["wall_ns"], event["cpu_ns"]))
        elif kind == "done":
            self.done.append(event["candidate"])
        elif kind == "end":
            self.ended = True

    def rounds(self, number: int) -> Rounds:
        num_phases, state_bytes = self.loaded[number]
        wall, cpu = zip(*self.blocks[number], strict=True)
        return Rounds(
            [np.asarray(block, np.float64) * _NS_TO_MS for block in wall],
            [np.asarray(block, np.float64) * _NS_TO_MS for block in cpu],
            num_phases,
            state_bytes,
        )


def _one_worker(
    request: dict[str, Any], target: Target, protocol: TimingProtocol, folder: Path, fps: float | None
) -> dict[int, Measurement | Failure]:
    """Results of the candidates this worker finished, and a Failure for the one it fell over.

    Where the fault is no candidate's (it died while starting), all that are left fail.
    """
    heard, stopped = _listen(request, target.threads, protocol.silence_s, folder)
    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    results: dict[int, Measurement | Failure] = {}
    anchor = heard.rounds(ANCHOR) if heard.done else None
    for number in heard.done:
        assert anchor is not None
        results[number] = summarize(
            heard.rounds(number), anchor, threads=target.threads, load_average=load_average, fps=fps
        )
    if heard.ended:
        return results
    guilty = [heard.at] if heard.at in request["numbers"] else request["numbers"]
    for number in guilty:
        results.setdefault(number, Failure(f"{target}: while {_DOING.get(heard.doing, heard.doing)}: {stopped}"))
    return results


_DOING = {"load": "loading", "warm-up": "warming up", "start": "starting", "import": "importing the runtime"}


def _listen(request: dict[str, Any], threads: int, silence_s: float, folder: Path) -> tuple[_Heard, str]:
    """Run one worker to its end: what it said, and why it stopped, should it not have ended by itself."""
    heard, timed_out = _Heard(), False
    with Path(folder, "worker-stderr.txt").open("w+b") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", request["worker"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=worker_environment(threads),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        lines: queue.Queue[bytes] = queue.Queue()
        reader = threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True)
        try:
            reader.start()
            try:
                with process.stdin as stdin:
                    stdin.write(json.dumps(request).encode())
            except BrokenPipeError:
                pass  # it died before reading; its exit status says why
            while line := lines.get(timeout=silence_s):
                heard.take(json.loads(line))
        except queue.Empty:
            timed_out = True
        finally:
            # One that closed its end leaves by itself, with the status that says why.
            _stop(process, grace_s=0.0 if timed_out else _GRACE_S)
            reader.join()
            process.stdout.close()
        errors.seek(0)
        said = errors.read()[-20_000:].decode(errors="replace")
    if timed_out:
        return heard, f"no sign of life for {silence_s:g} s (time-out)"
    return heard, _last_words(process.returncode, said)


def _pump(stream: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    """Lines from the worker to the queue; an empty one says that it has closed its end."""
    for line in stream:
        lines.put(line)
    lines.put(b"")


def _stop(process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """Wait `grace_s` seconds for the worker to leave, then end it."""
    try:
        process.wait(timeout=grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(status: int, said: str) -> str:
    """Why the worker stopped: the signal that ended it, or the last line of its traceback."""
    if status < 0:
        name = signal.Signals(-status).name
        memory = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the worker was ended by {name}{memory}"
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"the worker left with status {status}"
