"""What a dataset is: videos of uint8 frames and labels, exact motion where known. Knows nothing of training.

Legend: T frames, H/W pixels, C=3 RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

IGNORE = 255
"""Label of pixels that are not scored, whatever the dataset's own file format uses."""

BYTES_PER_PIXEL = 9
"""Of a video with motion: 3 frame, 1 label, 4 flow, 1 visibility."""


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """Consecutive frames without gap or cut: state is carried through it and reset before it.

    flow_T2HW: channel 0 dx, channel 1 dy, pixels; what is at p in frame t was at p + flow[t] in frame t-1;
    flow[0] is zero. visible_THW: that point was seen in t-1 (not hidden, inside the picture); [0] False.
    """

    name: str
    frames_TCHW: Tensor  # uint8
    labels_THW: Tensor  # uint8, IGNORE where unlabelled
    labelled_T: Tensor  # bool: the frame has a label
    fps: float | None = None
    flow_T2HW: Tensor | None = None  # float16
    visible_THW: Tensor | None = None  # bool


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """The facts of a dataset. `fingerprint` is a hash of its content, part of every result's identity."""

    spec: str  # as the user wrote it: "moving_shapes", "camvid:PATH", "folder:PATH"
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    size_hw: tuple[int, int]
    splits: tuple[str, ...]
    fingerprint: str
    sparse: bool  # train labels too far apart in time for video: train on pseudo-video
    select: tuple[str, ...] = ()  # train sequences to hold out for selection; () lets splits.py decide
    fps: float | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one item of a dataset."""

    path: str
    what: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `data check` found: every item read once."""

    spec: str
    num_frames: int
    num_labelled: int
    sizes: tuple[tuple[tuple[int, int], int], ...]  # ((height, width), number of frames)
    sequences: tuple[tuple[str, str, int, float | None], ...]  # (split, name, frames, fps)
    class_shares: tuple[tuple[str, float], ...]  # share of labelled pixels, ignore left out
    ignore_share: float
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...] = ()  # worth knowing, nothing to mend: gaps, frames with every pixel ignored


class VideoDataset(Protocol):
    """The conformance class in tests/ runs over everything that implements this."""

    @property
    def info(self) -> DatasetInfo:
        """The facts, without decoding any frame."""

    def videos(self, split: str) -> Sequence[Video]:
        """Decode a split, at info.size_hw. Raises InputError for an unknown split or damaged items."""

    def check(self) -> CheckReport:
        """Read every item once and list what is wrong; raises nothing for damaged items."""
