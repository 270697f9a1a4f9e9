"""From an architecture to a causal, streaming segmentation network. Knows nothing of data or searchers.

Legend: B batch, T frames, C channels, H/W pixels, K classes, N = B * T.
"""

from collections.abc import Sequence
from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, NetworkSpec, Placement
from search_spaces.cells.base import State
from search_spaces.contexts import CONTEXTS
from search_spaces.decoders import DECODERS
from search_spaces.detail import Detail, Surroundings
from search_spaces.distributed import GROUPS, Distributed
from search_spaces.errors import InputError
from search_spaces.frame_pass import Pass
from search_spaces.keyframes import Keyframes
from search_spaces.network_spec import SKIP_PLACES
from search_spaces.placements import place_shape
from search_spaces.resizing import feature_hw, resize, scaled_hw
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec
from search_spaces.site import Site
from search_spaces.stages import build_stage
from search_spaces.stems import STEMS

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

    With a schedule frame t of a sequence runs phase t modulo `num_phases`, counted from the last reset; the state
    then holds what other frames computed, and the first `warmup_frames` see zeros in the place of some of it.
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
        if isinstance(spec.schedule, DistributedSpec):
            self.stages[-1] = Distributed(spec.stages[-1], widths[-2], spec.schedule)
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
            {s.placement: Site(s, place_shape(spec, num_classes, s.placement)[0]) for s in spec.temporal}
        )
        self.keyframes: Keyframes | None = None
        if isinstance(spec.schedule, KeyframesSpec):
            strides = {"stem_stride": spec.stem.stride, "head_stride": spec.head_stride}
            self.keyframes = Keyframes(spec.schedule, spec.stem.channels, num_classes, **strides)

    @property
    def num_phases(self) -> int:
        """Length of the schedule in frames; 1 where there is none."""
        return self.spec.num_phases

    def phase_kind(self, phase: int) -> tuple[bool, ...] | int:
        """Equal for phases that compute the same: which stages run, or which path of a divided one."""
        return 0 if self.spec.schedule is None else self.spec.schedule.phase_kind(phase)

    @property
    def warmup_frames(self) -> int:
        """Frames after a reset in which something that other frames compute is still zero."""
        return 0 if self.spec.schedule is None else self.spec.schedule.warmup_frames

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """Zeros for frames of this size; a flat tuple of the cells' states in the order they are met.

        Raises:
            ValueError: a side is under 32 pixels.
        """
        if min(height, width) < MIN_SIDE:
            raise ValueError(f"frame size {height}x{width} given; each side must be at least {MIN_SIDE}")
        places = [site.placement for site in self.spec.temporal]
        cells: dict[str, State] = {place: self.site_state(place, batch, height, width) for place in places}
        return _joined(cells | self._kept_state(batch, height, width))

    def site_state(self, place: Placement, batch: int, height: int, width: int) -> State:
        """The part of `initial_state` that belongs to the cell at a placement."""
        stride = place_shape(self.spec, self.num_classes, place)[1]
        return self.site(place).initial_state(batch, *feature_hw(height, width, stride, self.spec))

    def _kept_state(self, batch: int, height: int, width: int) -> dict[str, State]:
        """The part of `initial_state` that belongs to the schedule, by the names that a pass knows it by."""

        def zeros(channels: int, stride: int) -> State:
            return (self.mean.new_zeros(batch, channels, *feature_hw(height, width, stride, self.spec)),)

        spec = self.spec
        if self.keyframes is not None:
            return {name: zeros(*kept) for name, kept in self.keyframes.kept.items()}
        if isinstance(self.stages[-1], Distributed):
            return {GROUPS: self.stages[-1].initial_state(batch, *feature_hw(height, width, spec.strides[-1], spec))}
        return {
            _held(index): zeros(spec.stages[index].channels, spec.strides[index])
            for index, period in enumerate(spec.refresh_periods)
            if period > 1
        }

    def step(self, frame_BCHW: Tensor, state: State, phase: int = 0) -> tuple[Tensor, State]:
        """One frame: (frame, state) -> (logits_BKHW, next state). What is exported and timed, a graph a phase.

        `phase` may be the number of the frame since the last reset: it counts modulo `num_phases`.
        Where the specification leaves the enlarging to whoever takes the logits, they are smaller: `upsample` them.
        """
        passed = Pass(self.sites, self._split(state), phase % self.num_phases)
        logits = self._run(frame_BCHW, passed)
        if self.spec.decoder.logits == "full":
            logits = self.upsample(logits, *frame_BCHW.shape[-2:])
        return logits, _joined(passed.parts)

    def upsample(self, logits_NKhw: Tensor, height: int, width: int) -> Tensor:
        """What `step` gave, at the size of its frame; nothing where it is there already."""
        return resize(logits_NKhw, height, width)

    def forward(self, clip_BTCHW: Tensor) -> Tensor:
        """A clip from its first frame on: logits_BTKHW.

        While training, a single frame is a video that stands still: it is repeated until nothing is zero any more
        of what a schedule keeps. Else training on single frames would never reach what phase 0 leaves out.
        """
        still = self.training and clip_BTCHW.shape[1] == 1
        if still:
            clip_BTCHW = clip_BTCHW.expand(-1, 1 + self.warmup_frames, -1, -1, -1)
        logits = self.roll(clip_BTCHW, self.initial_state(clip_BTCHW.shape[0], *clip_BTCHW.shape[-2:]))[0]
        return logits[:, -1:] if still else logits

    def roll(self, clip_BTCHW: Tensor, state: State, phase: int = 0) -> tuple[Tensor, State]:
        """A clip that goes on from `state` with the frame of `phase`: (logits_BTKHW, next state).

        Frames run as one batch, cells in time; what a clock leaves out is not computed.
        """
        shape_BT = (clip_BTCHW.shape[0], clip_BTCHW.shape[1])
        passed = Pass(self.sites, self._split(state), phase % self.num_phases, shape_BT)
        logits_NKHW = self.upsample(self._run(clip_BTCHW.flatten(0, 1), passed), *clip_BTCHW.shape[-2:])
        return logits_NKHW.view(*shape_BT, *logits_NKHW.shape[1:]), _joined(passed.parts)

    def _run(self, frames_NCHW: Tensor, passed: Pass) -> Tensor:
        """Class scores at the head's size."""
        if self.keyframes is not None:
            return self.keyframes.run(passed, frames_NCHW, self._shallow, self._scores)
        scaled_NCHW = self._scaled(frames_NCHW)
        return self._scores(passed, self.stem(scaled_NCHW), scaled_NCHW)

    def _scaled(self, frames_NCHW: Tensor) -> Tensor:
        """Normalized frames, at the size that the stem sees."""
        height, width = frames_NCHW.shape[-2:]
        normalized: Tensor = (frames_NCHW - self.mean) / self.std
        return resize(normalized, *scaled_hw(height, width, self.spec))

    def _shallow(self, frames_NCHW: Tensor) -> Tensor:
        """The stem's feature."""
        out: Tensor = self.stem(self._scaled(frames_NCHW))
        return out

    def _scores(self, passed: Pass, feature_NCHW: Tensor, frame_NCHW: Tensor | None = None) -> Tensor:
        """The stem's feature to class scores at the head's size; a detail branch from the frame needs that too."""
        features, branch = [feature_NCHW], None
        for index in range(len(self.stages)):
            if self.detail is not None and index >= self.spec.first_beside:  # such a branch has no clock
                feature, branch = self.run_stage(index, features, branch)
                feature = self._behind(index, passed, feature)
            else:
                feature = self._clocked_stage(index, passed, features[-1])
            features.append(feature)
        feature = features[-1]
        if self.detail is not None:
            feature = self.detail.join(frame_NCHW, features[self.spec.detail_source], branch, feature)
        skips = [
            passed.temporal(SKIP_PLACES[stride], features[index])
            for stride, index in zip(self.spec.skip_strides, self.skip_indices, strict=True)
        ]
        feature = passed.temporal("decoder", self.decoder.fuse(feature, skips))
        return passed.temporal("logits", self.decoder.scores(feature, skips))

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

    def _clocked_stage(self, index: int, passed: Pass, feature_NCHW: Tensor) -> Tensor:
        """A stage at the frames at which it is due, what it last gave in between."""
        schedule = self.spec.schedule
        if not isinstance(schedule, ClockworkSpec) or schedule.periods[index] == 1:
            return self._stage(index, passed, feature_NCHW)
        clock = schedule.periods[index], schedule.offsets[index]
        return passed.held(_held(index), feature_NCHW, clock, partial(self._stage, index))

    def _stage(self, index: int, passed: Pass, feature_NCHW: Tensor) -> Tensor:
        """A stage with the cell behind it; the last one with the context in between."""
        stage = self.stages[index]
        feature = stage.run(passed, feature_NCHW) if isinstance(stage, Distributed) else stage(feature_NCHW)
        return self._behind(index, passed, feature)

    def _behind(self, index: int, passed: Pass, feature_NCHW: Tensor) -> Tensor:
        """What stands behind a stage: its cell, and behind the last one the context and the cell at the bottleneck."""
        if index == len(self.stages) - 1:
            return passed.temporal("bottleneck", self.context(feature_NCHW))
        place = self.spec.stage_places[index]
        return feature_NCHW if place is None else passed.temporal(place, feature_NCHW)

    def site(self, place: str) -> Site:
        """The temporal cell at a placement. Raises KeyError where there is none."""
        site = self.sites[place]
        assert isinstance(site, Site)
        return site

    def _split(self, state: State) -> dict[str, State]:
        """The flat state by name: the cells in the order they are met, then what the schedule keeps."""
        parts: dict[str, State] = {}
        start = 0
        for name, count in self._state_counts().items():
            parts[name] = state[start : start + count]
            start += count
        if start != len(state):
            raise ValueError(f"state has {len(state)} tensors; this network carries {start}")
        return parts

    def _state_counts(self) -> dict[str, int]:
        """Tensors of every part of the state."""
        counts = {place: self.site(place).num_states for place in self.sites}
        if self.keyframes is not None:
            return counts | dict.fromkeys(self.keyframes.kept, 1)
        if isinstance(self.stages[-1], Distributed):
            return counts | {GROUPS: self.stages[-1].num_states}
        return counts | {_held(index): 1 for index, period in enumerate(self.spec.refresh_periods) if period > 1}


def _held(index: int) -> str:
    return f"held {index}"


def _joined(parts: dict[str, State]) -> State:
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
