"""From an architecture to a causal, streaming segmentation network. Knows nothing of data or searchers.

Legend: B batch, T frames, C channels, H/W pixels, K classes, N = B * T.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.architecture import Architecture, DecoderSpec, NetworkSpec, Placement, StageSpec
from search_spaces.cells.base import State
from search_spaces.errors import InputError
from search_spaces.network_spec import SKIP_PLACES, STAGE_PLACES
from search_spaces.ops.attention import attention
from search_spaces.ops.blocks import BLOCKS
from search_spaces.ops.dense import conv_bn
from search_spaces.site import Site

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

    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.project = conv_bn(in_channels, spec.channels, 1, act=spec.activation)
        self.skips = nn.ModuleList(conv_bn(channels, spec.channels, 1) for channels in skip_channels)
        self.mixes = nn.ModuleList(
            nn.Sequential(
                *conv_bn(spec.channels, spec.channels, 3, groups=spec.channels, act=spec.activation),
                *conv_bn(spec.channels, spec.channels, 1, act=spec.activation),
            )
            for _ in skip_channels
        )
        self.classify = nn.Conv2d(spec.channels, num_classes, 1)

    def fuse(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """The decoder feature, at the size of the last skip where there is one."""
        out: Tensor = self.project(feature_NCHW)
        for skip_NCHW, skip, mix in zip(skips_NCHW, self.skips, self.mixes, strict=True):
            out = mix(resize(out, *skip_NCHW.shape[-2:]) + skip(skip_NCHW))
        return out


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
        self.skip_indices = self._skip_indices()
        self.decoder = Decoder(spec.decoder, widths[-1], [widths[i] for i in self.skip_indices], num_classes)
        self.sites = nn.ModuleDict(
            {site.placement: Site(site, self._place(site.placement)[0]) for site in spec.temporal}
        )

    def _skip_indices(self) -> tuple[int, ...]:
        """Indices into (stem, stage 0, stage 1, ...) of the deepest feature at each stride that is skipped to."""
        strides = [2, *self.spec.strides[:-1]]
        return tuple(max(i for i, s in enumerate(strides) if s == skip) for skip in self.spec.decoder.skip_strides)

    def _place(self, place: Placement) -> tuple[int, int]:
        """(channels, stride relative to the scaled input) of the feature at a placement."""
        spec = self.spec
        if place.startswith("stage"):
            index = int(place.removeprefix("stage"))
            return spec.stages[index].channels, spec.strides[index]
        if place.startswith("skip"):
            stride = int(place.removeprefix("skip"))
            index = self.skip_indices[spec.decoder.skip_strides.index(stride)]
            return (spec.stem.channels if index == 0 else spec.stages[index - 1].channels), stride
        if place == "bottleneck":
            return spec.stages[-1].channels, spec.strides[-1]
        channels = spec.decoder.channels if place == "decoder" else self.num_classes
        return channels, (spec.decoder.skip_strides or spec.strides)[-1]

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """Zeros for frames of this size; a flat tuple of the cells' states in the order they are met.

        Raises:
            ValueError: a side is under 32 pixels.
        """
        if min(height, width) < MIN_SIDE:
            raise ValueError(f"frame size {height}x{width} given; each side must be at least {MIN_SIDE}")
        return tuple(tensor for place, _ in self._sites() for tensor in self.site_state(place, batch, height, width))

    def site_state(self, place: Placement, batch: int, height: int, width: int) -> State:
        """The part of `initial_state` that belongs to the cell at a placement."""
        stride = self._place(place)[1]
        return self.site(place).initial_state(
            batch, *(-(-side // stride) for side in scaled_hw(height, width, self.spec))
        )

    def step(self, frame_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: (frame, state) -> (logits_BKHW, next state). What is exported and timed."""
        parts = self._split(state)

        def temporal(place: Placement, feature_BCHW: Tensor) -> Tensor:
            if place in self.sites:
                feature_BCHW, parts[place] = self.site(place).step(feature_BCHW, parts[place])
            return feature_BCHW

        return self._run(frame_BCHW, temporal), self._joined(parts)

    def forward(self, clip_BTCHW: Tensor) -> Tensor:
        """A clip from its first frame on: logits_BTKHW."""
        return self.roll(clip_BTCHW, self.initial_state(clip_BTCHW.shape[0], *clip_BTCHW.shape[-2:]))[0]

    def roll(self, clip_BTCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """A clip that goes on from `state`: (logits_BTKHW, next state). Frames run as one batch, cells in time."""
        shape_BT = clip_BTCHW.shape[:2]
        parts = self._split(state)

        def temporal(place: Placement, feature_NCHW: Tensor) -> Tensor:
            if place in self.sites:
                feature_NCHW, parts[place] = self.site(place).scan(feature_NCHW, shape_BT, parts[place])
            return feature_NCHW

        logits_NKHW = self._run(clip_BTCHW.flatten(0, 1), temporal)
        return logits_NKHW.view(*shape_BT, *logits_NKHW.shape[1:]), self._joined(parts)

    def _run(self, frames_NCHW: Tensor, temporal: Temporal) -> Tensor:
        height, width = frames_NCHW.shape[-2:]
        feature = (frames_NCHW - self.mean) / self.std
        scaled = scaled_hw(height, width, self.spec)
        if scaled != (height, width):
            feature = resize(feature, *scaled)
        feature = self.stem(feature)
        features = [feature]
        for place, stage in zip((*STAGE_PLACES[: len(self.stages) - 1], None), self.stages, strict=True):
            feature = stage(feature)
            if place is not None:
                feature = temporal(place, feature)
            features.append(feature)
        feature = temporal("bottleneck", self.context(feature))
        skips = [
            temporal(SKIP_PLACES[stride], features[index])
            for stride, index in zip(self.spec.decoder.skip_strides, self.skip_indices, strict=True)
        ]
        feature = temporal("decoder", self.decoder.fuse(feature, skips))
        logits = temporal("logits", self.decoder.classify(feature))
        return resize(logits, height, width)

    def _sites(self) -> Iterator[tuple[Placement, Site]]:
        for site in self.spec.temporal:
            yield site.placement, self.site(site.placement)

    def site(self, place: Placement) -> Site:
        """The temporal cell at a placement. Raises KeyError where there is none."""
        site = self.sites[place]
        assert isinstance(site, Site)
        return site

    def _split(self, state: State) -> dict[Placement, State]:
        """The flat state, divided among the cells in the order they are met."""
        parts: dict[Placement, State] = {}
        start = 0
        for place, site in self._sites():
            parts[place] = state[start : start + site.num_states]
            start += site.num_states
        if start != len(state):
            raise ValueError(f"state has {len(state)} tensors; this network carries {start}")
        return parts

    @staticmethod
    def _joined(parts: Mapping[Placement, State]) -> State:
        return tuple(tensor for part in parts.values() for tensor in part)


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
    rest = (make(stage, stage.channels, 1) for _ in range(stage.depth - 1))
    return nn.Sequential(first, *rest, *attention(stage.attention, stage.channels))


def scaled_hw(height: int, width: int, spec: NetworkSpec) -> tuple[int, int]:
    """The size that the stem sees."""
    numerator, denominator = SCALES[spec.input_scale]
    return -(-height * numerator // denominator), -(-width * numerator // denominator)


def resize(feature_NCHW: Tensor, height: int, width: int) -> Tensor:
    """Bilinear; nothing where the size is right already."""
    if feature_NCHW.shape[-2:] == (height, width):
        return feature_NCHW
    return F.interpolate(feature_NCHW, (height, width), mode="bilinear", align_corners=False)
