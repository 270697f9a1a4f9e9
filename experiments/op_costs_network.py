"""Rows of the cost table that stand in a network once: stems, contexts, detail branch, decoders, sizes. Times nothing.

Legend: N frames, C channels, K classes, H/W pixels.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from experiments.op_costs_harness import CHANNELS, FRAME, FRAME_HW, NOTHING, Part
from search_spaces.architecture import ConvSpec, DecoderSpec, DetailSpec, StemSpec
from search_spaces.contexts import CONTEXTS
from search_spaces.decoder_spec import SKIPLESS
from search_spaces.decoders import DECODERS
from search_spaces.detail import Detail, Surroundings
from search_spaces.detail_fusions import DETAIL_FUSIONS
from search_spaces.exchanges import EXCHANGES
from search_spaces.fusion import FUSIONS as CELL_FUSIONS
from search_spaces.network_questions import SQUARE_KERNELS
from search_spaces.resizing import SCALES, resize
from search_spaces.stems import STEMS

NUM_CLASSES = 19
STRIDE = 8


class Half(nn.Module):
    """The feature at half of its size: what the parts below are given besides the feature."""

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        return F.max_pool2d(feature_NCHW, 2, ceil_mode=True)


class OverHalf(Half):
    """A part of two features: (feature, its half) -> feature."""

    def __init__(self, part: nn.Module, run: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.part, self.run = part, run

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        return self.run(feature_NCHW, super().forward(feature_NCHW))


class Twice(nn.Module):
    """A part of two features of one size, given one feature as both."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        out: Tensor = self.part(feature_NCHW, feature_NCHW)
        return out


class Resized(nn.Module):
    """Bilinear, to a fixed size."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.size_hw = size_hw

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        return resize(feature_NCHW, *self.size_hw)


HALF = Part("base", "half", "", Half, NOTHING)


def _scores() -> nn.Module:
    return nn.Conv2d(CHANNELS, NUM_CLASSES, 1)


SCORES = Part("base", "scores", "", _scores, NOTHING)


def network_parts() -> Iterator[Part]:
    """Every stem, input scale, context, detail fusion, exchange and decoder, and the enlarging of the scores."""
    yield from (HALF, SCORES)
    for stem in _stems():
        variant = "" if (stem.kind, stem.kernel) != ("space_to_depth", 3) and stem.factor == 2 else \
            f"factor {stem.factor}, kernel {stem.kernel}"  # fmt: skip
        yield Part("stem", stem.kind, variant, lambda stem=stem: STEMS[stem.kind](stem), FRAME, on_frame=True)
    for name, (numerator, denominator) in SCALES.items():
        if name != "1":
            size_hw = (FRAME_HW[0] * numerator // denominator, FRAME_HW[1] * numerator // denominator)
            yield Part("input scale", name, "", lambda size_hw=size_hw: Resized(size_hw), FRAME, on_frame=True)
    for name, make in CONTEXTS.items():
        if name != "none":
            yield Part("context", name, "", lambda make=make: make(CHANNELS, STRIDE, "relu", CHANNELS), NOTHING)
    for fusion in DETAIL_FUSIONS:
        yield Part("detail", fusion, "", lambda fusion=fusion: _detail(fusion), HALF)
    for name in EXCHANGES:
        yield Part("exchange", name, "", lambda name=name: _exchange(name), HALF)
    for name in DECODERS:
        yield Part("decoder", name, "", lambda name=name: _decoder(name), HALF)
    for name, make_fusion in CELL_FUSIONS.items():
        yield Part("fusion", name, "", lambda make_fusion=make_fusion: Twice(make_fusion(CHANNELS)), NOTHING)
    yield Part("logits", "full", "", lambda: nn.Sequential(_scores(), Resized(FRAME_HW)), SCORES, writes_frame=True)


def _stems() -> Iterator[StemSpec]:
    yield from (StemSpec(16), StemSpec(16, kind="conv_pool"))
    yield from (StemSpec(16, kind="shrunk", factor=4), StemSpec(16, kind="shrunk", factor=8))
    for factor in (2, 4):
        for kernel in SQUARE_KERNELS:
            yield StemSpec(16, "relu", "space_to_depth", factor, kernel)


def _detail(fusion: str) -> nn.Module:
    spec = DetailSpec(CHANNELS, 1, ConvSpec("depthwise_separable"), STRIDE, cast("Any", fusion))
    part = Detail(spec, Surroundings(CHANNELS, (), CHANNELS, 2 * STRIDE))
    return OverHalf(part, part)


def _exchange(name: str) -> nn.Module:
    part = EXCHANGES[name](CHANNELS, (CHANNELS,), ("relu", "relu"))

    def run(feature_NCHW: Tensor, half_NCHW: Tensor) -> Tensor:
        fine, coarse = part(feature_NCHW, half_NCHW)
        # Both are wanted: what nothing reads would not be computed.
        return cast("Tensor", fine + coarse.mean((2, 3), keepdim=True))

    return OverHalf(part, run)


def _decoder(name: str) -> nn.Module:
    skips = [] if name in SKIPLESS else [CHANNELS]
    spec = DecoderSpec(cast("Any", name), CHANNELS, depth=1 if name == "plain" else 0)
    part = DECODERS[name](spec, CHANNELS, skips, NUM_CLASSES)

    def run(feature_NCHW: Tensor, half_NCHW: Tensor) -> Tensor:
        seen = [feature_NCHW] * len(skips)
        return part.scores(part.fuse(half_NCHW, seen), seen)

    return OverHalf(part, run)
