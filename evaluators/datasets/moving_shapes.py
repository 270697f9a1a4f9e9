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

from evaluators.datasets.base import CheckReport, DatasetInfo, Video
from evaluators.datasets.checking import check_videos
from evaluators.datasets.scenes import CLASSES, scene
from search_spaces.errors import InputError

NAME = "moving_shapes"
VERSION = 1
CONTENT_SHA256 = "4ffa0fb0717787e4bdb5c3bb83e97cedaab2f5ef1917433980047c7119b427e5"
"""Of frames, labels, flow and visibility of all splits at the default size: a change needs a new VERSION."""

DEFAULT_HW = (96, 128)
MIN_SIDE, MAX_SIDE = 32, 1024
NUM_FRAMES, FPS = 16, 25.0
SPLITS = {"train": 24, "val": 6, "test": 6}
_PALETTE = ((40, 40, 40), (220, 60, 50), (50, 90, 220), (60, 180, 60), (230, 200, 50), (170, 60, 200))


@dataclass(frozen=True, slots=True)
class MovingShapes:
    """24, 6 and 6 videos of 16 frames; background and five shapes. Lengths scale with the picture."""

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
        """Render a split, once a process. Raises InputError for an unknown one."""
        if split not in SPLITS:
            raise InputError(f"{NAME}: split {split!r} is unknown; allowed: {', '.join(SPLITS)}")
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
