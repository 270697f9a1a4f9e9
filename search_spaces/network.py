"""From an architecture to a causal, streaming segmentation network. Knows nothing of data or searchers.

Legend: B batch, T frames, C channels, H/W pixels, K classes, N = B * T.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.architecture import Architecture, DecoderSpec, NetworkSpec, Placement, StageSpec
from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.registry import build_cell
from search_spaces.errors import InputError
from search_spaces.ops.blocks import BLOCKS
from search_spaces.ops.dense import conv_bn

Temporal = Callable[[Placement, Tensor], Tensor]
"""Applies the temporal cell at a placement, if there is one; the only thing step and forward differ in."""

SCALES = {"1": (1, 1), "3/4": (3, 4), "1/2": (1, 2)}
MEAN_RGB = (0.45, 0.45, 0.45)
STD_RGB = (0.25, 0.25, 0.25)
"""Near the statistics of natural pictures; batch norm takes care of the rest."""

MIN_SIDE = 32

MAX_PARAMETERS = 2**27
"""Half a gigabyte of float32, ten times the largest network that segments video on a device."""


class GlobalPoolContext(nn.Module):
    """Gates the feature by its global average (the pooling branch of LR-ASPP, arXiv:1905.02244, section 6.4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        pooled = feature_NCHW.mean((2, 3), keepdim=True)
        return feature_NCHW * torch.sigmoid(self.gate(pooled))


class Decoder(nn.Module):
    """Projects the last feature, optionally adds a skip, and classifies (skip sum: FCN, arXiv:1411.4038)."""

    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: int | None, num_classes: int) -> None:
        super().__init__()
        self.project = conv_bn(in_channels, spec.channels, 1, act=spec.activation)
        self.skip = None if skip_channels is None else conv_bn(skip_channels, spec.channels, 1)
        self.mix = (
            None
            if skip_channels is None
            else nn.Sequential(
                *conv_bn(spec.channels, spec.channels, 3, groups=spec.channels, act=spec.activation),
                *conv_bn(spec.channels, spec.channels, 1, act=spec.activation),
            )
        )
        self.classify = nn.Conv2d(spec.channels, num_classes, 1)

    def fuse(self, feature_NCHW: Tensor, skip_NCHW: Tensor | None) -> Tensor:
        """The decoder feature, at the skip's size where there is one."""
        out: Tensor = self.project(feature_NCHW)
        if skip_NCHW is None or self.skip is None or self.mix is None:
            return out
        return self.mix(_resize(out, skip_NCHW.shape[-2], skip_NCHW.shape[-1]) + self.skip(skip_NCHW))  # type: ignore[no-any-return]


