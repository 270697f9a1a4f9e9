"""Score what predicts videos: frame accuracy and temporal consistency together. Knows nothing of networks.

Legend: T frames, H/W pixels.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluators.datasets.base import IGNORE, Video
from evaluators.metrics import FrameScores, confusion
from evaluators.temporal_metrics import TemporalCounts, temporal_scores

Predictor = Callable[[Video], Tensor]
"""Video to pred_THW uint8: streams the frames in order, and starts from a fresh state at every call."""


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """The numbers of a split, by the keys of `evaluators.job.METRICS`; what has no pixels is absent."""

    metrics: Mapping[str, float]
    per_class_iou: tuple[float | None, ...]  # None: neither in the ground truth nor predicted


def score_videos(
    predict: Predictor, videos: Iterable[Video], num_classes: int, *, last_frame_only: bool
) -> ScoreReport:
    """Predict every video once and pool the counts of all.

    Args:
        predict: called once a video, so no state is carried from one video to the next.
        videos: with uint8 labels; flow and visibility where known.
        num_classes: K.
        last_frame_only: frame accuracy counts the last frame of every clip alone (the state is then as deep
            as the clip is long); temporal consistency counts all frames in any case.

    Raises:
        ValueError: a prediction of the wrong type or shape, or a value that is no class.
    """
    matrix_KK = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    temporal = TemporalCounts.zero(num_classes)
    for video in videos:
        pred_THW = _prediction(predict, video)
        labels_THW = torch.where(video.labelled_T[:, None, None], video.labels_THW, IGNORE)
        scored = slice(-1, None) if last_frame_only else slice(None)
        matrix_KK += confusion(labels_THW[scored], pred_THW[scored], num_classes)
        temporal = temporal + temporal_scores(
            pred_THW, video.labels_THW, video.flow_T2HW, video.visible_THW, num_classes, video.labelled_T
        )
    frames = FrameScores.of(matrix_KK)
    return ScoreReport({**frames.metrics(), **temporal.metrics()}, frames.class_iou)


def _prediction(predict: Predictor, video: Video) -> Tensor:
    pred_THW = predict(video).cpu()
    if pred_THW.dtype != torch.uint8 or pred_THW.shape != video.labels_THW.shape:
        raise ValueError(
            f"video {video.name}: prediction {pred_THW.dtype} {tuple(pred_THW.shape)} given, "
            f"torch.uint8 {tuple(video.labels_THW.shape)} needed"
        )
    return pred_THW
