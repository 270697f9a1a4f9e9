"""What a network is trained on: pools of single frames and of clips. Knows nothing of networks.

Legend: N items, T frames, H/W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from evaluators.datasets.base import Video, VideoDataset
from evaluators.datasets.clips import ClipPool, clip_pool
from evaluators.options import TrainOptions
from search_spaces.errors import InputError

POOL_SEED = 0
"""The pool of clips belongs to the data: every trial and every seed of training draws from the same one."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """Single labelled frames (T = 1), clips, how many frames make an epoch, and the number of classes."""

    stills: ClipPool
    clips: ClipPool
    frames_per_epoch: int
    num_classes: int

    def to(self, device: torch.device) -> "TrainingData":
        """The same data where training runs: a GPU crops and flips its own uint8 pools."""
        return (
            self
            if device.type == "cpu"
            else replace(self, stills=_moved(self.stills, device), clips=_moved(self.clips, device))
        )


def _moved(pool: ClipPool, device: torch.device) -> ClipPool:
    flow, visible = pool.flow_NT2HW, pool.visible_NTHW
    return ClipPool(
        pool.frames_NTCHW.to(device),
        pool.labels_NTHW.to(device),
        None if flow is None else flow.to(device),
        None if visible is None else visible.to(device),
    )


def still_pool(videos: Sequence[Video]) -> ClipPool:
    """Every labelled frame as a clip of one frame, without motion.

    Raises:
        InputError: no frame is labelled.
    """
    frames = torch.cat([video.frames_TCHW[video.labelled_T] for video in videos])
    labels = torch.cat([video.labels_THW[video.labelled_T] for video in videos])
    if not len(frames):
        raise InputError(f"training data: none of {len(videos)} videos has a labelled frame; at least one is needed")
    return ClipPool(frames.unsqueeze(1), labels.unsqueeze(1), None, None)


def training_data(dataset: VideoDataset, videos: Sequence[Video], options: TrainOptions) -> TrainingData:
    """Pools of stills and clips from `videos`, a part of `dataset`; clips of sparse data are pseudo-video."""
    stills = still_pool(videos)
    num_labelled = len(stills.frames_NTCHW)
    clips = clip_pool(
        videos,
        sparse=dataset.info.sparse,
        clip_frames=options.clip_frames,
        num_clips=max(1, round(num_labelled * options.clips_per_frame)),
        seed=POOL_SEED,
    )
    return TrainingData(stills, clips, num_labelled, len(dataset.info.classes))
