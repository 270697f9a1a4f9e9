"""The parts that experts' designs brought: their formulas, and what has another spelling or cannot be built.

What the five designs with a plain module use is held against those by test_presets_equal.py.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.architecture import ConvSpec, DecoderSpec, DetailSpec, NetworkSpec, StageSpec, StemSpec
from search_spaces.detail_fusions import DETAIL_FUSIONS, Meeting
from search_spaces.exchanges import EXCHANGES
from search_spaces.network import VideoSegmenter
from search_spaces.presets import PRESETS
from search_spaces.trace import calls_of
from tests.search_spaces.network_kinds import BASE, KINDS


def _feature(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _enlarged(feature: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(feature, (height, width), mode="bilinear", align_corners=False)


@torch.no_grad()
def _as_trained(module: nn.Module) -> Any:
    random = torch.Generator().manual_seed(7)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.3, generator=random)
            norm.running_var.uniform_(0.3, 2.0, generator=random)
    return module.eval()


class TestExchanges:
    @torch.no_grad()
    def test_bilateral_adds_each_to_the_other(self) -> None:
        """Over a factor of 4: down by two strided convolutions, activated between and in front, not behind."""
        part = _as_trained(EXCHANGES["bilateral"](4, (6, 8), ("relu", "silu")))
        fine, coarse = _feature(1, 4, 9, 11), _feature(1, 8, 3, 3, seed=1)
        given = fine.clone(), coarse.clone()
        down = fine.relu()
        for index in range(2):
            conv, norm = part.down[index][0], part.down[index][1]
            assert conv.stride == (2, 2)
            down = norm(F.conv2d(down, conv.weight, None, 2, 1))
            down = F.silu(down) if index == 0 else down
        up = _enlarged(part.up(F.silu(coarse)), 9, 11)
        found = part(fine, coarse)
        torch.testing.assert_close(found[0], fine + up)
        torch.testing.assert_close(found[1], coarse + down)
        assert torch.equal(fine, given[0])
        assert torch.equal(coarse, given[1])

    @torch.no_grad()
    def test_pixel_attention_takes_where_both_agree(self) -> None:
        part = _as_trained(EXCHANGES["pixel_attention"](4, (8,), ("relu", "relu")))
        fine, coarse = _feature(1, 4, 6, 8), _feature(1, 8, 3, 4, seed=1)
        compressed = part.compress(coarse.relu())
        one, other = part.fine_key(fine), _enlarged(part.coarse_key(compressed), 6, 8)
        assert one.shape[1] == 2
        share = torch.sigmoid((one * other).sum(1, keepdim=True))
        found, kept = part(fine, coarse)
        torch.testing.assert_close(found, share * _enlarged(compressed, 6, 8) + (1 - share) * fine)
        assert torch.equal(kept, coarse)

    @torch.no_grad()
    def test_the_products_of_pixel_attention_are_counted(self) -> None:
        with torch.device("meta"):
            part = EXCHANGES["pixel_attention"](4, (8,), ("relu", "relu")).eval()
            calls = calls_of(lambda: part(torch.empty(1, 4, 6, 8), torch.empty(1, 8, 3, 4)))
        assert sum(call.macs for call in calls) == 8 * 4 * 12 + 4 * 2 * 12 + 4 * 2 * 48 + 2 * 48


class TestFusions:
    @pytest.mark.parametrize("ratio", [2, 4, 8])
    @torch.no_grad()
    def test_guided_aggregation_gates_at_both_resolutions(self, ratio: int) -> None:
        part = _as_trained(DETAIL_FUSIONS["guided_aggregation"](Meeting(4, 6, 8, ratio, "relu")))
        detail, context = _feature(1, 4, 16, 24), _feature(1, 6, 16 // ratio, 24 // ratio, seed=1)
        coarse = part.detail_down[0](detail)
        while coarse.shape[-1] > 24 // ratio:
            coarse = F.avg_pool2d(coarse, 3, 2, 1, count_include_pad=False)
        coarse = coarse * torch.sigmoid(part.context_kept(context))
        fine = part.detail_kept(detail) * torch.sigmoid(_enlarged(part.context_up(context), 16, 24))
        torch.testing.assert_close(part(detail, context), part.mix(fine + _enlarged(coarse, 16, 24)))

    @torch.no_grad()
    def test_modulation_is_a_gate_from_the_context(self) -> None:
        part = _as_trained(DETAIL_FUSIONS["modulate"](Meeting(4, 6, 8, 4, "relu")))
        detail, context = _feature(1, 4, 16, 24), _feature(1, 6, 4, 6, seed=1)
        gate = (part.context(context) / 6 + 0.5).clamp(0, 1)
        torch.testing.assert_close(part(detail, context), part.detail(detail) * _enlarged(gate, 16, 24))


@torch.no_grad()
def test_where_branches_exchange_the_activation_comes_behind() -> None:
    """The stages beside end linearly; what a stage's successor gets, and the branch's, is activated."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = VideoSegmenter(PRESETS["ddrnet_like"].architecture.video, 5)
    _as_trained(model)
    features, branch = [model.stem(_feature(1, 3, 64, 96))], None
    for index in range(6):
        feature, branch = model.run_stage(index, features, branch)
        assert (branch is None) == (index < 3)
        linear = bool((feature < 0).any())
        assert linear == (index == 5)
        assert branch is None or bool((branch < 0).any()) == linear
        features.append(feature)
    assert branch is not None
    assert branch.shape == (1, 128, 8, 12)
    assert [type(part) for part in model.stages[3][-1].act] == []
    assert [type(part) for part in model.stages[2][-1].act] == [nn.ReLU]


