"""A graph a phase: exported, switched, timed; every schedule that is listed equals torch over two cycles."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from latency_tables.device import Target
from latency_tables.measurement import Measurement, TimingProtocol
from latency_tables.onnx_export import export_phases, read_metadata
from latency_tables.parity import random_frames, verify_step
from latency_tables.protocol import measure
from latency_tables.random_weights import build_random
from latency_tables.runtimes.base import Candidate
from latency_tables.runtimes.registry import RUNTIMES, load_runtime
from search_spaces.change_gate import gate_of
from search_spaces.network import VideoSegmenter
from tests.search_spaces.scheduled_networks import SCHEDULED, with_cells

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIZE_HW = (50, 70)
NUM_CLASSES = 5
LEARNED = "unet-learned_keyframes-2-warp"
FEW = ("skip_add-clockwork-1-2-2", "detail-keyframes-2-warp", "skip_add-distributed-2-concat", LEARNED)


def _network(name: str) -> VideoSegmenter:
    model = build_random(with_cells(SCHEDULED[name]), NUM_CLASSES, seed=3)
    if model.keyframes is not None and model.keyframes.warps:
        # New motions are too small to see in the scores.
        nn.init.normal_(model.keyframes.motion[-1].weight, std=0.1)  # type: ignore[arg-type]
    return model


Exported = Callable[[str], tuple[VideoSegmenter, tuple[Path, ...]]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Networks by name with their files, each exported once."""
    known: dict[str, tuple[VideoSegmenter, tuple[Path, ...]]] = {}

    def get(name: str) -> tuple[VideoSegmenter, tuple[Path, ...]]:
        if name not in known:
            model = _network(name)
            path = tmp_path_factory.mktemp("schedules") / "model.onnx"
            known[name] = model, export_phases(model, SIZE_HW, path, {"who": name})
        return known[name]

    return get


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SCHEDULED))
def test_every_schedule_equals_torch_over_two_cycles(name: str, tmp_path: Path) -> None:
    model = _network(name)
    paths = export_phases(model, SIZE_HW, tmp_path / "model.onnx", {"who": name})
    assert verify_step(model, paths, SIZE_HW, seed=1).ok


@pytest.mark.parametrize("runtime", [name for name, info in RUNTIMES.items() if info.needs_onnx])
@pytest.mark.parametrize("name", FEW)
def test_every_runtime_switches_the_graphs(name: str, runtime: str, exported: Exported) -> None:
    if not RUNTIMES[runtime].present:
        pytest.skip(f"{runtime} is absent")
    model, paths = exported(name)
    assert verify_step(model, paths, SIZE_HW, seed=1, runtime=runtime).ok
    step = load_runtime(runtime).load(Candidate(SIZE_HW, tuple(map(str, paths))), "f32", 1)
    assert step.num_phases == model.num_phases
    frames = random_frames(SIZE_HW, 3, seed=0)
    once = [step.step(frame).copy() for frame in frames]
    step.reset()  # in the middle of a cycle: phase 0 and no past again
    assert all((step.step(frame) == wanted).all() for frame, wanted in zip(frames, once, strict=True))


def test_the_files_say_which_phases_they_are(exported: Exported) -> None:
    """Phases that compute the same are one file."""
    name = "skip_add-keyframes-3-copy"
    _, paths = exported(name)
    assert [path.name for path in paths] == ["model.phase0.onnx", "model.phase1.onnx", "model.phase1.onnx"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["model.phase0.onnx", "model.phase1.onnx"]
    found = [read_metadata(path) for path in paths[:2]]
    assert [(facts["phases"], facts["num_phases"], facts["who"]) for facts in found] == [
        ("[0]", "3", name),
        ("[1, 2]", "3", name),
    ]
    copying = {node.op_type for node in onnx.load(str(paths[1])).graph.node}
    assert "Conv" not in copying


def test_a_network_without_a_schedule_is_one_file(tmp_path: Path, gru_architecture: object) -> None:
    model = build_random(gru_architecture, NUM_CLASSES, seed=0)  # type: ignore[arg-type]
    assert export_phases(model, SIZE_HW, tmp_path / "model.onnx", {}) == (tmp_path / "model.onnx",)
    assert "phases" not in read_metadata(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", FEW)
def test_phases_in_another_order_fail_verification(name: str, exported: Exported) -> None:
    model, (first, second) = exported(name)
    assert not verify_step(model, (second, first), SIZE_HW, seed=1).ok
    with pytest.raises(ValueError, match="1 files given for a network of 2 phases"):
        verify_step(model, first, SIZE_HW, seed=1)


@pytest.mark.parametrize("runtime", [name for name, info in RUNTIMES.items() if info.needs_onnx])
def test_a_gate_that_says_something_else_fails_verification(runtime: str, exported: Exported) -> None:
    """Its score is in no logits, yet whoever runs the files decides by it."""
    if not RUNTIMES[runtime].present:
        pytest.skip(f"{runtime} is absent")
    model, paths = exported(LEARNED)
    other = copy.deepcopy(model)
    gate = gate_of(other)
    assert gate is not None
    assert gate.judge.bias is not None
    nn.init.zeros_(gate.judge.bias)
    assert not verify_step(other, paths, SIZE_HW, seed=1, runtime=runtime).ok


def test_phases_of_other_shapes_are_refused(exported: Exported) -> None:
    paths = [str(exported(name)[1][0]) for name in FEW[:2]]
    for runtime in ("onnxruntime", "openvino"):
        if RUNTIMES[runtime].present:
            with pytest.raises(ValueError, match="phase 1 takes and gives"):
                load_runtime(runtime).load(Candidate(SIZE_HW, tuple(paths)), "f32", 1)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_phases_are_timed_one_by_one(runtime: str, quick: TimingProtocol, exported: Exported) -> None:
    name = "skip_add-keyframes-3-copy"
    model, paths = exported(name)
    text = with_cells(SCHEDULED[name]).to_json()
    files = tuple(map(str, paths)) if runtime == "onnxruntime" else ()
    candidate = Candidate(SIZE_HW, files, text, NUM_CLASSES)
    (found,) = measure([candidate], Target(runtime, "f32", 1, "thiscpu"), quick, seed=0)
    assert isinstance(found, Measurement), found
    assert len(found.phases) == model.num_phases == 3
    latencies_ms = [phase.cpu_p10_ms for phase in found.phases]
    assert found.latency_ms == pytest.approx(sum(latencies_ms) / 3)
    assert found.latency_worst_ms == max(latencies_ms) >= found.latency_ms
    assert len({phase.n for phase in found.phases}) == 1
    assert found.state_bytes == 4 * sum(tensor.numel() for tensor in model.initial_state(1, *SIZE_HW))


def test_random_weights_give_every_stage_statistics() -> None:
    """Also those that phase 0 does not run."""
    for name in (*FEW, "unet-clockwork-4-4-4", "skip_add-distributed-4-attention"):
        model = build_random(SCHEDULED[name], NUM_CLASSES, seed=0)
        for module_name, module in model.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_mean.abs().sum() > 0, f"{name} {module_name}"
