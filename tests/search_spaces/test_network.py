"""The model contract, over every block, convolution, activation, preset and random architectures."""

import random
from dataclasses import replace
from typing import Literal

import pytest
import torch

from search_spaces.activations import ACTIVATIONS
from search_spaces.architecture import (
    Activation,
    Block,
    ConvSpec,
    StageSpec,
    TemporalSite,
)
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.decisions import sample
from search_spaces.op_catalogue import typical_stage
from search_spaces.ops.blocks import BLOCKS
from search_spaces.ops.registry import CONVS
from search_spaces.presets import PRESETS
from search_spaces.video_cells import VideoCells
from tests.search_spaces.small_networks import TOLERANCE, built, clip_of, largest_difference, network


@pytest.mark.parametrize("factorization", sorted(CONVS))
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (1, 4)])
def test_every_convolution_keeps_its_shape_and_learns(
    factorization: str, kernel: int, stride: int, dilation: int
) -> None:
    op = CONVS[factorization](8, 12, kernel, stride, dilation, "relu")
    out = op(torch.randn(2, 8, 13, 10, generator=torch.Generator().manual_seed(0)))
    assert out.shape == (2, 12, -(-13 // stride), -(-10 // stride))
    out.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in op.parameters())


@pytest.mark.parametrize("block", sorted(BLOCKS))
@pytest.mark.parametrize("act", sorted(ACTIVATIONS))
@pytest.mark.parametrize("stride", [1, 2])
def test_every_block_keeps_its_shape_and_learns(block: Block, act: Activation, stride: Literal[1, 2]) -> None:
    for stage in (typical_stage(block, 12, stride, act), *_forms(block, stride)):
        for in_channels in (8, 12):
            module = BLOCKS[block](stage, in_channels, stride)
            out = module(torch.randn(2, in_channels, 9, 11, generator=torch.Generator().manual_seed(0)))
            assert out.shape == (2, 12, -(-9 // stride), -(-11 // stride))
            out.square().sum().backward()
            assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())


def _forms(block: Block, stride: Literal[1, 2]) -> list[StageSpec]:
    """Further stages of a block that has several forms, with the widest kernel and dilation it takes."""
    if block != "universal_inverted_bottleneck":
        kernel: Literal[3, 5] = 3 if block == "inception" else 5
        stage = typical_stage(block, 12, stride)
        return [replace(stage, conv=replace(stage.conv, kernel=kernel, dilation=4))]
    conv = ConvSpec("depthwise_separable", 5, 2)
    before = replace(typical_stage(block, 12, stride), depthwise="before", conv=conv)
    return (
        [before] if stride == 2 else [before, replace(before, depthwise="none", conv=ConvSpec("depthwise_separable"))]
    )


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_streams(name: str) -> None:
    assert largest_difference(built(PRESETS[name].architecture), clip_of(2, 64, 96)) < TOLERANCE


@pytest.mark.parametrize("seed", range(8))
def test_random_members_stream_and_learn(seed: int) -> None:
    architecture = sample(VideoCells(), random.Random(seed)).architecture
    model = built(architecture)
    assert largest_difference(model, clip_of(3, 45, 61)) < TOLERANCE
    model.train()
    # With a schedule, until a cell that is stepped once a cycle has a past to look at.
    model(clip_of(max(2, model.warmup_frames + 1, 2 * model.num_phases), 33, 40)).square().mean().backward()
    for name, parameter in model.named_parameters():
        if name.startswith("keyframes.gate."):  # learns from a loss of its own: tests/evaluators/test_change_loss.py
            continue
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.slow
def test_three_hundred_random_members_stream() -> None:
    rng = random.Random(100)
    for _ in range(300):
        architecture = sample(VideoCells(), rng).architecture
        assert largest_difference(built(architecture), clip_of(2, 33, 47)) < TOLERANCE, architecture.to_json()


def test_a_clip_can_be_continued() -> None:
    model = built(network(temporal=(TemporalSite("decoder", ConvGRUSpec()),)))
    clip = clip_of(5, 40, 40)
    with torch.no_grad():
        first, state = model.roll(clip[:, :2], model.initial_state(2, 40, 40))
        second, _ = model.roll(clip[:, 2:], state)
        whole = model(clip)
    assert (torch.cat([first, second], 1) - whole).abs().max() < TOLERANCE


def test_too_small_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"31x64 given; each side must be at least 32"):
        built(network()).initial_state(1, 31, 64)


def test_a_state_of_another_network_is_refused() -> None:
    model = built(network())
    with pytest.raises(ValueError, match=r"state has 1 tensors; this network carries 0"):
        model.step(torch.rand(1, 3, 32, 32), (torch.zeros(1),))
