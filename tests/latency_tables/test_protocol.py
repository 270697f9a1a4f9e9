import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from latency_tables.anchor import write_anchor
from latency_tables.device import Target
from latency_tables.measurement import Failure, Measurement, TimingProtocol
from latency_tables.onnx_export import export_step
from latency_tables.protocol import Candidate, measure, worker_environment
from latency_tables.random_weights import build_random
from search_spaces.architecture import Architecture
from search_spaces.door import dump_json, parse_json
from search_spaces.errors import InputError, MissingExtraError

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

SIZE_HW = (48, 64)


@pytest.fixture(scope="module")
def good(gru_architecture: Architecture, tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    path = tmp_path_factory.mktemp("protocol") / "good.onnx"
    export_step(build_random(gru_architecture, 5, seed=0), SIZE_HW, path, {})
    return Candidate(SIZE_HW, (str(path),), gru_architecture.to_json(), 5)


def _fails_at_run_time(path: Path) -> Candidate:
    """Loads, then fails at its first frame: the row to gather depends on the frame and is far outside."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["frame"], ["top"], keepdims=0),
            helper.make_node("Add", ["top", "far"], ["row_float"]),
            helper.make_node("Cast", ["row_float"], ["row"], to=onnx.TensorProto.INT64),
            helper.make_node("Gather", ["table", "row"], ["picked"]),
            helper.make_node("Add", ["picked", "frame"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("frame", kind, [1, 3, *SIZE_HW])],
        [helper.make_tensor_value_info("logits", kind, [1, 3, *SIZE_HW])],
        [
            onnx.numpy_helper.from_array(np.array(1000.0, np.float32), "far"),
            onnx.numpy_helper.from_array(np.zeros(4, np.float32), "table"),
        ],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    path.write_bytes(model.SerializeToString())
    return Candidate(SIZE_HW, (str(path),))


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_measurement_is_whole(runtime: str, good: Candidate, quick: TimingProtocol) -> None:
    (found,) = measure([good], Target(runtime, "f32", 1, "thiscpu"), quick, seed=0, fps=1e-3)
    assert isinstance(found, Measurement), found
    assert found.n >= quick.min_runs
    assert 0 < found.cpu_min_ms <= found.latency_ms == found.latency_worst_ms == found.cpu_p10_ms <= found.cpu_p50_ms
    assert found.wall_min_ms <= found.wall_p10_ms <= found.wall_p50_ms <= found.wall_p90_ms <= found.wall_p99_ms
    assert 0 <= found.halfwidth_ms < float("inf")
    assert found.anchor_ms > 0
    assert found.deadline_miss_rate == 0.0
    assert found.state_bytes > 0
    assert len(found.phases) == 1
    assert parse_json(Measurement, dump_json(found), "m") == found


def test_more_threads_are_judged_by_wall_time(good: Candidate, quick: TimingProtocol) -> None:
    (found,) = measure([good], Target("onnxruntime", "f32", 2, "thiscpu"), quick, seed=0)
    assert isinstance(found, Measurement)
    assert found.latency_ms == found.wall_p10_ms


def test_bad_candidates_fail_with_their_reason_and_the_others_go_on(
    good: Candidate, target: Target, quick: TimingProtocol, tmp_path: Path
) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"not a graph")
    noise = Candidate(SIZE_HW, (str(tmp_path / "noise.onnx"),))
    missing = Candidate(SIZE_HW, (str(tmp_path / "missing.onnx"),))
    failing = _fails_at_run_time(tmp_path / "failing.onnx")
    results = measure([noise, good, failing, missing, good], target, quick, seed=0)
    assert [type(result) for result in results] == [Failure, Measurement, Failure, Failure, Measurement]
    reasons = [result.reason for result in results if isinstance(result, Failure)]
    assert "while loading" in reasons[0]
    assert "Protobuf" in reasons[0] or "protobuf" in reasons[0]
    assert "while warming up" in reasons[1]
    assert "indices element out of data bounds" in reasons[1]
    assert "No such file" in reasons[2]


def test_a_silent_worker_is_stopped_and_the_reason_says_so(
    good: Candidate, target: Target, quick: TimingProtocol
) -> None:
    hurried = dataclasses.replace(quick, silence_s=0.001)
    (found,) = measure([good], target, hurried, seed=0)
    assert isinstance(found, Failure)
    assert "no sign of life for 0.001 s (time-out)" in found.reason


def test_a_worker_that_dies_is_reported_by_its_signal(
    good: Candidate, target: Target, quick: TimingProtocol, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A site hook ends the process as the kernel would, before it has said whose turn it is.
    (tmp_path / "sitecustomize.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    results = measure([good, good], target, quick, seed=0)
    for found in results:
        assert isinstance(found, Failure)
        assert "while starting: the worker was ended by SIGKILL (out of memory?)" in found.reason


def test_nothing_to_measure(target: Target, quick: TimingProtocol) -> None:
    assert measure([], target, quick, seed=0) == []


def test_another_device_cannot_be_measured_from_here(good: Candidate, quick: TimingProtocol) -> None:
    with pytest.raises(InputError, match="device 'pi5' given, but only 'thiscpu' can be measured from here"):
        measure([good], Target("onnxruntime", "f32", 1, "pi5"), quick, seed=0)


def test_absent_runtime_names_the_extra(
    good: Candidate, target: Target, quick: TimingProtocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"vidseg-nas\[onnx\]"):
        measure([good], target, quick, seed=0)


def test_the_pools_of_the_worker_sleep_while_they_wait() -> None:
    environment = worker_environment(3)
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["PATH"] == os.environ["PATH"]


def test_the_worker_of_onnxruntime_does_without_torch(good: Candidate, quick: TimingProtocol, tmp_path: Path) -> None:
    """The worker runs with torch and pydantic made unimportable; its events come out in order."""
    write_anchor(tmp_path / "anchor.onnx")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['torch'] = None\nsys.modules['pydantic'] = None\n"
    )
    request = {
        "runtime": "onnxruntime",
        "precision": "f32",
        "threads": 1,
        "seed": 0,
        "protocol": dataclasses.asdict(quick),
        "anchor_path": str(tmp_path / "anchor.onnx"),
        "numbers": [4],
        "candidates": [good.to_plain()],
    }
    environment = worker_environment(1)
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "latency_tables.worker"],
        input=json.dumps(request).encode(),
        capture_output=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "end"
    assert events[-1]["options"]["allow_spinning"] == "0"
    blocks = [event["candidate"] for event in events if event["event"] == "block"]
    assert sorted(set(blocks)) == [-1, 4]
    assert blocks.count(-1) == blocks.count(4) >= quick.min_rounds
