"""Stems, contexts, decoders and the second branch: their formulas, and what of them is refused."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.architecture import (
    Architecture,
    ConvSpec,
    DecoderSpec,
    DetailSpec,
    StemSpec,
)
from search_spaces.contexts import BINS, DilatedPyramid, PyramidPooling, _pooled, dilations
from search_spaces.decoders import Guided, UNet
from search_spaces.detail import Detail, Surroundings
from search_spaces.network import build
from search_spaces.stems import PatchConv
from search_spaces.trace import num_macs
from tests.search_spaces.network_kinds import BASE, KINDS

NUM_CLASSES = 5


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
        context = PyramidPooling(8, 16, "relu", 8).eval()
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
            for module in DilatedPyramid(8, stride, "relu", 8).modules()
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


class TestDetail:
    @pytest.mark.parametrize("fusion", ["add", "gate"])
    def test_the_branches_meet_at_the_branchs_stride(self, fusion: str) -> None:
        around = Surroundings(6, (), 10, 16)
        branch = Detail(DetailSpec(4, 1, fusion=fusion), around).eval()  # type: ignore[arg-type]
        meeting: Any = branch.fusion
        source, context = (
            torch.randn(1, 6, 8, 9, generator=_generator()),
            torch.randn(1, 10, 4, 5, generator=_generator(1)),
        )
        with torch.no_grad():
            detail = branch.units(source)
            deep = F.interpolate(meeting.project(context), (8, 9), mode="bilinear", align_corners=False)
            share = 1.0
            expected = detail + deep
            if fusion == "gate":
                share = torch.sigmoid(meeting.fusion.gate(torch.cat([detail, deep], 1)))
                expected = detail + share * (deep - detail)
            torch.testing.assert_close(branch(source, context), expected)

    @pytest.mark.parametrize(
        ("detail", "message"),
        [
            (
                DetailSpec(12, 1, stride=8),
                r"detail.stride 8 given; .* \(\(2, 4, 4\)\) or from the frame and is finer than the last one \(8\)",
            ),
            (DetailSpec(13, 1, ConvSpec("grouped"), 4), "detail: grouped from 16 to 13 channels given"),
        ],
    )
    def test_a_branch_that_cannot_be_is_refused(self, detail: DetailSpec, message: str) -> None:
        stages = (BASE.stages[0], replace(BASE.stages[1], stride=1), BASE.stages[2])
        with pytest.raises(ValueError, match=message):
            replace(BASE, stages=stages, detail=detail)

    def test_a_skip_as_coarse_as_the_branch_is_refused(self) -> None:
        with pytest.raises(ValueError, match="skip_stride 8 given, but the decoder's feature has stride 8 already"):
            replace(BASE, detail=DetailSpec(12, 1), decoder=DecoderSpec("skip_add", 16, 8))
