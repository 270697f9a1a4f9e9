from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from latency_tables.onnx_export import (
    OPSET,
    ExportError,
    export_step,
    fold_batch_norms,
    read_metadata,
    step_metadata,
)
from latency_tables.parity import random_frames, verify_step
from latency_tables.random_weights import build_random
from search_spaces.architecture import Architecture, ConvSpec, DecoderSpec, NetworkSpec, StageSpec, StemSpec
from search_spaces.errors import MissingExtraError
from search_spaces.op_catalogue import typical_stage
from search_spaces.ops.blocks import BLOCKS
from search_spaces.ops.registry import CONVS
from search_spaces.presets import preset

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIZE_HW = (50, 70)


class Planted(nn.Module):
    """A step that does what it is told to the running mean of its frames."""

    def __init__(self, rule: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule
        self.mix = nn.Conv2d(6, 3, 1)

    def initial_state(self, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
        return (torch.zeros(batch, 3, height, width),)

    def step(self, frame_BCHW: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        hidden = self.rule(frame_BCHW, state[0])
        return self.mix(torch.cat([frame_BCHW, hidden], 1)), (hidden,)


def _mean(frame: Tensor, hidden: Tensor) -> Tensor:
    return 0.5 * frame + 0.5 * hidden


@pytest.fixture(scope="module")
def exported(gru_architecture: Architecture, tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    model = build_random(gru_architecture, 5, seed=3)
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    export_step(model, SIZE_HW, path, {**step_metadata(gru_architecture, 5, SIZE_HW), "classes": "a,b"})
    return model, path


def test_file_has_the_contract_of_the_model_folder(exported: tuple[nn.Module, Path]) -> None:
    proto = onnx.load(str(exported[1]), load_external_data=False)
    onnx.checker.check_model(proto)
    shapes = {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*proto.graph.input, *proto.graph.output)
    }
    assert shapes["frame"] == (1, 3, *SIZE_HW)
    assert shapes["logits"] == (1, 5, *SIZE_HW)
    states = exported[0].initial_state(1, *SIZE_HW)  # type: ignore[operator]
    assert len(states) == 4  # the average brings a flag with it
    for index, state in enumerate(states):
        assert shapes[f"state_{index}"] == shapes[f"next_state_{index}"] == tuple(state.shape)
    assert {entry.domain: entry.version for entry in proto.opset_import} == {"": OPSET}
    assert [path.name for path in exported[1].parent.iterdir()] == ["model.onnx"]


def test_metadata_comes_back(exported: tuple[nn.Module, Path], gru_architecture: Architecture) -> None:
    found = read_metadata(exported[1])
    assert found["classes"] == "a,b"
    assert Architecture.from_json(found["architecture"]) == gru_architecture
    assert (found["schema"], found["height"], found["width"]) == ("1", "50", "70")


def test_no_path_of_this_machine_is_in_the_file(exported: tuple[nn.Module, Path]) -> None:
    data = exported[1].read_bytes()
    assert b"site-packages" not in data
    assert str(Path(__file__).resolve().parents[2]).encode() not in data
    assert b"stack_trace" not in data


def test_batch_norms_are_folded_and_the_model_is_left_alone(exported: tuple[nn.Module, Path]) -> None:
    kinds = {node.op_type for node in onnx.load(str(exported[1])).graph.node}
    assert "BatchNormalization" not in kinds
    assert any(isinstance(module, nn.BatchNorm2d) for module in exported[0].modules())


def test_folding_changes_nothing_that_is_computed(gru_architecture: Architecture) -> None:
    model = build_random(gru_architecture, 5, seed=4)
    folded = fold_batch_norms(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    frame = torch.rand(1, 3, *SIZE_HW, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, _ = model.step(frame, model.initial_state(1, *SIZE_HW))
        other, _ = folded.step(frame, model.initial_state(1, *SIZE_HW))  # type: ignore[operator]
    assert float((one - other).abs().max()) < 1e-5 * float(one.max() - one.min())


def test_export_computes_what_torch_computes_over_frames(exported: tuple[nn.Module, Path]) -> None:
    parity = verify_step(*exported, SIZE_HW, seed=1)
    assert parity.ok
    assert parity.relative < 1e-5
    assert parity.logit_range > 0.5


def _stages(strides: list[Literal[1, 2]], stages: list[StageSpec]) -> Architecture:
    network = NetworkSpec(
        stem=StemSpec(8),
        stages=tuple(replace(stage, stride=stride) for stage, stride in zip(stages, strides, strict=True)),
        decoder=DecoderSpec("bilinear", 8),
    )
    return Architecture(network)


_CONVOLUTIONS = [StageSpec("plain", 2, 16, 1, ConvSpec(name)) for name in CONVS]  # type: ignore[arg-type]
_BLOCKS = [replace(typical_stage(block, 16), depth=2) for block in BLOCKS]
ALL_OPERATIONS = {
    "convolutions": _stages([2, 1, 1, 1, 1], _CONVOLUTIONS[:5]),
    "more_convolutions": _stages([2] * 3 + [1] * (len(CONVS) - 8), _CONVOLUTIONS[5:]),
    "strided_blocks": _stages([2] * 4, [replace(stage, channels=24) for stage in _BLOCKS[:4]]),
    "more_strided_blocks": _stages([2] * 4, [replace(stage, channels=24) for stage in _BLOCKS[4:8]]),
    "bottlenecks": _stages([2] * (len(BLOCKS) - 8), [replace(stage, channels=24) for stage in _BLOCKS[8:]]),
}
"""Every convolution and block; blocks first at a stride and then as they repeat."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_OPERATIONS)
def test_every_operation_is_exported_as_torch_computes_it(name: str, tmp_path: Path) -> None:
    model = build_random(ALL_OPERATIONS[name], 5, seed=1)
    export_step(model, (101, 131), tmp_path / "m.onnx", {})
    assert verify_step(model, tmp_path / "m.onnx", (101, 131), seed=1, num_frames=2).ok


def test_fused_branches_are_single_convolutions_in_the_file(tmp_path: Path) -> None:
    def operators(factorization: Literal["dense", "reparameterized"]) -> list[str]:
        architecture = _stages([2], [StageSpec("residual", 2, 8, 1, ConvSpec(factorization))])
        export_step(build_random(architecture, 3, seed=0), (32, 32), tmp_path / "m.onnx", {})
        return [node.op_type for node in onnx.load(str(tmp_path / "m.onnx")).graph.node]

    assert operators("reparameterized") == operators("dense")


def test_equal_seeds_give_equal_files(gru_architecture: Architecture, tmp_path: Path) -> None:
    for name in ("a", "b"):
        torch.rand(3)  # torch's own state must not matter
        model = build_random(gru_architecture, 5, seed=9)
        export_step(model, (32, 32), tmp_path / name, {})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda frame, hidden: 0.5 * frame + 0.499 * hidden, id="the state decays otherwise"),
        pytest.param(lambda frame, hidden: 0.5 * frame, id="the state is not carried"),
        pytest.param(lambda frame, hidden: _mean(frame, hidden) * torch.nan, id="not finite"),
    ],
)
def test_a_mismatch_fails_verification(other: Callable[[Tensor, Tensor], Tensor], tmp_path: Path) -> None:
    planted, honest = Planted(other).eval(), Planted(_mean).eval()
    honest.load_state_dict(planted.state_dict())
    export_step(planted, (32, 32), tmp_path / "m.onnx", {})
    parity = verify_step(honest, tmp_path / "m.onnx", (32, 32), seed=0)
    assert not parity.ok
    assert parity.relative > 1e-4
    export_step(honest, (32, 32), tmp_path / "h.onnx", {})
    assert verify_step(honest, tmp_path / "h.onnx", (32, 32), seed=0).ok


def test_unexportable_operator_is_named(tmp_path: Path) -> None:
    def eigenvalues(frame: Tensor, hidden: Tensor) -> Tensor:
        return hidden + torch.linalg.eigvals(frame[0, 0]).real.sum()

    with pytest.raises(ExportError, match=r"^operator aten[.:]+linalg_eig\S* cannot be exported to ONNX$"):
        export_step(Planted(eigenvalues).eval(), (32, 32), tmp_path / "m.onnx", {})
    assert not (tmp_path / "m.onnx").exists()


def test_control_flow_on_data_says_where_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def branch(frame: Tensor, hidden: Tensor) -> Tensor:
        return frame if frame.sum() > 0 else hidden

    with pytest.raises(ExportError, match=r"cannot be traced \(.*data-dependent"):
        export_step(Planted(branch).eval(), (32, 32), tmp_path / "m.onnx", {})
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_train_mode_is_refused(tmp_path: Path) -> None:
    model = Planted(_mean).eval()
    model.mix.train()
    with pytest.raises(ExportError, match=r"^mix is in train mode"):
        export_step(model, (32, 32), tmp_path / "m.onnx", {})


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_absent_exporter_names_the_extra(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"needs {package}, .*vidseg-nas\[onnx\]"):
        export_step(Planted(_mean).eval(), (32, 32), tmp_path / "m.onnx", {})


def test_random_weights_keep_the_signal_alive(gru_architecture: Architecture) -> None:
    model = build_random(gru_architecture, 5, seed=0)
    assert not any(module.training for module in model.modules())
    frame = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, _ = model.step(frame, model.initial_state(1, 64, 64))
    assert np.ptp(logits.numpy()) > 0.1


def test_resizing_large_frames_is_no_mismatch(tmp_path: Path) -> None:
    """Float32 coordinates of large frames are coarse; the frames of the check must not turn that into a failure."""
    network = NetworkSpec(
        stem=StemSpec(4),
        stages=(StageSpec("plain", 1, 4, 2),),
        decoder=DecoderSpec("bilinear", 4),
        input_scale="3/4",
    )
    model = build_random(Architecture(network), 3, seed=0)
    export_step(model, (720, 1280), tmp_path / "m.onnx", {})
    parity = verify_step(model, tmp_path / "m.onnx", (720, 1280), seed=0, num_frames=2)
    assert parity.ok
    assert parity.relative < 3e-5


@pytest.mark.parametrize("scale", ["1", "3/4", "1/2"])
def test_no_channel_explodes_on_frames_of_another_size(scale: Literal["1", "3/4", "1/2"]) -> None:
    spec = replace(preset("plain_small").architecture.video, input_scale=scale)
    model = build_random(Architecture(spec), 5, seed=0)
    (frame,) = random_frames((256, 320), 1, seed=0)
    with torch.no_grad():
        logits, _ = model.step(torch.from_numpy(frame), model.initial_state(1, 256, 320))
    assert 0.1 < np.ptp(logits.numpy()) < 1000


def test_a_kernel_wider_than_the_map_leaves_no_channel_to_explode() -> None:
    wide = StageSpec("residual", 4, 16, 2, ConvSpec("depthwise_separable", 5, 4))
    stages = (*(StageSpec("plain", 1, 8, 2),) * 3, wide)
    spec = NetworkSpec(stem=StemSpec(8), stages=stages, decoder=DecoderSpec("bilinear", 8), input_scale="1/2")
    model = build_random(Architecture(spec), 5, seed=0)
    (frame,) = random_frames((512, 640), 1, seed=0)
    with torch.no_grad():
        logits, _ = model.step(torch.from_numpy(frame), model.initial_state(1, 512, 640))
    assert 0.1 < np.ptp(logits.numpy()) < 1000
