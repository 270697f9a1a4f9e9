"""The step of a network cut into its parts, and networks that stop after some of them. Knows nothing of timing.

Legend: B batch, C channels, H/W pixels, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor, nn

from search_spaces.architecture import Placement
from search_spaces.cells.base import State
from search_spaces.network import VideoSegmenter
from search_spaces.network_spec import SKIP_PLACES
from search_spaces.resizing import resize, scaled_hw


@dataclass(slots=True)
class Frame:
    """A frame on its way through the parts: the feature so far, and what later parts look back to."""

    feature: Tensor
    size_hw: tuple[int, int]
    temporal: Callable[[Placement, Tensor], Tensor]
    features: list[Tensor] = field(default_factory=list)
    picture: Tensor | None = None
    """What the stem saw."""
    branch: Tensor | None = None
    """The detail branch, where it stands beside the stages."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the step: its name, the submodules whose parameters it uses, and what it does to a frame."""

    name: str
    modules: tuple[str, ...]
    run: Callable[[VideoSegmenter, Frame], None]
    place: Placement | None = None
    """The placement of the temporal cell, where the part is one."""


def parts_of(model: VideoSegmenter) -> list[Part]:
    """The parts of `model.step` in order; one after the other they are the whole step."""
    parts = [Part("input", (), _input), Part("stem", ("stem",), _stem)]
    for index in range(len(model.stages)):
        joint = index - model.spec.first_beside
        beside = () if joint < 0 else (f"detail.beside.{joint}",)
        parts.append(Part(f"stage {index}", (f"stages.{index}", *beside), _stage(index)))
        place = model.spec.stage_places[index]
        parts += [] if place is None else _cell_parts(model, place)
    if not isinstance(model.context, nn.Identity):
        parts.append(Part("context", ("context",), _context))
    parts += _cell_parts(model, "bottleneck")
    if model.detail is not None:
        children = (name for name, _ in model.detail.named_children() if name != "beside")
        parts.append(Part("detail", tuple(f"detail.{name}" for name in children), _detail))
    for stride in model.spec.skip_strides:
        parts += _cell_parts(model, SKIP_PLACES[stride])
    names = [name for name, _ in model.decoder.named_children()]
    heads = tuple(f"decoder.{name}" for name in names if name.startswith("classify"))
    decoder = tuple(f"decoder.{name}" for name in names if not name.startswith("classify"))
    parts.append(Part("decoder", decoder, _decoder))
    parts += _cell_parts(model, "decoder")
    parts.append(Part("head", heads, _head))
    parts += _cell_parts(model, "logits")
    if model.spec.decoder.logits == "full":
        parts.append(Part("upsampling", (), _upsampling))
    return parts


class Prefix(nn.Module):
    """The first `count` parts of a network's step, with `step` and `initial_state` as the network has them.

    With `probed_at`, the frame's size, what comes out is not the last feature but one weighted sum of the
    channels of its first pixel: a 1 x 1 convolution whose stride is the feature's size. The feature itself would
    have to be brought from the runtime's blocked layout to the output's, which the whole network does not do
    there; a convolution reads the blocked layout as the next part mostly does. A change of layout that the next
    part's convolution needs as well is thereby counted with the part before it. `count` 0 probes the frame
    itself: what a call costs that computes nothing.
    """

    def __init__(self, model: VideoSegmenter, count: int, probed_at: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.model = model
        self.parts = parts_of(model)[:count]
        self.places = [part.place for part in self.parts if part.place is not None]
        self.probe: nn.Module = nn.Identity()
        self.eval()
        if probed_at is None:
            return
        with torch.no_grad():
            feature, _ = self.step(torch.zeros(1, 3, *probed_at), self.initial_state(1, *probed_at))
            channels, *stride = feature.shape[1:]
            probe = nn.Conv2d(channels, 1, 1, (stride[0], stride[1]), bias=False)
            nn.init.constant_(probe.weight, 1.0 / channels)
        self.probe = probe.eval()

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """Zeros for the cells among the parts."""
        return tuple(tensor for place in self.places for tensor in self.model.site_state(place, batch, height, width))

    def step(self, frame_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: (frame, state) -> (last feature, or what the probe says of it; next state)."""
        waiting = iter(state)
        following: list[Tensor] = []

        def temporal(place: Placement, feature_BCHW: Tensor) -> Tensor:
            site = self.model.site(place)
            feature_BCHW, new = site.step(feature_BCHW, tuple(islice(waiting, site.num_states)))
            following.extend(new)
            return feature_BCHW

        frame = Frame(frame_BCHW, (frame_BCHW.shape[-2], frame_BCHW.shape[-1]), temporal)
        for part in self.parts:
            part.run(self.model, frame)
        return self.probe(frame.feature), tuple(following)


def _input(model: VideoSegmenter, frame: Frame) -> None:
    frame.feature = (frame.feature - model.mean) / model.std
    scaled = scaled_hw(*frame.size_hw, model.spec)
    if scaled != frame.size_hw:
        frame.feature = resize(frame.feature, *scaled)


def _stem(model: VideoSegmenter, frame: Frame) -> None:
    frame.picture = frame.feature
    frame.feature = model.stem(frame.feature)
    frame.features.append(frame.feature)


def _stage(index: int) -> Callable[[VideoSegmenter, Frame], None]:
    def run(model: VideoSegmenter, frame: Frame) -> None:
        frame.feature, frame.branch = model.run_stage(index, frame.features, frame.branch)
        frame.features.append(frame.feature)

    return run


def _context(model: VideoSegmenter, frame: Frame) -> None:
    frame.feature = model.context(frame.feature)


def _detail(model: VideoSegmenter, frame: Frame) -> None:
    assert model.detail is not None
    source = frame.features[model.spec.detail_source]
    frame.feature = model.detail.join(frame.picture, source, frame.branch, frame.feature)


def _decoder(model: VideoSegmenter, frame: Frame) -> None:
    frame.feature = model.decoder.fuse(frame.feature, _skips(model, frame))


def _head(model: VideoSegmenter, frame: Frame) -> None:
    frame.feature = model.decoder.scores(frame.feature, _skips(model, frame))


def _skips(model: VideoSegmenter, frame: Frame) -> list[Tensor]:
    return [frame.features[index] for index in model.skip_indices]


def _upsampling(model: VideoSegmenter, frame: Frame) -> None:
    frame.feature = model.upsample(frame.feature, *frame.size_hw)


def _cell_parts(model: VideoSegmenter, place: Placement) -> list[Part]:
    """The cell at `place` as a part, where there is one; a cell on a skip changes what the decoder looks back to."""
    index = None
    if place.startswith("skip"):
        index = model.skip_indices[model.spec.skip_strides.index(int(place.removeprefix("skip")))]
    elif place.startswith("stage"):
        index = -1

    def run(_: VideoSegmenter, frame: Frame) -> None:
        given = frame.features[index] if place.startswith("skip") and index is not None else frame.feature
        out = frame.temporal(place, given)
        if index is not None:
            frame.features[index] = out
        if not place.startswith("skip"):
            frame.feature = out

    return [Part(f"temporal {place}", (f"sites.{place}",), run, place)] if place in model.sites else []
