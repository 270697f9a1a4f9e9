"""Stems, contexts, decoders, heads and the second branch: the contract over all that is listed, and their formulas."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.architecture import (
    Architecture,
    ConvSpec,
    DecoderSpec,
    DetailSpec,
    StemSpec,
    TemporalSite,
)
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.contexts import BINS, CONTEXTS, DilatedPyramid, PyramidPooling, _pooled, dilations
from search_spaces.decoders import DECODERS, Guided, UNet
from search_spaces.detail import Detail
from search_spaces.errors import InputError
from search_spaces.network import VideoSegmenter, build
from search_spaces.presets import PRESETS
from search_spaces.resizing import logits_hw
from search_spaces.stems import STEMS, PatchConv
from search_spaces.trace import num_macs, op_calls
from tests.search_spaces.network_kinds import BASE, KINDS

TOLERANCE = 1e-4
NUM_CLASSES = 5


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _with_cells(architecture: Architecture) -> Architecture:
    """A memory on the bottleneck, on the last skip or the decoder feature, and on the scores."""
    spec = architecture.video
    places = ("bottleneck", spec.placements[-3] if spec.skip_strides else "decoder", "logits")
    return Architecture(replace(spec, temporal=tuple(TemporalSite(place, ConvGRUSpec(1)) for place in places)))


def _built(architecture: Architecture) -> VideoSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(architecture, NUM_CLASSES)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("name", sorted(KINDS))
class TestEveryKind:
    @pytest.mark.parametrize("size_hw", [(32, 32), (37, 51)])
    def test_a_clip_equals_its_frames_enlarged(self, name: str, size_hw: tuple[int, int]) -> None:
        model = _built(_with_cells(KINDS[name]))
        clip = torch.rand(1, 3, 3, *size_hw, generator=_generator())
        with torch.no_grad():
            whole, carried = model.roll(clip, model.initial_state(1, *size_hw))
            state = model.initial_state(1, *size_hw)
            for t in range(3):
                logits, following = model.step(clip[:, t], state)
                assert tuple(logits.shape[-2:]) == logits_hw(*size_hw, model.spec)
                assert [tensor.shape for tensor in following] == [tensor.shape for tensor in state]
                state = following
                assert (model.upsample(logits, *size_hw) - whole[:, t]).abs().max() < TOLERANCE
        assert whole.shape == (1, 3, NUM_CLASSES, *size_hw)
        assert all((one - other).abs().max() < TOLERANCE for one, other in zip(state, carried, strict=True))

    def test_every_parameter_learns(self, name: str) -> None:
        model = _built(KINDS[name]).train()
        model(torch.rand(2, 2, 3, 45, 61, generator=_generator())).square().mean().backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name

    @pytest.mark.parametrize("scale", ["3/4", "1/2"])
    @pytest.mark.parametrize("size_hw", [(32, 32), (33, 95)])
    def test_the_shapes_promised_are_those_returned(self, name: str, scale: str, size_hw: tuple[int, int]) -> None:
        spec = replace(_with_cells(KINDS[name]).video, input_scale=scale)  # type: ignore[arg-type]
        with torch.device("meta"):
            model = build(Architecture(spec), NUM_CLASSES).eval()
            state = model.initial_state(1, *size_hw)
            logits, following = model.step(torch.empty(1, 3, *size_hw), state)
        assert tuple(logits.shape) == (1, NUM_CLASSES, *logits_hw(*size_hw, spec))
        assert [tensor.shape for tensor in following] == [tensor.shape for tensor in state]

    def test_macs_agree_with_fvcore(self, name: str) -> None:
        import warnings

        from fvcore.nn import FlopCountAnalysis

        size_hw = (60, 84)
        model = _built(KINDS[name])

        class Step(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, frame_BCHW: Tensor) -> Tensor:
                return self.model.step(frame_BCHW, ())[0]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            analysis = FlopCountAnalysis(Step(), torch.rand(1, 3, *size_hw))
            analysis.unsupported_ops_warnings(False)
            theirs = analysis.by_operator()["conv"]
        assert num_macs(KINDS[name], size_hw, NUM_CLASSES) == theirs

    def test_the_record_survives_json(self, name: str) -> None:
        again = Architecture.from_json(KINDS[name].to_json())
        assert again == KINDS[name]
        assert again.key == KINDS[name].key


def test_every_kind_is_another_network() -> None:
    """But the same one met from three sides: the base."""
    same = {"stem-conv-2-3", "context-none", "decoder-skip_add-4-full"}
    keys = {name: architecture.key for name, architecture in KINDS.items()}
    assert {keys[name] for name in same} == {Architecture(BASE).key}
    assert len(set(keys.values())) == len(KINDS) - 2
    for kind in STEMS:
        assert any(name.startswith(f"stem-{kind}-") for name in KINDS)
    for kind in (*CONTEXTS, *DECODERS):
        assert any(kind in name.split("-") for name in KINDS)


class TestStems:
    @pytest.mark.parametrize("factor", [2, 4])
    @pytest.mark.parametrize("kernel", [1, 3])
    @pytest.mark.parametrize("size_hw", [(48, 64), (37, 51)])
    def test_the_strided_form_is_a_space_to_depth(self, factor: int, kernel: int, size_hw: tuple[int, int]) -> None:
        conv = PatchConv(6, factor, kernel)
        with torch.no_grad():
            conv.weight.normal_(generator=_generator())
        frame = torch.rand(2, 3, *size_hw, generator=_generator(1))
        squares = F.pixel_unshuffle(F.pad(frame, (0, -size_hw[1] % factor, 0, -size_hw[0] % factor)), factor)
        # Tap (y, x) of the strided kernel lies in square (y // factor, x // factor), in its channel of the rest.
        weight = torch.zeros(6, 3, factor, factor, kernel, kernel)
        for y in range(factor * kernel):
            for x in range(factor * kernel):
                weight[:, :, y % factor, x % factor, y // factor, x // factor] = conv.weight.detach()[:, :, y, x]
        expected = F.conv2d(squares, weight.flatten(1, 3), padding=kernel // 2)
        assert expected.shape[-2:] == (-(-size_hw[0] // factor), -(-size_hw[1] // factor))
        torch.testing.assert_close(conv(frame), expected, atol=1e-4, rtol=1e-4)

    def test_factor_four_starts_the_stages_at_stride_four(self) -> None:
        spec = replace(BASE, stem=StemSpec(8, "relu", "space_to_depth", 4, 1), stages=BASE.stages[:2])
        assert spec.strides == (8, 16)
        assert spec.early_strides == (4, 8)
        assert build(Architecture(spec), 3).skip_indices == (0,)

    def test_a_skip_finer_than_the_stem_is_refused(self) -> None:
        stem = StemSpec(8, "relu", "space_to_depth", 4)
        with pytest.raises(ValueError, match=r"skip_stride 2 given, but the features .* have strides \(4, 8, 16\)"):
            replace(BASE, stem=stem, decoder=DecoderSpec("skip_add", 16, 2))

    def test_what_a_conv_stem_does_not_use_has_one_spelling(self) -> None:
        with pytest.raises(ValueError, match="stem: factor 4 and kernel 3 given; only space_to_depth has them"):
            StemSpec(8, factor=4)
        with pytest.raises(ValueError, match="stem: factor 2 and kernel 1 given"):
            StemSpec(8, kernel=1)


class TestContexts:
    @pytest.mark.parametrize("size_hw", [(6, 12), (1, 1), (18, 6), (2, 6)])
    @pytest.mark.parametrize("bins", BINS)
    def test_windows_are_adaptive_poolings_where_the_bins_divide(self, bins: int, size_hw: tuple[int, int]) -> None:
        feature = torch.randn(2, 4, *size_hw, generator=_generator())
        counts = [min(bins, side) for side in size_hw]
        assert not any(side % count for side, count in zip(size_hw, counts, strict=True))
        torch.testing.assert_close(_pooled(feature, bins), F.adaptive_avg_pool2d(feature, counts))

    @pytest.mark.parametrize("size_hw", [(1, 1), (1, 5), (4, 7), (23, 30), (45, 61)])
    @pytest.mark.parametrize("bins", BINS)
    def test_windows_cover_every_pixel(self, bins: int, size_hw: tuple[int, int]) -> None:
        feature = torch.zeros(1, 1, *size_hw, requires_grad=True)
        pooled = _pooled(feature, bins)
        assert pooled.shape[-2:] == tuple(min(bins, side) for side in size_hw)
        pooled.sum().backward()
        assert feature.grad is not None
        assert feature.grad.min() > 0

    def test_a_pyramid_is_its_formula(self) -> None:
        context = PyramidPooling(8, 16, "relu").eval()
        feature = torch.randn(1, 8, 12, 18, generator=_generator())
        with torch.no_grad():
            levels = [feature]
            for bins, level in zip(BINS, context.levels, strict=True):
                pooled = level(F.adaptive_avg_pool2d(feature, bins))
                levels.append(F.interpolate(pooled, (12, 18), mode="bilinear", align_corners=False))
            torch.testing.assert_close(context(feature), context.mix(torch.cat(levels, 1)))

    def test_macs_by_hand(self) -> None:
        """24 channels at 1/16 of 64x96: 4 x 6 = 24 pixels."""
        none, pyramid, dilated = (
            num_macs(KINDS[f"context-{kind}"], (64, 96), NUM_CLASSES)
            for kind in ("none", "pyramid_pooling", "dilated_pyramid")
        )
        cells = 1 + 4 + 9 + 4 * 6  # six bins on four rows are four
        assert pyramid - none == 24 * 6 * cells + 2 * 24 * 24 * 24
        separable = 24 * 24 * 9 + 24 * 24 * 6
        assert dilated - none == 24 * 24 * 6 + 3 * separable + 24 * 6 + 24 * 5 * 6 * 24

    @pytest.mark.parametrize(
        ("stride", "expected"), [(4, (12, 24, 36)), (8, (6, 12, 18)), (16, (3, 6, 9)), (32, (2, 3, 5))]
    )
    def test_dilations_reach_equally_far_at_every_stride(self, stride: int, expected: tuple[int, ...]) -> None:
        assert dilations(stride) == expected
        found = [
            module.dilation[0]
            for module in DilatedPyramid(8, stride, "relu").modules()
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
        ]
        assert tuple(found) == expected


class TestDecoders:
    @pytest.mark.parametrize(("skip_stride", "strides"), [(8, (8,)), (4, (8, 4)), (2, (8, 4, 2))])
    def test_a_unet_skips_to_every_stride_on_the_way(self, skip_stride: int, strides: tuple[int, ...]) -> None:
        model = build(KINDS[f"decoder-unet-{skip_stride}-full"], 3)
        assert model.spec.skip_strides == strides
        assert isinstance(model.decoder, UNet)
        assert len(model.decoder.mixes) == len(strides)
        assert model.spec.placements[2:-2] == ("bottleneck", *(f"skip{stride}" for stride in strides))

    def test_a_guided_feature_is_linear_in_its_guide(self) -> None:
        decoder = Guided(DecoderSpec("guided", 4), 6, [3], 2).eval()
        feature, skip = (
            torch.randn(1, 6, 5, 7, generator=_generator()),
            torch.randn(1, 3, 10, 13, generator=_generator(1)),
        )
        with torch.no_grad():
            coefficients = F.interpolate(decoder.coefficients(feature), (10, 13), mode="bilinear", align_corners=False)
            expected = (coefficients[:, :4] * decoder.guide(skip) + coefficients[:, 4:]).relu()
            torch.testing.assert_close(decoder.fuse(feature, [skip]), expected)

    def test_a_unet_without_a_skip_is_refused(self) -> None:
        stages = (*BASE.stages[:2], replace(BASE.stages[2], stride=1))
        with pytest.raises(ValueError, match="skip_stride 8 given, but the decoder's feature has stride 8 already"):
            replace(BASE, stages=stages, decoder=DecoderSpec("unet", 16, 8))


class TestLogits:
    @pytest.mark.parametrize("kind", sorted(DECODERS))
    def test_the_enlarging_left_to_the_caller_is_the_networks_own(self, kind: str) -> None:
        full, head = (_built(KINDS[f"decoder-{kind}-4-{logits}"]) for logits in ("full", "head"))
        frame = torch.rand(2, 3, 37, 51, generator=_generator())
        with torch.no_grad():
            small, _ = head.step(frame, ())
            large, _ = full.step(frame, ())
        assert small.shape[-2:] == logits_hw(37, 51, head.spec) != (37, 51)
        assert torch.equal(head.upsample(small, 37, 51), large)
        assert full.upsample(large, 37, 51) is large

    def test_what_is_not_enlarged_is_not_counted(self) -> None:
        full, head = (op_calls(KINDS[f"decoder-skip_add-4-{logits}"], (64, 96), 5) for logits in ("full", "head"))
        assert [call.kind for call in full].count("resize") == [call.kind for call in head].count("resize") + 1


class TestDetail:
    @pytest.mark.parametrize("fusion", ["add", "gate"])
    def test_the_branches_meet_at_the_branchs_stride(self, fusion: str) -> None:
        branch = Detail(DetailSpec(4, 1, fusion=fusion), 6, 10).eval()  # type: ignore[arg-type]
        source, context = (
            torch.randn(1, 6, 8, 9, generator=_generator()),
            torch.randn(1, 10, 4, 5, generator=_generator(1)),
        )
        with torch.no_grad():
            detail = branch.units(source)
            deep = F.interpolate(branch.project(context), (8, 9), mode="bilinear", align_corners=False)
            share = 1.0
            expected = detail + deep
            if fusion == "gate":
                assert isinstance(branch.fusion.gate, nn.Conv2d)
                share = torch.sigmoid(branch.fusion.gate(torch.cat([detail, deep], 1)))
                expected = detail + share * (deep - detail)
            torch.testing.assert_close(branch(source, context), expected)

    @pytest.mark.parametrize(
        ("detail", "message"),
        [
            (
                DetailSpec(12, 1, stride=8),
                r"detail.stride 8 given; .* \(\(2, 4, 4\)\) and is finer than the last one \(8\)",
            ),
            (DetailSpec(13, 1, ConvSpec("grouped"), 4), "detail: grouped convolutions from 16 to 13 channels given"),
        ],
    )
    def test_a_branch_that_cannot_be_is_refused(self, detail: DetailSpec, message: str) -> None:
        stages = (BASE.stages[0], replace(BASE.stages[1], stride=1), BASE.stages[2])
        with pytest.raises(ValueError, match=message):
            replace(BASE, stages=stages, detail=detail)

    def test_a_skip_as_coarse_as_the_branch_is_refused(self) -> None:
        with pytest.raises(ValueError, match="skip_stride 8 given, but the decoder's feature has stride 8 already"):
            replace(BASE, detail=DetailSpec(12, 1), decoder=DecoderSpec("skip_add", 16, 8))


def test_a_record_from_before_these_choices_is_read_as_the_same_network() -> None:
    """What they did not say has the value that the network had."""
    architecture = PRESETS["fast_scnn_like"].architecture
    document = json.loads(architecture.to_json())
    for name in ("kind", "factor", "kernel"):
        del document["network"]["stem"][name]
    for name in ("auxiliary", "boundary"):
        del document["training"][name]
    del document["network"]["decoder"]["logits"], document["network"]["detail"]
    assert Architecture.from_json(json.dumps(document)) == architecture


def test_a_foreign_branch_is_refused_by_name() -> None:
    document = json.loads(KINDS["detail-8-add-bilinear"].to_json())
    document["network"]["detail"]["stride"] = 16
    with pytest.raises(InputError, match=r"detail.stride: given 16"):
        Architecture.from_json(json.dumps(document))