def _stage(**fields: Any) -> StageSpec:
    return StageSpec(**{"block": "inverted_residual", "depth": 1, "channels": 24, "stride": 1,
                        "conv": ConvSpec("depthwise_separable"), **fields})  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "in_channels", "message"),
    [
        (_stage(hidden=48), 24, "hidden 48 given; that is expansion 2, leave hidden null"),
        (_stage(hidden=24, depth=2), 24, "hidden 24 given; that is expansion 1"),
        (_stage(block="bottleneck", conv=ConvSpec(), hidden=8), 24, "hidden 8 given; that is the quarter without it"),
        (_stage(block="pooled_bottleneck", conv=ConvSpec()), 24, "from 24 to 24 .* at stride 1; that is a 'bottle"),
        (_stage(block="pooled_bottleneck", conv=ConvSpec(), stride=2), 32, "from 32 to 24 .* must not be smaller"),
    ],
)
def test_a_stage_with_another_spelling_is_refused(stage: StageSpec, in_channels: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(BASE, stages=(replace(BASE.stages[0], channels=in_channels), stage))


@pytest.mark.parametrize(
    ("stage", "in_channels"),
    [(_stage(hidden=48, depth=2), 16), (_stage(hidden=72 * 3), 24), (_stage(hidden=40), 24)],
)
def test_what_no_expansion_says_is_hidden(stage: StageSpec, in_channels: int) -> None:
    assert stage.refusal(in_channels) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"expansion": 2, "hidden": 40}, "expansion 2 and hidden 40 given; give one of them"),
        ({"block": "residual", "hidden": 40}, "hidden 40 given; block 'residual' has no channels within"),
        ({"block": "bottleneck", "conv": ConvSpec("grouped")}, "conv.factorization 'grouped' given; block 'bottlen"),
    ],
)
def test_what_a_block_has_not_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _stage(**fields)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvSpec("pointwise", 5), "kernel 5 and dilation 1 given; pointwise has none"),
        (lambda: StemSpec(16, kind="shrunk"), "a shrunk stem has factor 4 or 8, kernel 3"),
        (lambda: StemSpec(16, kind="space_to_depth", factor=8), "space_to_depth has 2 or 4"),
        (lambda: StemSpec(3, kind="conv_pool"), "3 channels given; conv_pool passes 3"),
        (lambda: DecoderSpec("bilinear", 8, depth=1), "only a plain decoder has units"),
        (lambda: DecoderSpec("plain", 8, activation="silu"), "without units .* there is none"),
        (lambda: DecoderSpec("plain", 8, depth=1, conv=ConvSpec("pointwise")), "that is the bilinear one"),
        (lambda: DecoderSpec("plain", 8, 8), "a plain decoder has no skip"),
        (lambda: DetailSpec(8, 0, ConvSpec("grouped")), "detail.conv given; without units"),
        (lambda: DetailSpec(8, 0, activation="silu"), "detail.activation 'silu' given"),
        (lambda: DetailSpec(8, 1, exchange="bilateral"), "0 stages and depth 1 given"),
        (lambda: DetailSpec(8, 0, stages=(_stage(),)), "1 stages and depth 0 given"),
        (lambda: DetailSpec(8, 0, stem=StemSpec(8), stages=(_stage(),)), "end at stride 2; they must end at"),
        (
            lambda: DetailSpec(8, 0, stem=StemSpec(8), stages=(_stage(),), exchange="bilateral"),
            "a branch from the frame has no exchange",
        ),
    ],
)
def test_a_part_with_another_spelling_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def _exchanging(**detail: Any) -> NetworkSpec:
    spec = KINDS["exchange-bilateral-sum"].video
    assert spec.detail is not None
    return replace(spec, detail=replace(spec.detail, **detail))


FINE = StageSpec("residual", 1, 12, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _exchanging(stages=(FINE, FINE)), "detail: 2 stages given, beside the 3 that follow stride 4"),
        (lambda: _exchanging(stages=(FINE, FINE, replace(FINE, block="plain"))), "'plain' .* beside an exchange"),
        (lambda: _exchanging(stages=(FINE, FINE, replace(FINE, channels=16))), "'sum' keeps those of the branch, 16"),
        (lambda: _exchanging(stages=(FINE,) * 2 + (replace(FINE, channels=16),), channels=16), "a sum needs the cont"),
        (lambda: replace(BASE, stem=StemSpec(8, kind="shrunk", factor=4)), "take input_scale"),
        (lambda: replace(BASE, context_channels=12), "only deep_aggregation changes the last stage's 24"),
        (lambda: replace(BASE, context="deep_aggregation", context_channels=24), "context_channels 24 given"),
        (lambda: replace(BASE, decoder=DecoderSpec("plain", 16)), "decoder.channels 16 given; without units .* 24"),
        (
            lambda: replace(BASE, stem=StemSpec(8, kind="shrunk", factor=4), detail=DetailSpec(8, 1)),
            "'shrunk' given without a detail branch from the frame",
        ),
    ],
)
def test_a_network_that_cannot_be_or_has_another_spelling_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
