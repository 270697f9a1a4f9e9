"""The built-in dataset: rendered videos of textured shapes under a moving camera. Knows nothing of training.

Needs no files. Every video comes from its own seed, so a split can be rendered in any order; equal versions
have equal bytes, which a test pins with `CONTENT_SHA256`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from evaluators.datasets.base import BYTES_PER_PIXEL, CheckReport, DatasetInfo, Video
from evaluators.datasets.checking import check_videos
from evaluators.datasets.scenes import CLASSES, scene
from evaluators.datasets.strips import MAX_SPLIT_BYTES
from search_spaces.errors import InputError

NAME = "moving_shapes"
VERSION = 2
CONTENT_SHA256 = "dd213490d2f685c8f79f4bc934494dd86ff2e681733c182be7b42a9c6aa8de26"
"""Of frames, labels, flow and visibility of all splits at the default size: a change needs a new VERSION."""

DEFAULT_HW = (96, 128)
MIN_SIDE, MAX_SIDE = 32, 1024
NUM_FRAMES, FPS = 12, 25.0
SPLITS = {"train": 72, "val": 12, "test": 12}
_PALETTE = ((40, 40, 40), (220, 60, 50), (50, 90, 220), (60, 180, 60), (230, 200, 50), (170, 60, 200))


@dataclass(frozen=True, slots=True)
class MovingShapes:
    """72, 12 and 12 videos of 12 frames; background and five shapes. Lengths scale with the picture."""

    size_hw: tuple[int, int] = DEFAULT_HW

    def __post_init__(self) -> None:
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in self.size_hw):
            raise InputError(f"{NAME}: size {self.size_hw} given, sides of {MIN_SIDE}..{MAX_SIDE} pixels allowed")

    @property
    def info(self) -> DatasetInfo:
        """The facts; the fingerprint covers version, pinned content and size."""
        facts = f"{NAME} {VERSION} {CONTENT_SHA256} {self.size_hw}"
        return DatasetInfo(
            spec=NAME,
            classes=CLASSES,
            palette=_PALETTE,
            size_hw=self.size_hw,
            splits=tuple(SPLITS),
            fingerprint=hashlib.sha256(facts.encode()).hexdigest()[:24],
            sparse=False,
            fps=FPS,
        )

    def videos(self, split: str) -> Sequence[Video]:
        """Render a split, once a process. Raises InputError for an unknown one or more than MAX_SPLIT_BYTES."""
        if split not in SPLITS:
            raise InputError(f"{NAME}: split {split!r} is unknown; allowed: {', '.join(SPLITS)}")
        height, width = self.size_hw
        needed = SPLITS[split] * NUM_FRAMES * height * width * BYTES_PER_PIXEL
        if needed > MAX_SPLIT_BYTES:
            raise InputError(
                f"{NAME}: split {split} takes {needed / 2**30:.1f} GiB at {height}x{width}, at most "
                f"{MAX_SPLIT_BYTES / 2**30:.1f} GiB are allowed; give a smaller size"
            )
        return _rendered(split, self.size_hw)

    def check(self) -> CheckReport:
        """Render and read everything once."""
        return check_videos(self)


@lru_cache(maxsize=6)
def _rendered(split: str, size_hw: tuple[int, int]) -> tuple[Video, ...]:
    return tuple(_video(split, index, size_hw) for index in range(SPLITS[split]))


def _video(split: str, index: int, size_hw: tuple[int, int]) -> Video:
    rng = np.random.default_rng((VERSION, list(SPLITS).index(split), index))
    rendered = scene(rng, NUM_FRAMES, *size_hw)
    return Video(
        name=f"{split}{index:02d}",
        frames_TCHW=torch.from_numpy(rendered.frames_TCHW),
        labels_THW=torch.from_numpy(rendered.labels_THW),
        labelled_T=torch.ones(NUM_FRAMES, dtype=torch.bool),
        fps=FPS,
        flow_T2HW=torch.from_numpy(rendered.flow_T2HW),
        visible_THW=torch.from_numpy(rendered.visible_THW),
    )


def content_sha256(size_hw: tuple[int, int] = DEFAULT_HW) -> str:
    """Hash of every rendered byte, in the order of splits and videos."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for video in _rendered(split, size_hw):
            assert video.flow_T2HW is not None
            assert video.visible_THW is not None
            for tensor in (video.frames_TCHW, video.labels_THW, video.flow_T2HW, video.visible_THW):
                digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