class VideoSegmenter(nn.Module):
    """A network that segments a video frame by frame, carrying a state. Built by `build`.

    Frames are RGB, float, 0..1; the normalization is inside. Logits come back at the frame's size.
    `forward` over a clip equals `step` over its frames in eval mode.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: NetworkSpec, num_classes: int) -> None:
        super().__init__()
        self.spec = spec
        self.num_classes = num_classes
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD_RGB).view(1, 3, 1, 1), persistent=False)
        self.stem = conv_bn(3, spec.stem.channels, 3, stride=2, act=spec.stem.activation)
        widths = [spec.stem.channels, *(stage.channels for stage in spec.stages)]
        self.stages = nn.ModuleList(
            _stage(stage, in_channels) for stage, in_channels in zip(spec.stages, widths, strict=False)
        )
        self.context = GlobalPoolContext(widths[-1]) if spec.context == "global_pool" else nn.Identity()
        self.skip_index = self._skip_index()
        skip_channels = None if self.skip_index is None else widths[self.skip_index]
        self.decoder = Decoder(spec.decoder, widths[-1], skip_channels, num_classes)
        place_channels = {"bottleneck": widths[-1], "decoder": spec.decoder.channels, "logits": num_classes}
        self.cells = nn.ModuleDict(
            {site.placement: build_cell(site.cell, place_channels[site.placement]) for site in spec.temporal}
        )
        self._fusion = {site.placement: site.fusion for site in spec.temporal}

    def _skip_index(self) -> int | None:
        """Index into (stem, stage 0, stage 1, ...) of the deepest feature at the skip's stride."""
        if self.spec.decoder.kind == "bilinear":
            return None
        strides = [2, *self.spec.strides[:-1]]
        return max(i for i, stride in enumerate(strides) if stride == self.spec.decoder.skip_stride)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """Zeros for frames of this size; a flat tuple of the cells' states in the order they are met.

        Raises:
            ValueError: a side is under 32 pixels.
        """
        if min(height, width) < MIN_SIDE:
            raise ValueError(f"frame size {height}x{width} given; each side must be at least {MIN_SIDE}")
        return tuple(
            tensor
            for place, cell in self._cells()
            for tensor in cell.initial_state(batch, *self._feature_size(place, height, width))
        )

    def step(self, frame_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: (frame, state) -> (logits_BKHW, next state). What is exported and timed."""
        following: list[Tensor] = []
        parts = self._split(state)

        def temporal(place: Placement, feature_BCHW: Tensor) -> Tensor:
            if place not in self.cells:
                return feature_BCHW
            out, new = self._cell(place).step(feature_BCHW, parts[place])
            following.extend(new)
            return out + feature_BCHW if self._fusion[place] == "add" else out

        return self._run(frame_BCHW, temporal), tuple(following)

    def forward(self, clip_BTCHW: Tensor) -> Tensor:
        """A clip from its first frame on: logits_BTKHW."""
        return self.roll(clip_BTCHW, self.initial_state(clip_BTCHW.shape[0], *clip_BTCHW.shape[-2:]))[0]

    def roll(self, clip_BTCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """A clip that goes on from `state`: (logits_BTKHW, next state). Frames run as one batch, cells in time."""
        shape = clip_BTCHW.shape[:2]
        following: list[Tensor] = []
        parts = self._split(state)

        def temporal(place: Placement, feature_NCHW: Tensor) -> Tensor:
            if place not in self.cells:
                return feature_NCHW
            out, new = self._cell(place).scan(feature_NCHW.view(*shape, *feature_NCHW.shape[1:]), parts[place])
            following.extend(new)
            flat = out.flatten(0, 1)
            return flat + feature_NCHW if self._fusion[place] == "add" else flat

        logits_NKHW = self._run(clip_BTCHW.flatten(0, 1), temporal)
        return logits_NKHW.view(*shape, *logits_NKHW.shape[1:]), tuple(following)

    def _run(self, frames_NCHW: Tensor, temporal: Temporal) -> Tensor:
        height, width = frames_NCHW.shape[-2:]
        feature = (frames_NCHW - self.mean) / self.std
        scaled = _scaled(height, width, self.spec)
        if scaled != (height, width):
            feature = _resize(feature, *scaled)
        feature = self.stem(feature)
        features = [feature]
        for stage in self.stages:
            feature = stage(feature)
            features.append(feature)
        feature = temporal("bottleneck", self.context(feature))
        skip = None if self.skip_index is None else features[self.skip_index]
        feature = temporal("decoder", self.decoder.fuse(feature, skip))
        logits = temporal("logits", self.decoder.classify(feature))
        return _resize(logits, height, width)

    def _cells(self) -> Iterator[tuple[Placement, TemporalCell]]:
        for place in ("bottleneck", "decoder", "logits"):
            if place in self.cells:
                yield place, self._cell(place)

    def _cell(self, place: Placement) -> TemporalCell:
        cell = self.cells[place]
        assert isinstance(cell, TemporalCell)
        return cell

    def _split(self, state: State) -> dict[str, State]:
        """The flat state, divided among the cells in the order they are met."""
        parts: dict[str, State] = {}
        start = 0
        for place, cell in self._cells():
            size = cell.num_states
            parts[place] = state[start : start + size]
            start += size
        if start != len(state):
            raise ValueError(f"state has {len(state)} tensors; this network carries {start}")
        return parts

    def _feature_size(self, place: Placement, height: int, width: int) -> tuple[int, int]:
        height, width = _scaled(height, width, self.spec)
        stride = self.spec.strides[-1]
        if place != "bottleneck" and self.skip_index is not None:
            stride = self.spec.decoder.skip_stride
        return -(-height // stride), -(-width // stride)


def build(architecture: Architecture, num_classes: int) -> VideoSegmenter:
    """The network of an architecture, freshly initialised from torch's current random state.

    Raises:
        InputError: the architecture is a point of a recorded benchmark or has more than MAX_PARAMETERS, or the
            number of classes is outside 2..255. Nothing was allocated.
    """
    if not 2 <= num_classes <= 255:
        raise InputError(f"num_classes {num_classes} given, 2..255 allowed")
    given = num_parameters(architecture.video, num_classes)
    if given > MAX_PARAMETERS:
        raise InputError(
            f"architecture {architecture.key[:12]}: {given} parameters given, at most {MAX_PARAMETERS} allowed; "
            "take fewer or narrower stages"
        )
    return VideoSegmenter(architecture.video, num_classes)


@lru_cache(maxsize=4096)
def num_parameters(spec: NetworkSpec, num_classes: int) -> int:
    """Parameters of the network, counted on the meta device: nothing is allocated, no random number drawn."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in VideoSegmenter(spec, num_classes).parameters())


def _stage(stage: StageSpec, in_channels: int) -> nn.Sequential:
    make = BLOCKS[stage.block]
    first = make(stage, in_channels, stage.stride)
    return nn.Sequential(first, *(make(stage, stage.channels, 1) for _ in range(stage.depth - 1)))


def _scaled(height: int, width: int, spec: NetworkSpec) -> tuple[int, int]:
    numerator, denominator = SCALES[spec.input_scale]
    return -(-height * numerator // denominator), -(-width * numerator // denominator)


def _resize(feature_NCHW: Tensor, height: int, width: int) -> Tensor:
    if feature_NCHW.shape[-2:] == (height, width):
        return feature_NCHW
    return F.interpolate(feature_NCHW, (height, width), mode="bilinear", align_corners=False)
