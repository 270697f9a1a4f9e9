"""A network with and without each lever, as modules to export. Knows nothing of timing or tables."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

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
from latency_tables.random_weights import build_random, randomized
from search_spaces.architecture import Architecture, ConvSpec, Factorization, NetworkSpec, StageSpec
from search_spaces.network import VideoSegmenter, build
from search_spaces.stages import build_stage
from search_spaces.trace import num_macs

SCALES: tuple[Literal["3/4", "1/2"], ...] = ("3/4", "1/2")
WIDTHS = tuple(range(40, 73, 4))
WIDTH_BASE = 64


@dataclass(frozen=True, slots=True)
class Variant:
    """A network, which lever it is of, and the variant (lever, name) of the same network it is compared with."""

    lever: str
    name: str
    base: tuple[str, str]
    model: nn.Module
    checked: bool = True
    """Whether the export is compared with torch: not where only one pixel comes out."""


BASE = ("none", "as it is")
SEPARABLE = ("blocks", "separable")


def at_full_scale(architecture: Architecture) -> Architecture:
    """The same network on frames that are not made smaller: what the levers are compared with."""
    return _with(architecture, replace(architecture.video, input_scale="1"))


def with_full_logits(architecture: Architecture) -> Architecture:
    """The same network with the enlarging of its logits inside, which is one of the levers."""
    spec = architecture.video
    return _with(architecture, replace(spec, decoder=replace(spec.decoder, logits="full")))


def variants(architecture: Architecture, num_classes: int, size_hw: tuple[int, int], *, seed: int) -> Iterator[Variant]:
    """Every lever that applies to the network, its bases among them; weights are random from `seed`."""
    architecture = with_full_logits(at_full_scale(architecture))
    model = build_random(architecture, num_classes, seed=seed)
    yield Variant(*BASE, BASE, model)
    for scale in SCALES:
        scaled = _with(architecture, replace(architecture.video, input_scale=scale))
        yield Variant("input scale", scale, BASE, build_random(scaled, num_classes, seed=seed))
    halved = build_random(_with(architecture, replace(architecture.video, input_scale="1/2")), num_classes, seed=seed)
    yield Variant("normalization", "after scaling to 1/2", ("input scale", "1/2"), normalized_after_scaling(halved))
    yield Variant("normalization", "divisor in the stem's weights", BASE, divisor_folded(model))
    yield from _outputs(model, size_hw)
    yield from _stems(model, seed)
    yield from _blocks(architecture, num_classes, seed)
    stage = widened_stage(architecture, num_classes, size_hw)
    for channels in WIDTHS:
        wide = with_width(architecture, stage, channels)
        base = (f"width of stage {stage}", str(WIDTH_BASE))
        yield Variant(base[0], str(channels), base, build_random(wide, num_classes, seed=seed))


def _outputs(model: VideoSegmenter, size_hw: tuple[int, int]) -> Iterator[Variant]:
    low = Prefix(model, len(parts_of(model)) - 1)
    yield Variant("output", "logits, head's size", BASE, low)
    yield Variant("output", "labels, full size", BASE, Labels(model), checked=False)
    yield Variant("output", "labels, head's size", BASE, Labels(low), checked=False)
    yield Variant("output", "labels, head's size, nearest to full", BASE, Labels(low, size_hw), checked=False)


def _stems(model: VideoSegmenter, seed: int) -> Iterator[Variant]:
    spec = model.spec
    if spec.stem.kind != "conv":
        return
    exact = copy.deepcopy(model)
    exact.stem = same_as_strided(exact.stem)
    yield Variant("stem", "unshuffle 2, 2x2 (same function)", BASE, exact)
    for factor, kernel in ((2, 1), (2, 3), (4, 1), (4, 3)):
        if factor == 4 and (spec.stages[0].stride != 2 or spec.decoder.skip_stride == 2):
            continue
        tail = ", stage 0 at stride 1" if factor == 4 else ""
        shuffled = randomized(_with_stem(model, factor, kernel), seed=seed)
        yield Variant("stem", f"unshuffle {factor}, {kernel}x{kernel}{tail}", BASE, shuffled)
        patches = copy.deepcopy(shuffled)
        patches.stem = as_patches(shuffled.stem, factor)
        side = factor * kernel
        yield Variant("stem", f"the same as {side}x{side} of stride {factor}{tail}", BASE, patches)


def _with_stem(model: VideoSegmenter, factor: int, kernel: int) -> Callable[[], VideoSegmenter]:
    def make() -> VideoSegmenter:
        changed, stem = copy.deepcopy(model), model.spec.stem
        changed.stem = space_to_depth_stem(factor, kernel, stem.channels, stem.activation)
        if factor == 4:
            # The stem has taken the stride of the first stage; from there on all sizes are as before.
            changed.stages[0] = build_stage(replace(model.spec.stages[0], stride=1), stem.channels)
        return changed

    return make


def _blocks(architecture: Architecture, num_classes: int, seed: int) -> Iterator[Variant]:
    """Every stage of plain 3x3 units: separable against dense, in all stages and in one at a time, and branches."""
    separable = _with_units(architecture, "depthwise_separable", None)
    yield Variant(*SEPARABLE, SEPARABLE, build_random(separable, num_classes, seed=seed))
    dense = _with_units(separable, "dense", None)
    branches = randomized(lambda: with_branches(dense, num_classes), seed=seed)
    yield Variant("blocks", "branches", SEPARABLE, branches)
    fused = fuse_branches(branches)
    assert not any(isinstance(module, RepBlock) for module in fused.modules())
    yield Variant("blocks", "branches fused (dense 3x3)", SEPARABLE, fused)
    for index in range(len(architecture.video.stages)):
        one = _with_units(separable, "dense", index)
        yield Variant("blocks", f"dense 3x3 in stage {index}", SEPARABLE, build_random(one, num_classes, seed=seed))


def with_branches(architecture: Architecture, num_classes: int) -> VideoSegmenter:
    """The network with RepBlocks for the blocks of all stages, freshly initialised."""
    model, spec = build(architecture, num_classes), architecture.video
    widths = [spec.stem.channels, *(stage.channels for stage in spec.stages)]
    for index, stage in enumerate(spec.stages):
        model.stages[index] = rep_stage(stage, widths[index])
    return model


def _with_units(architecture: Architecture, factorization: Factorization, only: int | None) -> Architecture:
    """Plain 3x3 units in stage `only`, or in all; widths, depths, strides, dilations, activations stay."""

    def changed(index: int, stage: StageSpec) -> StageSpec:
        if only is not None and index != only:
            return stage
        return replace(stage, block="plain", expansion=1, conv=ConvSpec(factorization, 3, stage.conv.dilation))

    spec = architecture.video
    stages = tuple(changed(index, stage) for index, stage in enumerate(spec.stages))
    return _with(architecture, replace(spec, stages=stages))


def widened_stage(architecture: Architecture, num_classes: int, size_hw: tuple[int, int]) -> int:
    """The stage for which width matters most: that adds the most multiply-accumulates from 40 to 72 channels."""

    def added(stage: int) -> int:
        narrow, wide = (with_width(architecture, stage, width) for width in (WIDTHS[0], WIDTHS[-1]))
        return num_macs(wide, size_hw, num_classes) - num_macs(narrow, size_hw, num_classes)

    return max(range(len(architecture.video.stages)), key=added)


def with_width(architecture: Architecture, stage: int, channels: int) -> Architecture:
    """The network with another width of one stage."""
    spec = architecture.video
    stages = list(spec.stages)
    stages[stage] = replace(stages[stage], channels=channels)
    return _with(architecture, replace(spec, stages=tuple(stages)))


def _with(architecture: Architecture, spec: NetworkSpec) -> Architecture:
    return replace(architecture, network=spec)
