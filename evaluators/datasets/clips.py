"""Clips of equal length to train on, and clips to score the held-out part on. Knows nothing of networks.

Legend: N clips, T frames, H/W pixels, C=3. Everything is uint8 (flow float16), seeded, and kept per process,
because the trials of a search share it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import overload

import numpy as np
import torch
from torch import Tensor

from evaluators.datasets.base import BYTES_PER_PIXEL, Video
from evaluators.datasets.pseudo_video import PseudoOptions, Stills, collect_stills, pseudo_clip
from search_spaces.errors import InputError

MAX_POOL_BYTES = 2 * 2**30
"""Of one pool; two are kept."""

KEPT_SELECT_BYTES = 512 * 2**20
"""Selection clips up to this are kept, larger sets are rendered again at every pass."""

SELECT = PseudoOptions(last_upright=True)


@dataclass(frozen=True, slots=True, eq=False)
class ClipPool:
    """Training clips; flow and visibility where the data has exact motion (conventions: `base.Video`)."""

    frames_NTCHW: Tensor  # uint8
    labels_NTHW: Tensor  # uint8, IGNORE where unlabelled
    flow_NT2HW: Tensor | None  # float16
    visible_NTHW: Tensor | None  # bool


def clip_pool(videos: Sequence[Video], *, sparse: bool, clip_frames: int, num_clips: int, seed: int) -> ClipPool:
    """Training clips: `num_clips` of `clip_frames` frames.

    Dense videos give random windows with at least one labelled frame, videos in proportion to their windows;
    videos shorter than a clip give none. Sparse ones give pseudo-videos, spread evenly over the stills.

    Raises:
        InputError: numbers below 1, no video long enough, sizes that differ, or more than MAX_POOL_BYTES.
    """
    if clip_frames < 1 or num_clips < 1 or not videos:
        raise InputError(
            f"clip pool: {num_clips} clips of {clip_frames} frames from {len(videos)} videos given; "
            "at least 1 of each is needed"
        )
    sizes = {tuple(video.labels_THW.shape[1:]) for video in videos}
    if len(sizes) != 1:
        raise InputError(f"clip pool: videos of sizes {sorted(sizes)} given; one size is needed")
    height, width = sizes.pop()
    needed = num_clips * clip_frames * height * width * BYTES_PER_PIXEL
    if needed > MAX_POOL_BYTES:
        raise InputError(
            f"clip pool: {num_clips} clips of {clip_frames} frames at {height}x{width} take "
            f"{needed / 2**30:.1f} GiB, at most {MAX_POOL_BYTES / 2**30:.1f} GiB are allowed; take fewer or "
            "shorter clips or a smaller size"
        )
    return _pool(tuple(videos), sparse, clip_frames, num_clips, seed)


@lru_cache(maxsize=2)
def _pool(videos: tuple[Video, ...], sparse: bool, clip_frames: int, num_clips: int, seed: int) -> ClipPool:
    if sparse:
        return _stacked(_pseudo_clips(collect_stills(videos), clip_frames, num_clips, seed), num_clips)
    return _stacked(_windows(videos, clip_frames, num_clips, seed), num_clips)


def _pseudo_clips(stills: Stills, clip_frames: int, num_clips: int, seed: int) -> Iterator[Video]:
    for number in range(num_clips):
        # floor(number * stills / clips): each still serves equally often, up to one, in any ratio of the two.
        index = number * len(stills.items) // num_clips
        yield pseudo_clip(stills, index, clip_frames, np.random.default_rng((seed, number)))


def _windows(videos: tuple[Video, ...], clip_frames: int, num_clips: int, seed: int) -> Iterator[Video]:
    starts = [
        (index, start)
        for index, video in enumerate(videos)
        for start in range(len(video.labelled_T) - clip_frames + 1)
        if bool(video.labelled_T[start : start + clip_frames].any())
    ]
    if not starts:
        longest = max(len(video.labelled_T) for video in videos)
        raise InputError(
            f"clip pool: clips of {clip_frames} frames with a label are asked for, the longest of "
            f"{len(videos)} videos has {longest} frames; take shorter clips"
        )
    order = np.random.default_rng(seed).permutation(max(num_clips, len(starts))) % len(starts)
    for pick in order[:num_clips].tolist():
        index, start = starts[pick]
        yield _window(videos[index], start, start + clip_frames)


def _window(video: Video, start: int, stop: int) -> Video:
    """Views; the first frame's motion is cleared where clips are stacked."""
    return replace(
        video,
        frames_TCHW=video.frames_TCHW[start:stop],
        labels_THW=video.labels_THW[start:stop],
        labelled_T=video.labelled_T[start:stop],
        flow_T2HW=None if video.flow_T2HW is None else video.flow_T2HW[start:stop],
        visible_THW=None if video.visible_THW is None else video.visible_THW[start:stop],
    )


