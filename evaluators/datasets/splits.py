"""Parts `train` into what a search fits and selects on. Never opens val or test; knows nothing of files."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch

from evaluators.datasets.base import Video, VideoDataset
from search_spaces.errors import InputError

SELECT_SHARE = 5
"""One fifth of the frames is held out."""

GAP_FRAMES = 5
"""Frames left out between the parts of a single sequence, so that neighbours do not stand on both sides."""

MIN_FRAMES = 3


def fit_and_select(dataset: VideoDataset) -> tuple[Sequence[Video], Sequence[Video]]:
    """(videos to fit on, videos to select on), both from `train`, whole sequences.

    The pieces of a drive that was cut at gaps (name/1, name/2) stay together. `info.select` names what is
    held out; otherwise the sequences whose frames come nearest to a fifth. A single sequence gives its last
    fifth after a gap of GAP_FRAMES. Equal datasets give the identical objects within a process.

    Raises:
        InputError: `info.select` names no or every sequence, or train is too short to part.
    """
    return _parted(tuple(dataset.videos("train")), dataset.info.select, dataset.info.spec)


@lru_cache(maxsize=4)
def _parted(
    videos: tuple[Video, ...], select: tuple[str, ...], spec: str
) -> tuple[tuple[Video, ...], tuple[Video, ...]]:
    groups: dict[str, list[Video]] = {}
    for video in videos:
        groups.setdefault(video.name.partition("/")[0], []).append(video)
    if len(groups) == 1 and len(videos) > 1:
        groups = {video.name: [video] for video in videos}
    if select:
        unknown = [name for name in select if name not in groups]
        if unknown or len(set(select)) == len(groups):
            raise InputError(
                f"{spec}: select {list(select)} given; some but not all of the train sequences are allowed: "
                f"{', '.join(groups)}"
            )
        held = set(select)
    elif len(groups) == 1:
        return _last_fifth(videos[0], spec)
    else:
        held = _nearest_to_a_fifth({name: sum(map(_length, parts)) for name, parts in groups.items()})
    fit = tuple(video for name, parts in groups.items() if name not in held for video in parts)
    return fit, tuple(video for name, parts in groups.items() if name in held for video in parts)


def _length(video: Video) -> int:
    return len(video.labelled_T)


def _nearest_to_a_fifth(frames: dict[str, int]) -> set[str]:
    """Longest first, take what brings the sum nearer to a fifth; the shortest alone where nothing does."""
    target, taken = sum(frames.values()) / SELECT_SHARE, 0
    held: set[str] = set()
    for name, count in sorted(frames.items(), key=lambda entry: (-entry[1], entry[0])):
        if abs(taken + count - target) < abs(taken - target):
            held.add(name)
            taken += count
    return held or {min(frames, key=lambda name: (frames[name], name))}


def _last_fifth(video: Video, spec: str) -> tuple[tuple[Video, ...], tuple[Video, ...]]:
    count = _length(video)
    if count < MIN_FRAMES:
        raise InputError(f"{spec}: train is one sequence of {count} frames; at least {MIN_FRAMES} are needed")
    start = count - max(1, count // SELECT_SHARE)
    gap = min(GAP_FRAMES, start - 1)
    return (cut(video, 0, start - gap, "fit"),), (cut(video, start, count, "select"),)


def cut(video: Video, start: int, stop: int, name: str) -> Video:
    """Frames start..stop-1 as a video of its own: its first frame has no motion and saw nothing before."""
    flow, visible = video.flow_T2HW, video.visible_THW
    if flow is not None and start:
        flow = torch.cat([torch.zeros_like(flow[:1]), flow[start + 1 : stop]])
    if visible is not None and start:
        visible = torch.cat([torch.zeros_like(visible[:1]), visible[start + 1 : stop]])
    return replace(
        video,
        name=f"{video.name}/{name}",
        frames_TCHW=video.frames_TCHW[start:stop],
        labels_THW=video.labels_THW[start:stop],
        labelled_T=video.labelled_T[start:stop],
        flow_T2HW=None if flow is None else flow[: stop - start],
        visible_THW=None if visible is None else visible[: stop - start],
    )
