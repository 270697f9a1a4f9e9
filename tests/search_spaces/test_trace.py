"""The trace: what it lists is what a real step runs; its MACs are fvcore's."""

import random
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from search_spaces.activations import ACTIVATIONS
from search_spaces.architecture import Architecture, DecoderSpec, NetworkSpec, StageSpec, StemSpec
from search_spaces.decisions import sample
from search_spaces.fuse import fuse_branches
from search_spaces.network import VideoSegmenter, build
from search_spaces.presets import PRESETS
from search_spaces.trace import num_macs, num_parameters, op_calls, state_bytes
from search_spaces.video_cells import VideoCells

SIZE = (60, 84)


class _OneStep(nn.Module):
    def __init__(self, model: VideoSegmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, frame_BCHW: Tensor) -> Tensor:
        return self.model.step(frame_BCHW, self.model.initial_state(1, *SIZE))[0]


@pytest.mark.parametrize("seed", range(12))
def test_traced_convolutions_are_those_a_real_step_runs(seed: int) -> None:
    architecture = sample(VideoCells(), random.Random(seed)).architecture
    model = build(architecture, 7).eval()
    fuse_branches(model)
    seen = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        seen.append((module.in_channels, module.out_channels, tuple(output.shape[-2:]), module.kernel_size))

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)  # type: ignore[arg-type]
    with torch.no_grad():
        _OneStep(model)(torch.rand(1, 3, *SIZE))
    traced = [
        (call.in_channels, call.out_channels, call.out_hw, call.kernel_hw)
        for call in op_calls(architecture, SIZE, 7)
        if call.kind == "conv"
    ]
    assert traced == seen


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_macs_agree_with_fvcore(name: str) -> None:
    from fvcore.nn import FlopCountAnalysis

    architecture = PRESETS[name].architecture
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(_OneStep(build(architecture, 7).eval()), torch.rand(1, 3, *SIZE))
        analysis.unsupported_ops_warnings(False)
        theirs = analysis.by_operator()["conv"]
    calls = op_calls(architecture, SIZE, 7)
    assert sum(call.macs for call in calls if call.kind == "conv") == theirs
    attends = name in ("pidnet_s_like", "seaformer_like")  # products of two features: tests of their own count those
    assert (num_macs(architecture, SIZE, 7) > theirs) == attends


def test_a_convolution_absorbs_norm_sum_and_activation() -> None:
    calls = op_calls(PRESETS["plain_small"].architecture, SIZE, 7)
    fused = {call.fused for call in calls if call.kind == "conv"}
    assert ("batch_norm", "relu") in fused
    assert ("batch_norm", "add", "relu") in fused
    assert not any(call.kind in ("batch_norm", "relu") for call in calls)
    assert calls[-1].kind == "resize"
    assert calls[-1].out_hw == SIZE


def test_activations_are_told_apart() -> None:
    """Else a latency table would have one row for two that cost differently, as the two forms of GELU do."""
    network = PRESETS["plain_small"].architecture.video
    listed = {
        op_calls(Architecture(replace(network, stem=replace(network.stem, activation=name))), SIZE, 7)  # type: ignore[arg-type]
        for name in ACTIVATIONS
    }
    assert len(listed) == len(ACTIVATIONS)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS.keys() - {"low_cost_swish"}))
def test_a_convolution_absorbs_every_activation_of_one_operation(name: str) -> None:
    stage = StageSpec("residual", 2, 8, 2, activation=name)  # type: ignore[arg-type]
    network = NetworkSpec(StemSpec(8, name), (stage,), DecoderSpec("bilinear", 8, activation=name))  # type: ignore[arg-type]
    kinds = {call.kind for call in op_calls(Architecture(network), SIZE, 7)}
    assert kinds == {"conv", "resize", "sub", "div"}  # the frame's normalization is all that stands alone


def test_parameters_and_state_are_those_of_the_module() -> None:
    architecture = sample(VideoCells(), random.Random(5)).architecture
    model = build(architecture, 7)
    assert num_parameters(architecture, 7) == sum(p.numel() for p in model.parameters())
    assert state_bytes(architecture, SIZE, 7) == sum(4 * s.numel() for s in model.initial_state(1, *SIZE))
