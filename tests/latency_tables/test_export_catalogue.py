"""Everything that acts on a feature alone exports, and to the operators that were chosen for it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from latency_tables.onnx_export import export_step
from latency_tables.parity import verify_step
from latency_tables.random_weights import randomized
from search_spaces.activations import ACTIVATIONS, GATES
from search_spaces.ops.attention import ATTENTIONS, attention
from search_spaces.ops.dense import conv_bn

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIZE_HW = (33, 45)
CHANNELS = 6


class InARow(nn.Module):
    """A step that carries nothing: parts one after another, each on a normalized feature, their outputs summed."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.units = nn.ModuleList(conv_bn(3, CHANNELS, 3) for _ in parts)
        self.parts = nn.ModuleList(parts)

    def initial_state(self, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
        return ()

    def step(self, frame_BCHW: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        outs = [part(unit(frame_BCHW)) for unit, part in zip(self.units, self.parts, strict=True)]
        return torch.cat(outs, 1), state


class Gated(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, feature: Tensor) -> Tensor:
        return GATES[self.name].function(feature)


def _parts() -> list[nn.Module]:
    acts = [ACTIVATIONS[name].make(CHANNELS) for name in ACTIVATIONS]
    for act in acts:
        for slope_C in act.parameters():  # as after training: a slope a channel, one of them above 1
            nn.init.uniform_(slope_C, -0.5, 1.5)
    return [*acts, *(Gated(name) for name in GATES), *(attention(name, CHANNELS)[0] for name in ATTENTIONS)]


def test_every_activation_gate_and_attention_exports(tmp_path: Path) -> None:
    model = randomized(lambda: InARow(_parts()), seed=0)
    export_step(model, SIZE_HW, tmp_path / "m.onnx", {})
    parity = verify_step(model, tmp_path / "m.onnx", SIZE_HW, seed=1)
    assert parity.relative < 1e-6
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "m.onnx")).graph.node]
    assert not {"PRelu", "Elu", "Mish", "Softplus", "Erf"} & set(kinds), "slow in onnxruntime"
    assert kinds.count("HardSwish") == 2
    assert kinds.count("HardSigmoid") == 4  # the gate, both squeezes, the axial one
    assert kinds.count("Gelu") == 2
    assert kinds.count("Clip") == 3  # ReLU6, and the exponents of ELU and Mish
