"""Frame accuracy from one confusion matrix, pooled over a split. Knows nothing of time, videos or networks.

Source: the semantics of mmsegmentation's IoUMetric, https://github.com/open-mmlab/mmsegmentation.

Legend: K classes; a confusion matrix_KK has the ground truth in its rows and the prediction in its columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluators.datasets.base import IGNORE

_CHUNK_PIXELS = 1 << 22
"""Pixels counted at once: bincount needs 8-byte indices, so a long video is not expanded all at a time."""


def confusion(labels: Tensor, predictions: Tensor, num_classes: int) -> Tensor:
    """Count pairs (ground truth, prediction) over all pixels whose ground truth is not IGNORE.

    Args:
        labels: integer tensor of any shape, values 0..num_classes-1 or IGNORE.
        predictions: integer tensor of the same shape, values 0..num_classes-1 where labels is not IGNORE.
        num_classes: K.

    Returns:
        matrix_KK, int64, on the CPU.

    Raises:
        ValueError: shapes differ, or a counted value is outside 0..num_classes-1.
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"labels {tuple(labels.shape)}, predictions {tuple(predictions.shape)}: shapes differ")
    matrix_KK = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    labels_N, predictions_N = labels.reshape(-1), predictions.reshape(-1)
    for start in range(0, labels_N.numel(), _CHUNK_PIXELS):
        chunk = slice(start, start + _CHUNK_PIXELS)
        known_N = labels_N[chunk] != IGNORE
        truth_P = labels_N[chunk][known_N].long()
        predicted_P = predictions_N[chunk][known_N].long()
        _require_classes(truth_P, num_classes, "label")
        _require_classes(predicted_P, num_classes, "prediction")
        counts = torch.bincount(truth_P * num_classes + predicted_P, minlength=num_classes**2)
        matrix_KK += counts.reshape(num_classes, num_classes).cpu()
    return matrix_KK


def _require_classes(values_P: Tensor, num_classes: int, what: str) -> None:
    if values_P.numel() == 0:
        return
    low, high = (int(value) for value in torch.aminmax(values_P))
    if low < 0 or high >= num_classes:
        raise ValueError(f"{what} values {low}..{high} given, 0..{num_classes - 1} allowed")


@dataclass(frozen=True, slots=True)
class FrameScores:
    """Accuracy of a split with the semantics of mmsegmentation's IoUMetric.

    A class that neither the ground truth nor the prediction has (0/0) is None and left out of the means; a
    class that is only predicted has IoU and Dice 0 and counts. Precision is averaged over predicted classes,
    recall over classes of the ground truth. Means are None where no class is left.
    """

    class_iou: tuple[float | None, ...]
    class_dice: tuple[float | None, ...]
    class_precision: tuple[float | None, ...]
    class_recall: tuple[float | None, ...]
    pixel_accuracy: float | None
    num_pixels: int
    num_classes_scored: int  # in the ground truth or predicted
    num_classes_true: int  # in the ground truth
    num_classes_predicted: int

    @classmethod
    def of(cls, matrix_KK: Tensor) -> "FrameScores":
        """The scores of a pooled confusion matrix.

        IoU_c = h_cc / (row_c + column_c - h_cc); Dice_c = 2 h_cc / (row_c + column_c);
        precision_c = h_cc / column_c; recall_c = h_cc / row_c; pixel accuracy = trace / sum.
        """
        counts_KK = matrix_KK.to(torch.float64)  # exact up to 2**53 pixels
        right_K = counts_KK.diagonal()
        true_K = counts_KK.sum(dim=1)
        predicted_K = counts_KK.sum(dim=0)
        num_pixels = int(matrix_KK.sum())
        return cls(
            class_iou=_ratios(right_K, true_K + predicted_K - right_K),
            class_dice=_ratios(2 * right_K, true_K + predicted_K),
            class_precision=_ratios(right_K, predicted_K),
            class_recall=_ratios(right_K, true_K),
            pixel_accuracy=float(right_K.sum()) / num_pixels if num_pixels else None,
            num_pixels=num_pixels,
            num_classes_scored=int((true_K + predicted_K > 0).sum()),
            num_classes_true=int((true_K > 0).sum()),
            num_classes_predicted=int((predicted_K > 0).sum()),
        )

    @property
    def miou(self) -> float | None:
        """Mean IoU over the classes that occur; of the pooled counts, never a mean over images."""
        return _mean(self.class_iou)

    def metrics(self) -> Mapping[str, float]:
        """The keys of `evaluators.job.METRICS` that have pixels; the others are absent."""
        scores = {
            "miou": self.miou,
            "pixel_accuracy": self.pixel_accuracy,
            "dice": _mean(self.class_dice),
            "precision": _mean(self.class_precision),
            "recall": _mean(self.class_recall),
        }
        return {name: value for name, value in scores.items() if value is not None}


def _ratios(numerators_K: Tensor, denominators_K: Tensor) -> tuple[float | None, ...]:
    pairs = zip(numerators_K.tolist(), denominators_K.tolist(), strict=True)
    return tuple(numerator / denominator if denominator else None for numerator, denominator in pairs)


def _mean(values: tuple[float | None, ...]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None
