"""From an architecture to a causal, streaming segmentation network. Knows nothing of data or searchers.

Legend: B batch, T frames, C channels, H/W pixels, K classes, N = B * T.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, NetworkSpec, Placement
from search_spaces.cells.base import State
from search_spaces.contexts import CONTEXTS
from search_spaces.decoders import DECODERS
from search_spaces.detail import Detail, Surroundings
from search_spaces.errors import InputError
from search_spaces.network_spec import SKIP_PLACES
from search_spaces.resizing import resize, scaled_hw
from search_spaces.site import Site
from search_spaces.stages import build_stage
from search_spaces.stems import STEMS

Temporal = Callable[[Placement, Tensor], Tensor]
"""Applies the temporal cell at a placement, if there is one; the only thing step and forward differ in."""

MEAN_RGB = (0.45, 0.45, 0.45)
STD_RGB = (0.25, 0.25, 0.25)
"""Near the statistics of natural pictures; batch norm takes care of the rest."""

MIN_SIDE = 32

MAX_PARAMETERS = 2**27
"""Half a gigabyte of float32, ten times the largest network that segments video on a device."""


class VideoSegmenter(nn.Module):
    """A network that segments a video frame by frame, carrying a state. Built by `build`.

    Frames are RGB, float, 0..1; the normalization is inside. Logits come back at the frame's size;
    `step` leaves the enlarging to `upsample` where the specification says so. `forward` over a clip equals `step`
    over its frames in eval mode.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: NetworkSpec, num_classes: int) -> None:
        super().__init__()
        self.spec = spec
        self.num_classes = num_classes
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD_RGB).view(1, 3, 1, 1), persistent=False)
        self.stem = STEMS[spec.stem.kind](spec.stem)
        widths = [spec.stem.channels, *(stage.channels for stage in spec.stages)]
        self.stages = nn.ModuleList(
            build_stage(stage, in_channels, open_ended=index >= spec.first_beside)
            for index, (stage, in_channels) in enumerate(zip(spec.stages, widths, strict=False))
        )
        act = spec.stages[-1].activation
        self.context = CONTEXTS[spec.context](widths[-1], spec.strides[-1], act, spec.deep_channels)
        self.skip_indices = tuple(spec.source_at(stride) for stride in spec.skip_strides)
        self.detail: Detail | None = None
        if spec.detail is not None:
            beside = spec.stages[spec.first_beside :]
            around = Surroundings(widths[spec.detail_source], beside, spec.deep_channels, spec.strides[-1])
            self.detail = Detail(spec.detail, around)
        skip_channels = [widths[index] for index in self.skip_indices]
        self.decoder = DECODERS[spec.decoder.kind](spec.decoder, spec.given_channels, skip_channels, num_classes)
        self.sites = nn.ModuleDict(
            {site.placement: Site(site, self._place(site.placement)[0]) for site in spec.temporal}
        )

    def _place(self, place: Placement) -> tuple[int, int]:
        """(channels, stride relative to the scaled input) of the feature at a placement."""
        spec = self.spec
        if place.startswith("stage"):
            index = int(place.removeprefix("stage"))
            return spec.stages[index].channels, spec.strides[index]
        if place.startswith("skip"):
            stride = int(place.removeprefix("skip"))
            index = self.skip_indices[spec.skip_strides.index(stride)]
            return (spec.stem.channels if index == 0 else spec.stages[index - 1].channels), stride
        if place == "bottleneck":
            return spec.deep_channels, spec.strides[-1]
        if place == "decoder":
            return spec.decoder.channels, spec.fused_stride
        return self.num_classes, spec.head_stride

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
        """One frame: (frame, state) -> (logits_BKHW, next state). What is exported and timed.

        Where the specification leaves the enlarging to whoever takes the logits, they are smaller: `upsample` them.
        """
        parts = self._split(state)

        def temporal(place: Placement, feature_BCHW: Tensor) -> Tensor:
            if place in self.sites:
                feature_BCHW, parts[place] = self.site(place).step(feature_BCHW, parts[place])
            return feature_BCHW

        logits = self._run(frame_BCHW, temporal)
        if self.spec.decoder.logits == "full":
            logits = self.upsample(logits, *frame_BCHW.shape[-2:])
        return logits, self._joined(parts)

    def upsample(self, logits_NKhw: Tensor, height: int, width: int) -> Tensor:
        """What `step` gave, at the size of its frame; nothing where it is there already."""
        return resize(logits_NKhw, height, width)

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

        logits_NKHW = self.upsample(self._run(clip_BTCHW.flatten(0, 1), temporal), *clip_BTCHW.shape[-2:])
        return logits_NKHW.view(*shape_BT, *logits_NKHW.shape[1:]), self._joined(parts)

    def _run(self, frames_NCHW: Tensor, temporal: Temporal) -> Tensor:
        """Class scores at the head's size."""
        height, width = frames_NCHW.shape[-2:]
        feature = (frames_NCHW - self.mean) / self.std
        scaled = scaled_hw(height, width, self.spec)
        if scaled != (height, width):
            feature = resize(feature, *scaled)
        frame, feature = feature, self.stem(feature)
        features, branch = [feature], None
        for index, place in enumerate(self.spec.stage_places):
            feature, branch = self.run_stage(index, features, branch)
            if place is not None:
                feature = temporal(place, feature)
            features.append(feature)
        feature = temporal("bottleneck", self.context(feature))
        feature = self.join_detail(frame, features, branch, feature)
        skips = [
            temporal(SKIP_PLACES[stride], features[index])
            for stride, index in zip(self.spec.skip_strides, self.skip_indices, strict=True)
        ]
        feature = temporal("decoder", self.decoder.fuse(feature, skips))
        return temporal("logits", self.decoder.scores(feature, skips))

    def run_stage(
        self, index: int, features: Sequence[Tensor], branch_NCHW: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Stage `index` on the last of `features` (the stem's first), and what of the detail branch stands beside it.

        Returns the stage's output and the branch's; the latter is None as long as nothing stands beside.
        """
        feature = self.stages[index](features[-1])
        if self.detail is None or index < self.spec.first_beside:
            return feature, None
        before = features[-1] if branch_NCHW is None else branch_NCHW
        branch_NCHW, feature = self.detail.beside[index - self.spec.first_beside](before, feature)
        return feature, branch_NCHW

    def join_detail(
        self, frame_NCHW: Tensor, features: Sequence[Tensor], branch_NCHW: Tensor | None, context_NChw: Tensor
    ) -> Tensor:
        """The context feature joined with the detail branch, if there is one; `branch_NCHW` is what stood beside."""
        if self.detail is None:
            return context_NChw
        if branch_NCHW is None:
            branch_NCHW = self.detail.start(frame_NCHW, features[self.spec.detail_source])
        joined: Tensor = self.detail(branch_NCHW, context_NChw)
        return joined

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
