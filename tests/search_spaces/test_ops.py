"""Convolutions and blocks against formulas of their own: costs by hand, shuffles, shifts, fused branches, bounds."""

import itertools
from collections.abc import Mapping
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.architecture import Architecture, ConvSpec, DecoderSpec, NetworkSpec, StageSpec, StemSpec
from search_spaces.errors import InputError
from search_spaces.fuse import fuse_branches
from search_spaces.network import build
from search_spaces.op_catalogue import OPS, reference_cost, typical_stage
from search_spaces.ops.blocks import BLOCKS
from search_spaces.ops.registry import CONVS
from search_spaces.trace import num_macs, op_calls

C, HIDDEN, QUARTER, HALF = 64, 256, 16, 32
"""Channels of the reference shape; of an expansion by 4; of a quarter and a half."""

MACS_A_PIXEL: Mapping[str, int] = {
    "dense": 9 * C * C,
    "grouped": 9 * C * C // 4,
    "depthwise_separable": 9 * C + C * C,
    "spatial_separable": 2 * 3 * C * C,
    "depthwise_spatial": 2 * 3 * C + C * C,
    "low_rank": 2 * C * QUARTER + 9 * QUARTER**2,
    "partial": 9 * QUARTER**2 + C * C,
    "shift": C * C,
    "mixed_dilation": 9 * C + C * C,
    "reparameterized": 9 * C * C,
    "plain": 9 * C * C,
    "residual": 2 * 9 * C * C,
    "inverted_residual": 2 * C * HIDDEN + 9 * HIDDEN,
    "universal_inverted_bottleneck": 9 * C + 2 * C * HIDDEN + 9 * HIDDEN,
    "shufflenet_v1": 2 * C * QUARTER // 4 + 9 * QUARTER,
    "shufflenet_v2": 2 * HALF**2 + 9 * HALF,
    "inception": 4 * C * QUARTER + (9 + 25) * QUARTER**2,
    "separable_linear": 9 * C + C * C,
    "pointwise": C * C,
    "bottleneck": 2 * C * QUARTER + 9 * QUARTER**2,
    "pooled_bottleneck": 2 * C * QUARTER + 9 * QUARTER**2,
    "dense_connection": 9 * QUARTER * (C + (C + 16) + (C + 32)) + (C + 48) * C,
}


def _feature(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def _as_trained(module: nn.Module) -> nn.Module:
    """Batch norms with other statistics and factors than fresh ones."""
    random = torch.Generator().manual_seed(7)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.3, generator=random)
            norm.running_var.uniform_(0.3, 2.0, generator=random)
            norm.weight.uniform_(-1.5, 1.5, generator=random)
            norm.bias.normal_(0, 0.3, generator=random)
    return module.eval()


