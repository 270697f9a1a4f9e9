"""The levers of a frame's cost: what they compute. Nothing here is judged by its time."""

from dataclasses import replace

import pytest
import torch
from frame_networks import BILINEAR, EVERYTHING, NUM_CLASSES, SIZE_HW, assert_same, outputs
from torch import nn

from experiments.frame_levers import BASE, WIDTHS, at_full_scale, variants, with_full_logits
from experiments.frame_parts import Prefix, parts_of
from experiments.levers import (
    Labels,
    RepBlock,
    as_patches,
    divisor_folded,
    fuse_branches,
    normalized_after_scaling,
    rep_stage,
    same_as_strided,
    space_to_depth_stem,
)
from latency_tables.random_weights import build_random
from search_spaces.architecture import (
    Architecture,
    ConvSpec,
    StageSpec,
)
from search_spaces.ops.dense import conv_bn


class TestLevers:
    def test_a_stem_of_squares_is_the_strided_stem(self) -> None:
        generator = torch.Generator().manual_seed(0)
        stem = conv_bn(3, 8, 3, stride=2, act="hard_swish").eval()
        with torch.no_grad():
            stem[0].weight.normal_(generator=generator)  # type: ignore[operator]
            stem[1].running_mean.normal_(generator=generator)  # type: ignore[operator]
            frame_BCHW = torch.rand(2, 3, 48, 64, generator=generator)
            torch.testing.assert_close(same_as_strided(stem)(frame_BCHW), stem(frame_BCHW), atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize(("factor", "kernel"), [(2, 1), (2, 3), (4, 1), (4, 3)])
    def test_squares_of_pixels_are_a_strided_convolution(self, factor: int, kernel: int) -> None:
        torch_generator = torch.Generator().manual_seed(0)
        stem = space_to_depth_stem(factor, kernel, 8, "relu").eval()
        with torch.no_grad():
            stem[1].weight.normal_(generator=torch_generator)  # type: ignore[operator]
            frame_BCHW = torch.rand(2, 3, 48, 64, generator=torch_generator)
            expected = stem(frame_BCHW)
            assert expected.shape == (2, 8, 48 // factor, 64 // factor)
            torch.testing.assert_close(as_patches(stem, factor)(frame_BCHW), expected, atol=1e-5, rtol=1e-5)

    def test_normalization_may_come_after_scaling(self) -> None:
        half = replace(EVERYTHING, network=replace(EVERYTHING.video, input_scale="1/2"))
        model = build_random(half, NUM_CLASSES, seed=0)
        assert_same(normalized_after_scaling(model), model)

    def test_the_divisor_may_be_in_the_stem(self) -> None:
        model = build_random(BILINEAR, NUM_CLASSES, seed=0)
        assert_same(divisor_folded(model), model)
        with pytest.raises(ValueError, match="input scale 3/4 given"):
            divisor_folded(build_random(EVERYTHING, NUM_CLASSES, seed=0))

    @pytest.mark.parametrize(("channels", "stride", "dilation"), [(8, 1, 1), (8, 1, 2), (12, 2, 1)])
    def test_fused_branches_are_the_branches(self, channels: int, stride: int, dilation: int) -> None:
        generator = torch.Generator().manual_seed(0)
        stage = StageSpec(
            "plain", 2, channels, 2 if stride == 2 else 1, ConvSpec("dense", 3, 2 if dilation == 2 else 1)
        )
        unfused = rep_stage(stage, 8)
        for norm in (module for module in unfused.modules() if isinstance(module, nn.BatchNorm2d)):
            for tensor in (norm.running_mean, norm.weight.data, norm.bias.data):
                assert tensor is not None
                tensor.normal_(generator=generator)
            assert norm.running_var is not None
            norm.running_var.uniform_(0.5, 2.0, generator=generator)
        fused = fuse_branches(nn.Sequential(unfused.eval()))
        assert not any(isinstance(module, RepBlock) for module in fused.modules())
        assert len([module for module in fused.modules() if isinstance(module, nn.Conv2d)]) == 2
        feature_BCHW = torch.randn(2, 8, 15, 20, generator=generator)
        with torch.no_grad():
            torch.testing.assert_close(fused(feature_BCHW), unfused(feature_BCHW), atol=1e-5, rtol=1e-5)

    def test_labels_are_those_of_the_logits(self, architecture: Architecture) -> None:
        model = build_random(with_full_logits(architecture), NUM_CLASSES, seed=0)
        frame_BCHW = torch.rand(1, 3, *SIZE_HW, generator=torch.Generator().manual_seed(0))
        state = model.initial_state(1, *SIZE_HW)
        low = Prefix(model, len(parts_of(model)) - 1)
        with torch.no_grad():
            logits_BKHW = model.step(frame_BCHW, state)[0]
            labels_B1HW = Labels(model).labels(frame_BCHW, state)[0]
            enlarged_B1HW = Labels(low, SIZE_HW).labels(frame_BCHW, state)[0]
        assert torch.equal(labels_B1HW[:, 0], logits_BKHW.argmax(1))
        assert enlarged_B1HW.shape == labels_B1HW.shape
        assert enlarged_B1HW.dtype == torch.uint8
        assert (enlarged_B1HW == labels_B1HW).float().mean() > 0.7

    def test_every_variant_of_a_network_computes_and_has_its_base(self) -> None:
        model = build_random(at_full_scale(EVERYTHING), NUM_CLASSES, seed=0)
        found = {(v.lever, v.name): v for v in variants(EVERYTHING, NUM_CLASSES, SIZE_HW, seed=0)}
        assert {v.base for v in found.values()} <= set(found)
        assert sum(lever.startswith("width of stage") for lever, _ in found) == len(WIDTHS)
        assert_same(found[BASE].model, model)
        for lever, name in (
            ("stem", "unshuffle 2, 2x2 (same function)"),
            ("normalization", "divisor in the stem's weights"),
        ):
            assert_same(found[lever, name].model, model)
        assert_same(found["blocks", "branches fused (dense 3x3)"].model, found["blocks", "branches"].model, 1e-4)
        for variant in found.values():
            logits_BKHW = outputs(variant.model, 1)[0]
            assert bool(torch.isfinite(logits_BKHW).all())
            if not isinstance(variant.model, Labels) and variant.name != "logits, head's size":
                assert logits_BKHW.shape == (1, NUM_CLASSES, *SIZE_HW)
