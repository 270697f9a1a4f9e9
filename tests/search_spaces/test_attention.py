"""The attention of a stage's output: conformance over all there are, and the formula of each."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import (
    Architecture,
    Attention,
    ConvSpec,
    DecoderSpec,
    NetworkSpec,
    StageSpec,
    StemSpec,
)
from search_spaces.network import build
from search_spaces.ops.attention import (
    ATTENTIONS,
    ExpandedSqueezeExcitation,
    SpatialAttention,
    SqueezeExcitation,
    attention,
)
from search_spaces.ops.axial_attention import AxialAttention
from search_spaces.ops.blocks import InvertedResidual
from search_spaces.stage_questions import joined
from search_spaces.stage_spec import WITHIN_BLOCKS
from search_spaces.trace import calls_of, num_macs, num_parameters

CHANNELS = 12
SEPARABLE = ConvSpec("depthwise_separable")


def _network(kind: str) -> Architecture:
    stage = StageSpec("inverted_residual", 2, CHANNELS, 2, SEPARABLE, 2, attention=kind)  # type: ignore[arg-type]
    return Architecture(NetworkSpec(StemSpec(8), (stage,), DecoderSpec("bilinear", 8)))


def _feature(seed: int = 0) -> Tensor:
    return torch.randn(2, CHANNELS, 9, 11, generator=torch.Generator().manual_seed(seed))


def test_none_adds_nothing() -> None:
    assert attention("none", 8) == []


@pytest.mark.parametrize("kind", sorted(ATTENTIONS))
class TestEveryAttention:
    @pytest.mark.parametrize("channels", [1, 3, CHANNELS])
    def test_keeps_shape_and_gates(self, kind: str, channels: int) -> None:
        (module,) = attention(kind, channels)
        feature = _feature()[:, :channels]
        gate = module(feature) / feature
        assert gate.shape == feature.shape
        if kind == "axial":  # it gates what it adds: below
            return
        assert (gate > -1e-6).all()
        assert (gate < 1 + 1e-6).all()

    def test_every_parameter_learns(self, kind: str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            (module,) = attention(kind, CHANNELS)
        module(_feature()).square().sum().backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name

    def test_stands_once_at_the_end_of_a_stage_or_in_every_block_and_streams(self, kind: str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build(_network(kind), 3).eval()
        stage = model.stages[0]
        assert isinstance(stage, nn.Sequential)
        sort = type(attention(kind, CHANNELS)[0])
        within = kind in WITHIN_BLOCKS
        assert [type(part) is sort for part in stage] == [False, False] + [True] * (not within)
        assert [any(type(part) is sort for part in block.modules()) for block in stage[:2]] == [within] * 2
        clip = torch.rand(1, 3, 3, 37, 51, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            whole = model(clip)
            alone = torch.stack([model.step(frame, ())[0] for frame in clip.unbind(1)], 1)
        torch.testing.assert_close(whole, alone, atol=1e-4, rtol=0)


def test_within_a_block_the_expanded_feature_is_gated_behind_the_depthwise_convolution() -> None:
    stage = StageSpec("inverted_residual", 1, CHANNELS, 1, SEPARABLE, 4, attention="expanded_squeeze_excitation")
    block: Any = InvertedResidual(stage, CHANNELS, 1).eval()
    kinds = [type(part) for part in block.body]
    place = kinds.index(ExpandedSqueezeExcitation)
    assert isinstance(block.body[place - 3], nn.Conv2d)
    assert block.body[place - 3].groups == 4 * CHANNELS
    gate = block.body[place]
    assert gate.squeeze.out_channels == 16  # a quarter of 48 is 12, in multiples of 8
    feature = _feature()
    before = block.body[:place](feature)
    expected = feature + block.body[place + 1 :](gate(before))
    torch.testing.assert_close(block(feature), expected)


def test_axial_attention_matches_its_equations() -> None:
    """One head at a time, one row at a time, with sums written out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module: Any = AxialAttention(16).eval()
    feature = torch.randn(1, 16, 5, 7, generator=torch.Generator().manual_seed(0))
    query, key, value = module.query(feature), module.key(feature), module.value(feature)
    assert (query.shape[1], key.shape[1], value.shape[1]) == (8, 8, 16)
    found = []
    for axis, length in ((3, 5), (2, 7)):
        q, k, v = (given.mean(axis)[0] for given in (query, key, value))
        out = torch.zeros(16, length)
        for head in range(4):
            scores = torch.stack([(q[2 * head : 2 * head + 2, i, None] * k[2 * head : 2 * head + 2]).sum(0)
                                  for i in range(length)]) / 2**0.5  # fmt: skip
            for i, weights in enumerate(scores.exp() / scores.exp().sum(1, keepdim=True)):
                out[4 * head : 4 * head + 4, i] = (v[4 * head : 4 * head + 4] * weights).sum(1)
        found.append(out)
    rows, columns = module.rows(found[0][None, :, :, None]), module.columns(found[1][None, :, None, :])
    gate = (module.mix(value + rows + columns) / 6 + 0.5).clamp(0, 1)
    expected = feature + gate * module.detail(torch.cat([query, key, value], 1))
    torch.testing.assert_close(module(feature), expected)