@torch.no_grad()
def _bare(module: nn.Module) -> nn.Module:
    """Batch norms that change nothing, so that only the convolutions remain."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps = 0.0
    return module.eval()


def _weight(module: Any) -> Tensor:
    assert isinstance(module, nn.Conv2d)
    return module.weight.detach()


class TestCosts:
    def test_every_operation_is_counted_by_hand(self) -> None:
        assert set(MACS_A_PIXEL) == set(OPS)

    @pytest.mark.parametrize("name", sorted(OPS))
    def test_multiply_accumulates_are_those_of_the_formula(self, name: str) -> None:
        assert reference_cost(name)[1] == MACS_A_PIXEL[name] * 45 * 60

    def test_parameters_are_the_weights_and_two_a_norm(self) -> None:
        assert reference_cost("dense")[0] == 9 * C * C + 2 * C
        assert reference_cost("reparameterized")[0] == 10 * C * C + 3 * 2 * C

    def test_an_unknown_operation_is_no_operation(self) -> None:
        with pytest.raises(KeyError, match="dilated"):
            reference_cost("dilated")


class TestFusedBranches:
    @pytest.mark.parametrize("act", [None, "hard_swish"])
    @pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (1, 4)])
    @pytest.mark.parametrize("kernel", [3, 5])
    @pytest.mark.parametrize("out_channels", [8, 12])
    @torch.no_grad()
    def test_one_convolution_computes_what_the_branches_do(
        self, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
    ) -> None:
        branches = _as_trained(CONVS["reparameterized"](8, out_channels, kernel, stride, dilation, act))
        feature = _feature(2, 8, 13, 10)
        expected = branches(feature)
        single = fuse_branches(branches)
        kinds = [type(module) for module in single.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
        assert kinds == [nn.Conv2d]
        assert (single(feature) - expected).abs().max() < 1e-5 * max(1.0, float(expected.abs().max()))

    def test_a_network_runs_the_cost_of_its_dense_twin(self) -> None:
        def network(factorization: Literal["dense", "reparameterized"]) -> Architecture:
            stages = (StageSpec("residual", 2, 16, 2, ConvSpec(factorization)),)
            return Architecture(NetworkSpec(StemSpec(8), stages, DecoderSpec("bilinear", 8)))

        one, other = network("reparameterized"), network("dense")
        assert num_macs(one, (45, 61), 3) == num_macs(other, (45, 61), 3)
        assert len(op_calls(one, (45, 61), 3)) == len(op_calls(other, (45, 61), 3))
        model = _as_trained(build(one, 3))
        clip = torch.rand(1, 2, 3, 45, 61, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = model(clip)
            assert (fuse_branches(model)(clip) - expected).abs().max() < 1e-5 * float(expected.abs().max())

    def test_what_still_trains_is_not_fused(self) -> None:
        with pytest.raises(ValueError, match=r"train mode; call eval\(\) before fusing"):
            fuse_branches(nn.Sequential(CONVS["reparameterized"](4, 4, 3, 1, 1, None)))


@torch.no_grad()
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("kernel", [3, 5])
def test_a_shift_moves_each_channel_by_one_of_the_arms_of_the_cross(kernel: int, dilation: int) -> None:
    """Against an index: out[y, x] = in[y - dy, x - dx], zero outside, on a map smaller than the longest move too."""
    channels, height, width = 20, 6, 7
    op = _bare(CONVS["shift"](channels, channels, kernel, 1, dilation, None))
    _weight(op.mix[0]).copy_(torch.eye(channels)[..., None, None])  # type: ignore[index]
    feature = _feature(1, channels, height, width)
    moved = op(feature)
    found = []
    for channel in range(channels):
        matching = []
        for dy, dx in itertools.product(range(-8, 9), repeat=2):
            expected = torch.zeros(height, width)
            for y, x in itertools.product(range(height), range(width)):
                if 0 <= y - dy < height and 0 <= x - dx < width:
                    expected[y, x] = feature[0, channel, y - dy, x - dx]
            if torch.allclose(moved[0, channel], expected):
                matching.append((dx, dy))
        found.append(matching)
    steps = [step * dilation for step in range(1, kernel // 2 + 1)]
    arms = {(0, 0)} | {move for s in steps for move in ((s, 0), (-s, 0), (0, s), (0, -s))}
    visible = {move for move in arms if abs(move[0]) < width and abs(move[1]) < height}
    assert {matching[0] for matching in found if len(matching) == 1} == visible
    assert all(matching for matching in found)


@torch.no_grad()
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 4)])
def test_a_partial_convolution_leaves_three_quarters_alone(stride: int, dilation: int) -> None:
    op: Any = _bare(CONVS["partial"](8, 8, 3, stride, dilation, None))
    _weight(op.mix[0]).copy_(torch.eye(8)[..., None, None])
    feature = _feature(2, 8, 9, 7)
    out = op(feature)
    convolved = F.conv2d(feature[:, :2], _weight(op.spatial), None, stride, dilation, dilation)
    torch.testing.assert_close(out[:, :2], convolved)
    if stride == 1:
        torch.testing.assert_close(out[:, 2:], feature[:, 2:])
    else:
        torch.testing.assert_close(out[:, 2:, 1, 1], feature[:, 2:, 1:4, 1:4].mean((2, 3)))
        torch.testing.assert_close(out[:, 2:, 0, 0], feature[:, 2:, :2, :2].mean((2, 3)))


@torch.no_grad()
def test_mixed_dilation_gives_each_third_its_own() -> None:
    op: Any = _bare(CONVS["mixed_dilation"](8, 8, 3, 1, 1, None))
    _weight(op.mix[0]).copy_(torch.eye(8)[..., None, None])
    feature = _feature(1, 8, 12, 11)
    parts = [
        F.conv2d(feature[:, first:last], _weight(group[0]), None, 1, dilation, dilation, groups=last - first)
        for group, dilation, (first, last) in zip(op.groups, (1, 2, 4), ((0, 3), (3, 6), (6, 8)), strict=True)
    ]
    torch.testing.assert_close(op(feature), torch.cat(parts, 1))


class TestShuffleNet:
    @torch.no_grad()
    def test_half_of_the_channels_pass_and_end_up_in_every_second_place(self) -> None:
        block: Any = _as_trained(BLOCKS["shufflenet_v2"](typical_stage("shufflenet_v2", 8), 8, 1))
        feature = _feature(2, 8, 5, 6)
        out = block(feature)
        assert torch.equal(out[:, 0::2], feature[:, :4])
        torch.testing.assert_close(out[:, 1::2], block.branch(feature[:, 4:]))

    @torch.no_grad()
    def test_after_the_shuffle_every_group_sees_every_group(self) -> None:
        """Four groups of two: channel i of group g stands at i * 4 + g, so neighbours come from all groups."""
        block: Any = _as_trained(BLOCKS["shufflenet_v1"](typical_stage("shufflenet_v1", 32), 32, 1))
        feature = _feature(1, 32, 5, 6)
        given: list[Tensor] = []
        block.expand.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        out = block(feature)
        reduced = block.reduce(feature)
        assert torch.equal(given[0], reduced[:, [0, 2, 4, 6, 1, 3, 5, 7]])
        torch.testing.assert_close(out, torch.relu(feature + block.expand(given[0])))

    @torch.no_grad()
    def test_a_stride_brings_the_averaged_input_along(self) -> None:
        block: Any = _as_trained(BLOCKS["shufflenet_v1"](typical_stage("shufflenet_v1", 24, 2), 8, 2))
        feature = _feature(1, 8, 7, 7).abs()
        out = block(feature)
        torch.testing.assert_close(out[:, :8, 1, 1], feature[:, :, 1:4, 1:4].mean((2, 3)))


@torch.no_grad()
def test_a_dense_layer_sees_the_input_and_all_that_grew() -> None:
    block: Any = _as_trained(BLOCKS["dense_connection"](typical_stage("dense_connection", 8), 8, 1))
    feature = _feature(1, 8, 5, 6)
    one = block.layers[0](feature)
    two = block.layers[1](torch.cat([feature, one], 1))
    three = block.layers[2](torch.cat([feature, one, two], 1))
    torch.testing.assert_close(block(feature), block.transition(torch.cat([feature, one, two, three], 1)))


def _document(stem: int, stage: str) -> str:
    return (
        f'{{"network":{{"kind":"video","stem":{{"channels":{stem}}},"stages":[{{"depth":1,"stride":1,{stage}}}],'
        '"decoder":{"kind":"bilinear","channels":8}}}'
    )


SEPARABLE = '"conv":{"factorization":"depthwise_separable"}'
UNIVERSAL = '"block":"universal_inverted_bottleneck","channels":8'


@pytest.mark.parametrize(
    ("stem", "stage", "message"),
    [
        (6, f'"block":"shufflenet_v1","channels":8,{SEPARABLE}', r"stages.0: shufflenet_v1 from 6 .* multiples of 4"),
        (8, f'"block":"shufflenet_v2","channels":7,{SEPARABLE}', r"stages.0: shufflenet_v2 from 8 to 7 .* be even"),
        (8, '"block":"shufflenet_v2","channels":8', r"conv.factorization 'dense' given; block 'shufflenet_v2' is"),
        (8, '"block":"inception","channels":3', r"stages.0: inception from 8 to 3 .* at least 4"),
        (8, '"block":"inception","channels":8,"conv":{"kernel":5}', r"conv.kernel 5 given; an inception has"),
        (3, '"block":"plain","channels":8,"conv":{"factorization":"partial"}', r"partial from 3 .* at least 4"),
        (2, '"block":"plain","channels":8,"conv":{"factorization":"mixed_dilation"}', r"from 2 to 8 .* at least 3"),
        (
            8,
            '"block":"plain","channels":8,"conv":{"factorization":"mixed_dilation","dilation":2}',
            r"dilation 2 given; mixed_dilation brings its own",
        ),
        (7, '"block":"plain","channels":8,"conv":{"factorization":"shift","kernel":5}', r"shift from 7 .* at least 8"),
        (8, f"{UNIVERSAL},{SEPARABLE}", r"depthwise 'between' given; .* 'before', 'both' or 'none'"),
        (8, '"block":"plain","channels":8,"depthwise":"before"', r"depthwise 'before' given; block 'plain' has"),
        (
            8,
            f'{UNIVERSAL},"conv":{{"factorization":"depthwise_separable","kernel":5}},"depthwise":"none"',
            r"depthwise 'none' given; without one stride and dilation are 1",
        ),
    ],
)
def test_what_cannot_be_built_or_has_another_spelling_is_refused(stem: int, stage: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Architecture.from_json(_document(stem, stage))


def test_what_has_no_stride_of_its_own_is_a_feed_forward_block() -> None:
    stage = f'{UNIVERSAL},"depthwise":"none",{SEPARABLE}'
    network = Architecture.from_json(_document(8, stage)).video
    kernels = [call.kernel_hw for call in op_calls(Architecture(network), (32, 32), 3) if call.kind == "conv"]
    assert kernels == [(3, 3), (1, 1), (1, 1), (1, 1), (1, 1)]
