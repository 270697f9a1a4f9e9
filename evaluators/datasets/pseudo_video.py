"""Pseudo-video: labelled stills become short videos with exact motion. Knows nothing of files or training.

The still is a plane under a moving camera; compact objects cut from this and other stills move on top of it
on paths of their own, so that motion differs between parts of the picture and things hide each other. Stills
one second apart are no video, and flow between them cannot be trusted; here labels and motion are exact.
Extends the affine-moving crops of stills that our reference runs used by objects with motion of their own.

Legend: T frames, H/W pixels, C=3; speeds are per frame.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from evaluators.datasets.base import IGNORE, Video
from evaluators.datasets.components import Component, Regions, movable_classes, regions
from evaluators.datasets.layers import Layer, Pose, compose, render, view
from evaluators.datasets.photometry import degrade
from search_spaces.errors import InputError

Bytes = NDArray[np.uint8]

MIRROR_SHARE = 0.25
"""Mirrored colour around the still, of its height and width; beyond it the edge goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoOptions:
    """How a clip moves. Lengths are shares of the picture's width."""

    movable: tuple[int, ...] | None = None  # classes whose objects are copied; None: derived from the stills
    max_objects: int = 3
    max_shift: float = 0.012
    max_zoom: float = 0.012
    max_turn_rad: float = 0.006
    max_crop: float = 1.25  # largest enlargement of the still
    max_object_shift: float = 0.03
    gain: float = 0.15  # brightness jitter, both ways, independent a frame
    sigma: float = 5.0  # noise, grey levels
    last_upright: bool = False  # the last frame shows the still as it is: what is scored is a real view


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """One labelled frame and the regions of its labels."""

    name: str
    frame_CHW: Bytes
    labels_HW: Bytes
    found: Regions


@dataclass(frozen=True, slots=True, eq=False)
class Stills:
    """Labelled frames of one size, and the movable objects in them: (index of the still, region)."""

    items: tuple[Still, ...]
    movable: tuple[int, ...]
    objects: tuple[tuple[int, int], ...]

    def objects_of(self, classes: tuple[int, ...] | None) -> tuple[tuple[int, int], ...]:
        """Objects of the given classes; None: those derived from the data."""
        if classes is None:
            return self.objects
        return _objects(self.items, classes)


@lru_cache(maxsize=4)
def collect_stills(videos: tuple[Video, ...]) -> Stills:
    """The labelled frames of `videos` (views, no copies) with their regions; kept for four sets of videos.

    Raises:
        InputError: no labelled frame.
    """
    items = tuple(
        Still(f"{video.name} frame {t}", video.frames_TCHW[t].numpy(), labels, regions(labels))
        for video in videos
        for t in np.flatnonzero(video.labelled_T.numpy()).tolist()
        for labels in (video.labels_THW[t].numpy(),)
    )
    if not items:
        raise InputError(f"pseudo-video: none of the {len(videos)} videos has a labelled frame; one is needed")
    movable = movable_classes([item.found for item in items])
    return Stills(items, movable, _objects(items, movable))


def _objects(items: Sequence[Still], classes: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (index, int(number))
        for index, item in enumerate(items)
        for number in np.flatnonzero(item.found.compact() & np.isin(item.found.label_N, classes))
    )


def pseudo_clip(
    stills: Stills,
    index: int,
    num_frames: int,
    rng: np.random.Generator,
    options: PseudoOptions | None = None,
) -> Video:
    """A clip of `num_frames` frames from still `index`; equal generator states give equal bytes.

    What lies outside the still is mirrored colour with label IGNORE. Every frame is labelled.
    """
    options = options or PseudoOptions()
    still = stills.items[index]
    height, width = still.labels_HW.shape
    camera = _camera(rng, num_frames, height, width, options)
    layers = [_plane(still, camera)]
    objects = stills.objects_of(options.movable)
    own = [entry for entry in objects if entry[0] == index]
    for _ in range(int(rng.integers(1, options.max_objects + 1)) if objects and options.max_objects else 0):
        pool = own if own and rng.random() < 0.5 else objects
        source, number = pool[int(rng.integers(len(pool)))]
        donor = stills.items[source]
        layers.append(_moving(rng, donor, donor.found.cut(number), camera, options))
    rendered = render(layers, height, width)
    gains = [1.0 + options.gain * float(rng.uniform(-1.0, 1.0)) for _ in range(num_frames)]
    degrade(rendered.frames_TCHW, gains, [options.sigma] * num_frames, rng)
    return Video(
        name=f"pseudo {still.name}",
        frames_TCHW=torch.from_numpy(rendered.frames_TCHW),
        labels_THW=torch.from_numpy(rendered.labels_THW),
        labelled_T=torch.ones(num_frames, dtype=torch.bool),
        fps=None,
        flow_T2HW=torch.from_numpy(rendered.flow_T2HW),
        visible_THW=torch.from_numpy(rendered.visible_THW),
    )