def _stacked(clips: Iterator[Video], count: int) -> ClipPool:
    """Copy clips into one tensor each, one clip at a time, so that no second copy of the pool exists."""
    frames = labels = flow = visible = None
    for number, clip in enumerate(clips):
        if frames is None or labels is None:
            frames = torch.empty((count, *clip.frames_TCHW.shape), dtype=torch.uint8)
            labels = torch.empty((count, *clip.labels_THW.shape), dtype=torch.uint8)
            if clip.flow_T2HW is not None and clip.visible_THW is not None:
                flow = torch.empty((count, *clip.flow_T2HW.shape), dtype=torch.float16)
                visible = torch.empty((count, *clip.visible_THW.shape), dtype=torch.bool)
        frames[number], labels[number] = clip.frames_TCHW, clip.labels_THW
        if flow is not None and visible is not None:
            if clip.flow_T2HW is None or clip.visible_THW is None:
                flow = visible = None  # motion of all clips or of none
                continue
            flow[number], visible[number] = clip.flow_T2HW, clip.visible_THW
            flow[number, 0], visible[number, 0] = 0, False
    assert frames is not None
    assert labels is not None
    return ClipPool(frames, labels, flow, visible)


def select_clips(videos: Sequence[Video], sparse: bool, num_frames: int, seed: int) -> Sequence[Video]:
    """What the held-out part is scored on: the videos themselves, or for sparse data pseudo-videos.

    One pseudo-video a still, of `num_frames` frames, whose last frame shows the still upright: accuracy is
    scored there (`last_frame_only`), where a network with memory has seen what came before. Labels and motion
    of the other frames are exact, so that temporal consistency can be scored over all of them.

    Raises:
        InputError: `num_frames` below 1, or sparse videos without a labelled frame.
    """
    if num_frames < 1:
        raise InputError(f"selection clips: {num_frames} frames given, at least 1 needed")
    return _SelectClips(collect_stills(tuple(videos)), num_frames, seed) if sparse else tuple(videos)


class _SelectClips(Sequence[Video]):
    """Rendered when asked for; kept while all of them fit into KEPT_SELECT_BYTES."""

    def __init__(self, stills: Stills, num_frames: int, seed: int) -> None:
        self._stills, self._num_frames, self._seed = stills, num_frames, seed
        pixels = stills.items[0].labels_HW.size * num_frames * len(stills.items)
        self._kept: dict[int, Video] | None = {} if pixels * BYTES_PER_PIXEL <= KEPT_SELECT_BYTES else None

    def __len__(self) -> int:
        return len(self._stills.items)

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | Sequence[Video]:
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(self))))
        number = range(len(self))[index]
        if self._kept is None:
            return self._clip(number)
        if number not in self._kept:
            self._kept[number] = self._clip(number)
        return self._kept[number]

    def _clip(self, number: int) -> Video:
        rng = np.random.default_rng((self._seed, number))
        return pseudo_clip(self._stills, number, self._num_frames, rng, SELECT)
