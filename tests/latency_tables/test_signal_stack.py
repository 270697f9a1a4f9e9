"""A runtime that takes the stack of signals gives it back: a time-out after it must not kill the process."""

import faulthandler
import gc
import signal
from pathlib import Path

import pytest

from latency_tables.onnx_export import export_step
from latency_tables.random_weights import build_random
from latency_tables.runtimes.base import Candidate
from latency_tables.runtimes.registry import RUNTIMES, load_runtime
from latency_tables.runtimes.signal_stack import signal_stack
from search_spaces.presets import PRESETS

SIZE_HW = (33, 40)


@pytest.mark.parametrize("name", sorted(name for name, info in RUNTIMES.items() if info.needs_onnx))
def test_networks_may_go_in_any_order(name: str, tmp_path: Path) -> None:
    if not RUNTIMES[name].present:
        pytest.skip(f"{name} is absent")
    pytest.importorskip("onnx")
    faulthandler.enable()  # it gives the main thread such a stack
    before = signal_stack()
    export_step(build_random(PRESETS["plain_small"].architecture, 3, seed=0), SIZE_HW, tmp_path / "m.onnx", {})
    candidate = Candidate(SIZE_HW, (str(tmp_path / "m.onnx"),))
    first, second = (load_runtime(name).load(candidate, "f32", 1) for _ in range(2))
    assert signal_stack() == before
    del first
    gc.collect()
    del second
    gc.collect()
    assert signal_stack() == before
    seen: list[int] = []
    former = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, former)
    assert seen == [signal.SIGUSR1]