def test_axial_products_are_counted() -> None:
    """16 channels at 6 x 8: heads x (2 keys + 4 values) x (rows^2 + columns^2) beside the convolutions."""
    with torch.device("meta"):
        module = AxialAttention(16).eval()
        calls = calls_of(lambda: module(torch.empty(1, 16, 6, 8)))
    convolutions = 16 * (8 + 8 + 16) * 48 + 32 * 9 * 48 + 32 * 16 * 48 + 16 * 16 * (6 + 8) + 16 * 16 * 48
    assert sum(call.macs for call in calls if call.kind == "conv") == convolutions
    assert sum(call.macs for call in calls) - convolutions == 4 * (2 + 4) * (6**2 + 8**2)


def test_squeeze_excitation_matches_its_equations() -> None:
    module, feature = SqueezeExcitation(CHANNELS), _feature()
    assert module.squeeze.out_channels == CHANNELS // 4
    mean = feature.mean((2, 3))
    hidden = (mean @ module.squeeze.weight[:, :, 0, 0].T + module.squeeze.bias).clamp(min=0)
    gate = ((hidden @ module.excite.weight[:, :, 0, 0].T + module.excite.bias) / 6 + 0.5).clamp(0, 1)
    torch.testing.assert_close(module(feature), feature * gate[:, :, None, None])


def test_spatial_attention_sees_the_mean_and_the_maximum_around_a_pixel() -> None:
    module, feature = SpatialAttention(CHANNELS), _feature()
    y, x = 4, 5
    window = feature[0, :, y - 3 : y + 4, x - 3 : x + 4]
    described = torch.stack([window.mean(0), window.max(0).values])
    assert module.conv.bias is not None
    gate = torch.sigmoid((described * module.conv.weight[0]).sum() + module.conv.bias[0])
    torch.testing.assert_close(module(feature)[0, :, y, x], feature[0, :, y, x] * gate)


@pytest.mark.parametrize(
    ("kind", "parameters", "macs"),
    [("squeeze_excitation", 2 * 3 * CHANNELS + 3 + CHANNELS, 2 * 3 * CHANNELS), ("spatial", 99, 98 * 10 * 13)],
)
def test_what_it_adds_is_counted(kind: str, parameters: int, macs: int) -> None:
    plain, gated = _network("none"), _network(kind)
    assert num_parameters(gated, 3) - num_parameters(plain, 3) == parameters
    assert num_macs(gated, (40, 52), 3) - num_macs(plain, (40, 52), 3) == macs


@pytest.mark.parametrize("first", ["none", "spatial"])
@pytest.mark.parametrize("second", ["none", "squeeze_excitation"])
def test_a_stage_goes_on_until_its_attention(first: Attention, second: Attention) -> None:
    """One network has one spelling: blocks with nothing between them are one stage, a gate between them divides."""
    start = StageSpec("residual", 1, CHANNELS, 2, attention=first)
    following = StageSpec("residual", 2, CHANNELS, 1, attention=second)
    stages = joined([start, following])
    if first == "none":
        assert stages == (replace(start, depth=3, attention=second),)
    else:
        assert stages == (start, following)
    outputs = []
    for spelling in ((start, following), stages):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build(Architecture(NetworkSpec(StemSpec(8), spelling, DecoderSpec("bilinear", 8))), 3).eval()
        with torch.no_grad():
            outputs.append(model(torch.rand(1, 1, 3, 37, 45, generator=torch.Generator().manual_seed(1))))
    assert torch.equal(*outputs)


@pytest.mark.parametrize("first", ["none", "expanded_squeeze_excitation", "spatial"])
@pytest.mark.parametrize("second", ["none", "expanded_squeeze_excitation"])
def test_what_is_within_blocks_has_to_be_the_same_to_go_on(first: Attention, second: Attention) -> None:
    start = StageSpec("inverted_residual", 1, CHANNELS, 2, SEPARABLE, 4, attention=first)
    following = replace(start, depth=2, stride=1, attention=second)
    one = first == second and first != "spatial"
    assert joined([start, following]) == ((replace(start, depth=3),) if one else (start, following))


def test_what_only_inverted_bottlenecks_have_is_refused_elsewhere() -> None:
    with pytest.raises(ValueError, match=r"attention 'expanded_squeeze_excitation' given; only inverted_residual and"):
        StageSpec("residual", 1, 8, 1, attention="expanded_squeeze_excitation")
