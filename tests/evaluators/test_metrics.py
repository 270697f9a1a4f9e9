"""Pooled frame accuracy: hand-computed cases, a slow reference, planted defects."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators import metrics as metrics_module
from evaluators.datasets.base import IGNORE
from evaluators.job import METRICS
from evaluators.metrics import FrameScores, confusion


def uint8(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.uint8)


def test_hand_computed_matrix_and_scores():
    truth = uint8(0, 0, 0, 1, 1, IGNORE)
    predicted = uint8(0, 0, 1, 1, 0, 2)
    matrix = confusion(truth, predicted, 3)
    assert matrix.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    scores = FrameScores.of(matrix)
    assert scores.class_iou == (2 / 4, 1 / 3, None)
    assert scores.miou == pytest.approx((2 / 4 + 1 / 3) / 2)
    assert scores.metrics() == pytest.approx(
        {
            "miou": (1 / 2 + 1 / 3) / 2,
            "pixel_accuracy": 3 / 5,
            "dice": (4 / 6 + 2 / 4) / 2,
            "precision": (2 / 3 + 1 / 2) / 2,
            "recall": (2 / 3 + 1 / 2) / 2,
        }
    )
    assert (scores.num_pixels, scores.num_classes_scored) == (5, 2)
    assert set(scores.metrics()) <= set(METRICS)


def test_rows_are_ground_truth():
    assert confusion(uint8(0, 0, 0), uint8(1, 1, 1), 2).tolist() == [[0, 3], [0, 0]]


def test_class_with_false_positives_only_has_iou_zero_and_counts():
    scores = FrameScores.of(confusion(uint8(0, 0, 0, 0), uint8(0, 0, 0, 1), 3))
    assert scores.class_iou == (3 / 4, 0.0, None)
    assert scores.miou == pytest.approx(3 / 8)
    assert (scores.num_classes_scored, scores.num_classes_true, scores.num_classes_predicted) == (2, 1, 2)


def test_class_with_no_true_positive_is_not_left_out_of_the_mean():
    # The defect of DABNet's and CGNet's jaccard(): it would report 2/3 here.
    scores = FrameScores.of(confusion(uint8(0, 0, 1), uint8(0, 0, 0), 2))
    assert scores.class_iou == (2 / 3, 0.0)
    assert scores.miou == pytest.approx(1 / 3)


def test_ignored_pixels_change_nothing_whatever_is_predicted_there():
    truth, predicted = uint8(0, 1, 1), uint8(0, 1, 0)
    alone = confusion(truth, predicted, 2)
    for value in (0, 1, 77, IGNORE):
        padded = confusion(torch.cat([truth, uint8(IGNORE)]), torch.cat([predicted, uint8(value)]), 2)
        assert torch.equal(padded, alone)


def test_scores_are_of_pooled_counts_not_means_over_images():
    first = confusion(uint8(*[0] * 9, 1), uint8(*[0] * 10), 2)
    second = confusion(uint8(*[1] * 10), uint8(*[1] * 10), 2)
    pooled = FrameScores.of(first + second).miou
    of_images = (FrameScores.of(first).miou + FrameScores.of(second).miou) / 2
    assert pooled == pytest.approx((9 / 10 + 10 / 11) / 2)
    assert not math.isclose(pooled, of_images, abs_tol=0.05)


def test_nothing_labelled_gives_no_metric():
    scores = FrameScores.of(confusion(uint8(IGNORE), uint8(0), 2))
    assert scores.metrics() == {}
    assert scores.miou is None
    assert scores.pixel_accuracy is None


def test_values_that_are_no_class_are_refused():
    with pytest.raises(ValueError, match=r"label values 0\.\.3 given, 0\.\.2 allowed"):
        confusion(uint8(0, 3), uint8(0, 0), 3)
    with pytest.raises(ValueError, match=r"prediction values 0\.\.255 given"):
        confusion(uint8(0, 1), uint8(0, IGNORE), 3)
    with pytest.raises(ValueError, match="shapes differ"):
        confusion(uint8(0, 1), uint8(0), 3)


def slow_scores(truth: list[int], predicted: list[int], num_classes: int) -> dict[str, float]:
    """The definitions with sets of pixels, in plain Python."""
    pixels = [i for i in range(len(truth)) if truth[i] != IGNORE]
    ious, dices, precisions, recalls = [], [], [], []
    for c in range(num_classes):
        true_pixels = {i for i in pixels if truth[i] == c}
        predicted_pixels = {i for i in pixels if predicted[i] == c}
        both = len(true_pixels & predicted_pixels)
        if true_pixels | predicted_pixels:
            ious.append(both / len(true_pixels | predicted_pixels))
            dices.append(2 * both / (len(true_pixels) + len(predicted_pixels)))
        if predicted_pixels:
            precisions.append(both / len(predicted_pixels))
        if true_pixels:
            recalls.append(both / len(true_pixels))
    means = {"miou": ious, "dice": dices, "precision": precisions, "recall": recalls}
    scores = {name: sum(values) / len(values) for name, values in means.items() if values}
    if pixels:
        scores["pixel_accuracy"] = sum(truth[i] == predicted[i] for i in pixels) / len(pixels)
    return scores


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 4).flatmap(
        lambda k: st.tuples(
            st.just(k),
            st.lists(
                st.tuples(st.sampled_from([*range(k), IGNORE]), st.integers(0, k - 1)),
                min_size=1,
                max_size=40,
            ),
        )
    ),
    st.integers(1, 50),
)
def test_equals_slow_reference(case, chunk):
    num_classes, pairs = case
    truth, predicted = [t for t, _ in pairs], [p for _, p in pairs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics_module, "_CHUNK_PIXELS", chunk)
        matrix = confusion(uint8(*truth), uint8(*predicted), num_classes)
    assert FrameScores.of(matrix).metrics() == pytest.approx(slow_scores(truth, predicted, num_classes))
