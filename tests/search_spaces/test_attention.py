"""The attention of a stage's output: conformance over all there are, and the formula of each."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, Attention, DecoderSpec, NetworkSpec, StageSpec, StemSpec
from search_spaces.network import build
from search_spaces.ops.attention import ATTENTIONS, SpatialAttention, SqueezeExcitation, attention
from search_spaces.stage_questions import joined
from search_spaces.trace import num_macs, num_parameters

CHANNELS = 12


def _network(kind: str) -> Architecture:
    stage = StageSpec("plain", 2, CHANNELS, 2, attention=kind)  # type: ignore[arg-type]
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

    def test_stands_once_at_the_end_of_a_stage_and_streams(self, kind: str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build(_network(kind), 3).eval()
        stage = model.stages[0]
        assert isinstance(stage, nn.Sequential)
        assert [type(part) is type(attention(kind, CHANNELS)[0]) for part in stage] == [False, False, True]
        clip = torch.rand(1, 3, 3, 37, 51, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            whole = model(clip)
            alone = torch.stack([model.step(frame, ())[0] for frame in clip.unbind(1)], 1)
        torch.testing.assert_close(whole, alone, atol=1e-4, rtol=0)


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