def _camera(
    rng: np.random.Generator, num_frames: int, height: int, width: int, options: PseudoOptions
) -> tuple[Pose, ...]:
    """Poses from output pixels to the still's pixels: shift, zoom and turn with slowly changing speed."""
    shift, zoom, turn = options.max_shift * width, options.max_zoom, options.max_turn_rad
    speed_x, speed_y = float(rng.uniform(-shift, shift)), float(rng.uniform(-shift, shift)) / 2
    growth, spin = float(rng.uniform(-zoom, zoom)), float(rng.uniform(-turn, turn))
    sway, phase = float(rng.uniform(0.0, shift)), float(rng.uniform(0.0, 2 * math.pi))
    crop = 1.0 if options.last_upright else float(rng.uniform(1.0, options.max_crop))
    spare_x, spare_y = (1 - 1 / crop) * width / 2, (1 - 1 / crop) * height / 2
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    aim_x = centre_x + float(rng.uniform(-spare_x, spare_x))
    aim_y = centre_y + float(rng.uniform(-spare_y, spare_y))
    rest = num_frames - 1 if options.last_upright else (num_frames - 1) / 2
    poses = []
    for t in range(num_frames):
        ago = t - rest
        drift = sway * (math.sin(phase + 0.7 * ago) - math.sin(phase))
        target = (aim_x + speed_x * ago + drift, aim_y + speed_y * ago)
        poses.append(view(centre_x, centre_y, *target, spin * ago, crop * (1 + growth) ** ago))
    return tuple(poses)


def _plane(still: Still, camera: tuple[Pose, ...]) -> Layer:
    """The still with a mirrored border that carries no label."""
    height, width = still.labels_HW.shape
    border_y, border_x = int(height * MIRROR_SHARE), int(width * MIRROR_SHARE)
    rows, columns = _mirror(height, border_y), _mirror(width, border_x)
    texture = np.ascontiguousarray(still.frame_CHW.transpose(1, 2, 0))[rows][:, columns]
    labels = np.pad(still.labels_HW, ((border_y,) * 2, (border_x,) * 2), constant_values=IGNORE)
    move: Pose = (1.0, 0.0, float(border_x), 0.0, 1.0, float(border_y))
    return Layer(texture, labels, None, tuple(compose(move, pose) for pose in camera))


def _mirror(length: int, border: int) -> NDArray[np.intp]:
    """Indices of 0..length-1 continued by mirroring at both ends."""
    index = np.arange(-border, length + border)
    index = np.where(index < 0, -index - 1, index)
    return np.where(index >= length, 2 * length - 1 - index, index)


def _moving(
    rng: np.random.Generator, donor: Still, part: Component, camera: tuple[Pose, ...], options: PseudoOptions
) -> Layer:
    """A copy of an object, perhaps flipped, near the height where it was seen, on a path of its own."""
    height, width = donor.labels_HW.shape
    rows, columns = part.mask_HW.shape
    patch = donor.frame_CHW[:, part.top : part.top + rows, part.left : part.left + columns]
    texture, mask = np.ascontiguousarray(patch.transpose(1, 2, 0)), part.mask_HW
    if rng.random() < 0.5:
        texture, mask = texture[:, ::-1], mask[:, ::-1]
    x = float(rng.uniform(0.05, 0.95)) * width
    y = part.top + rows / 2 + float(rng.uniform(-0.08, 0.08)) * height
    fastest = options.max_object_shift * width
    speed_x, speed_y = float(rng.uniform(-fastest, fastest)), float(rng.uniform(-fastest, fastest)) / 6
    size, growth = float(rng.uniform(0.8, 1.4)), float(rng.uniform(-0.02, 0.02))
    middle = (len(camera) - 1) / 2
    poses = tuple(
        compose(
            view(
                x + speed_x * (t - middle),
                y + speed_y * (t - middle),
                (columns - 1) / 2,
                (rows - 1) / 2,
                0.0,
                size * (1 + growth) ** (t - middle),
            ),
            pose,
        )
        for t, pose in enumerate(camera)
    )
    return Layer(texture, np.full(mask.shape, part.label, np.uint8), mask, poses)
