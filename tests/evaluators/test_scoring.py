"""Scoring of a predictor over videos: pooling, last frames, freshness of state, absent metrics."""

from dataclasses import replace

import pytest
import torch

from evaluators.datasets.base import IGNORE, Video
from evaluators.job import METRICS
from evaluators.scoring import score_videos


def clip(name: str, num_frames: int, *, flow: bool = True, width: int = 4) -> Video:
    """Class 0 left, class 1 right, nothing moves."""
    labels = torch.zeros(num_frames, 2, width, dtype=torch.uint8)
    labels[:, :, width // 2 :] = 1
    visible = torch.ones_like(labels, dtype=torch.bool)
    visible[0] = False
    return Video(
        name,
        torch.zeros(num_frames, 3, 2, width, dtype=torch.uint8),
        labels,
        torch.ones(num_frames, dtype=torch.bool),
        flow_T2HW=torch.zeros(num_frames, 2, 2, width, dtype=torch.float16) if flow else None,
        visible_THW=visible if flow else None,
    )


def perfect(video: Video) -> torch.Tensor:
    return video.labels_THW.clone()


def test_perfect_prediction():
    report = score_videos(perfect, [clip("a", 9), clip("b", 8)], 3, last_frame_only=False)
    assert report.per_class_iou == (1.0, 1.0, None)
    assert report.metrics == {
        "miou": 1.0,
        "pixel_accuracy": 1.0,
        "dice": 1.0,
        "precision": 1.0,
        "recall": 1.0,
        "tc": 1.0,
        "tc_ceiling": 1.0,
        "warp_flip": 0.0,
        "warp_flip_floor": 0.0,
        "vc8c": 1.0,
    }
    assert set(report.metrics) <= set(METRICS)


def wrong_but_last(video: Video) -> torch.Tensor:
    pred = 1 - video.labels_THW
    pred[-1] = video.labels_THW[-1]
    return pred


def test_last_frame_only_scores_accuracy_there_and_consistency_everywhere():
    videos = [clip("a", 8), clip("b", 8)]
    last = score_videos(wrong_but_last, videos, 2, last_frame_only=True)
    every = score_videos(wrong_but_last, videos, 2, last_frame_only=False)
    assert last.metrics["miou"] == 1.0
    assert every.metrics["pixel_accuracy"] == pytest.approx(1 / 8)
    assert last.metrics["warp_flip"] == every.metrics["warp_flip"] == pytest.approx(1 / 7)
    assert last.metrics["vc8c"] == every.metrics["vc8c"] == 0.0


def test_counts_of_videos_are_pooled():
    def first_right(video: Video) -> torch.Tensor:
        return video.labels_THW if video.name == "a" else 1 - video.labels_THW

    report = score_videos(first_right, [clip("a", 1), clip("b", 3)], 2, last_frame_only=False)
    assert report.metrics["pixel_accuracy"] == pytest.approx(1 / 4)
    assert report.per_class_iou == pytest.approx((1 / 7, 1 / 7))


def test_predictor_is_called_once_a_video_in_order():
    seen: list[str] = []

    def remember(video: Video) -> torch.Tensor:
        seen.append(video.name)
        return perfect(video)

    score_videos(remember, (clip(name, 2) for name in "abc"), 2, last_frame_only=False)
    assert seen == ["a", "b", "c"]


def test_unlabelled_frames_are_not_scored_even_if_their_labels_are_not_ignore():
    video = clip("a", 3)
    labelled = torch.tensor([True, False, True])
    pred = perfect(video)
    pred[1] = 1 - pred[1]
    report = score_videos(lambda _: pred, [replace(video, labelled_T=labelled)], 2, last_frame_only=False)
    assert report.metrics["miou"] == 1.0
    assert "tc" not in report.metrics


def test_without_flow_or_labels_the_metrics_are_absent():
    no_flow = score_videos(perfect, [clip("a", 3, flow=False)], 2, last_frame_only=False)
    assert set(no_flow.metrics) == {"miou", "pixel_accuracy", "dice", "precision", "recall"}
    blank = replace(clip("a", 9), labels_THW=torch.full((9, 2, 4), IGNORE, dtype=torch.uint8))
    nothing = score_videos(lambda v: torch.zeros_like(v.labels_THW), [blank], 2, last_frame_only=False)
    assert nothing.metrics == {}
    assert nothing.per_class_iou == (None, None)


def test_videos_with_and_without_flow_mix():
    report = score_videos(wrong_but_last, [clip("a", 8, flow=False), clip("b", 8)], 2, last_frame_only=False)
    assert report.metrics["warp_flip"] == pytest.approx(1 / 7)


def test_wrong_predictions_are_refused():
    with pytest.raises(ValueError, match=r"video a: prediction torch\.int64"):
        score_videos(lambda v: v.labels_THW.long(), [clip("a", 2)], 2, last_frame_only=False)
    with pytest.raises(ValueError, match=r"video a: prediction torch\.uint8 \(1, 2, 4\) given"):
        score_videos(lambda v: v.labels_THW[:1], [clip("a", 2)], 2, last_frame_only=False)
    with pytest.raises(ValueError, match=r"prediction values 2\.\.3 given, 0\.\.1 allowed"):
        score_videos(lambda v: v.labels_THW + 2, [clip("a", 2)], 2, last_frame_only=False)


def test_temporal_counts_of_videos_are_pooled():
    videos = [clip("a", 8), clip("b", 9)]
    report = score_videos(wrong_but_last, videos, 2, last_frame_only=False)
    assert report.metrics["warp_flip"] == pytest.approx(2 / (7 + 8))
