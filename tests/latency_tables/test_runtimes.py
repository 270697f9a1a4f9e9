from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from latency_tables import anchor
from latency_tables.onnx_export import export_step
from latency_tables.parity import compare, random_frames
from latency_tables.random_weights import build_random
from latency_tables.runtimes.base import Candidate, Runtime
from latency_tables.runtimes.registry import RUNTIMES, load_runtime
from search_spaces.architecture import Architecture

SIZE_HW = (48, 64)


@pytest.fixture(scope="module")
def network(gru_architecture: Architecture) -> nn.Module:
    return build_random(gru_architecture, 5, seed=7)


@pytest.fixture(scope="module")
def candidate(
    gru_architecture: Architecture, network: nn.Module, tmp_path_factory: pytest.TempPathFactory
) -> Candidate:
    path = tmp_path_factory.mktemp("runtimes") / "model.onnx"
    export_step(network, SIZE_HW, path, {})
    return Candidate(SIZE_HW, (str(path),), gru_architecture.to_json(), 5, weights_seed=7)


@pytest.mark.parametrize("name", list(RUNTIMES))
class TestRuntimeConformance:
    """What every runtime of the registry must do."""

    @pytest.fixture
    def runtime(self, name: str) -> Runtime:
        if not RUNTIMES[name].present:
            pytest.skip(f"{name} is not installed")
        return load_runtime(name)

    def test_state_is_carried_as_in_torch(self, runtime: Runtime, candidate: Candidate, network: nn.Module) -> None:
        step = runtime.load(candidate, "f32", 1)
        parity = compare(network, step, random_frames(SIZE_HW, 6, seed=2), tolerance=1e-5)
        assert parity.ok
        assert parity.logit_range > 0.5

    def test_reset_starts_again(self, runtime: Runtime, candidate: Candidate) -> None:
        step = runtime.load(candidate, "f32", 1)
        frames = random_frames(SIZE_HW, 3, seed=2)
        first = [step.step(frame).copy() for frame in frames]
        second = [step.step(frame).copy() for frame in frames]
        step.reset()
        again = [step.step(frame).copy() for frame in frames]
        assert np.array_equal(first, again)
        assert not np.allclose(first[0], second[0])

    def test_state_bytes(self, runtime: Runtime, candidate: Candidate, network: nn.Module) -> None:
        state = network.initial_state(1, *SIZE_HW)  # type: ignore[operator]
        assert runtime.load(candidate, "f32", 1).state_bytes == sum(t.numel() * 4 for t in state) > 0

    def test_frames_are_left_alone(self, runtime: Runtime, candidate: Candidate) -> None:
        step = runtime.load(candidate, "f32", 1)
        (frame,) = random_frames(SIZE_HW, 1, seed=2)
        before = frame.copy()
        step.step(frame)
        step.synchronize()
        assert np.array_equal(frame, before)

    def test_options_and_version_are_recorded(self, runtime: Runtime, name: str) -> None:
        assert runtime.version()[0].isdigit()
        assert runtime.options("f32", 3)["precision"] == "f32"
        assert "3" in runtime.options("f32", 3).values()

    def test_unknown_precision_is_refused(self, runtime: Runtime, candidate: Candidate) -> None:
        with pytest.raises(ValueError, match="precision 'f8' given, f32 allowed"):
            runtime.load(candidate, "f8", 1)

    def test_candidate_without_a_network_is_refused(self, runtime: Runtime) -> None:
        with pytest.raises(ValueError, match="none given"):
            runtime.load(Candidate(SIZE_HW), "f32", 1)

    def test_anchors_are_one_network(self, runtime: Runtime, tmp_path: Path) -> None:
        anchor.write_anchor(tmp_path / "anchor.onnx")
        step = runtime.load_anchor(tmp_path / "anchor.onnx", 1)
        (frame,) = random_frames(anchor.SIZE_HW, 1, seed=0)
        reference = load_runtime("torch").load_anchor(None, 1).step(frame)
        given = step.step(frame)
        assert np.ptp(reference) > 0
        assert np.max(np.abs(given - reference)) <= 1e-4 * np.ptp(reference)
        assert step.state_bytes == 0


def test_anchor_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    anchor.write_anchor(tmp_path / "a")
    anchor.write_anchor(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_onnxruntime_refuses_another_size_or_frame(candidate: Candidate) -> None:
    pytest.importorskip("onnxruntime")
    runtime = load_runtime("onnxruntime")
    with pytest.raises(ValueError, match=r"size \(64, 64\) asked, the file takes \(48, 64\)"):
        runtime.load(Candidate((64, 64), candidate.onnx_paths), "f32", 1)
    step = runtime.load(candidate, "f32", 1)
    with pytest.raises(ValueError, match=r"frame float64 .* given, float32 .* needed"):
        step.step(np.zeros((1, 3, *SIZE_HW)))  # type: ignore[arg-type]


def test_onnxruntime_refuses_what_is_no_streaming_step(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    kind, helper = onnx.TensorProto.FLOAT, onnx.helper
    graph = helper.make_graph(
        [helper.make_node("Relu", ["image"], ["logits"])],
        "g",
        [helper.make_tensor_value_info("image", kind, [1, 3, *SIZE_HW])],
        [helper.make_tensor_value_info("logits", kind, [1, 3, *SIZE_HW])],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"a streaming step has frame, state_0\.\.n and logits, next_state_0\.\.n"):
        load_runtime("onnxruntime").load(Candidate(SIZE_HW, (str(path),)), "f32", 1)


def test_torch_refuses_train_mode(network: nn.Module) -> None:
    from latency_tables.runtimes.torch_eager import AnchorModule, TorchStep

    with pytest.raises(ValueError, match="the network is in train mode"):
        TorchStep(AnchorModule().train(), anchor.SIZE_HW)
    torch.set_num_threads(1)
