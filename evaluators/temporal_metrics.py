"""Consistency along the motion and over windows, pooled over videos. Knows nothing of how flow is obtained.

Legend: T frames, H/W pixels, K classes, P = T-1 pairs of neighbouring frames.

Which pixels: prediction and ground truth are compared on exactly the same ones, so that a ceiling is one.
A pixel p of frame t counts for tc and warp_flip where the flow says that it was seen at p + flow in frame
t-1, and the ground truth is known (labelled frame, not IGNORE) at both ends of that motion. Pixels without
ground truth have no ceiling and are left out, though tc itself would not need it.

Definitions and the defects avoided (label maps warped bilinearly, no occlusion mask, windows that ignore the
ground truth or miss the last one): ETC, Liu et al. ECCV 2020, arXiv:2002.11433 (tc); VSPW, Miao et al. CVPR
2021 (VC).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from evaluators.datasets.base import IGNORE
from evaluators.metrics import FrameScores, confusion

WINDOW = 8
"""Frames of a vc8c window; VSPW reports 8 and 16."""

_CHUNK_PIXELS = 1 << 22
"""Pixels warped at once, which bounds the 8-byte gather indices."""


@dataclass(frozen=True, slots=True, eq=False)
class TemporalCounts:
    """Counts of one or more videos; `+` pools them, `metrics` turns them into numbers."""

    predicted_KK: Tensor  # int64: warped previous prediction x current prediction
    truth_KK: Tensor  # int64: the same of the ground truth, on the same pixels
    num_constant: int  # (window, pixel) pairs whose ground truth is constant
    num_constant_right: int  # of these: predicted constant and right

    @classmethod
    def zero(cls, num_classes: int) -> "TemporalCounts":
        """Nothing counted yet."""
        empty_KK = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        return cls(empty_KK, empty_KK, 0, 0)

    def __add__(self, other: "TemporalCounts") -> "TemporalCounts":
        """Pool two counts."""
        return TemporalCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def metrics(self) -> Mapping[str, float]:
        """tc, tc_ceiling, warp_flip, warp_flip_floor, vc8c; those without pixels are absent.

        The ceiling of vc8c is 1 by definition: the ground truth is constant and right where it is constant.
        tc can exceed its ceiling (a prediction smoother than the truth), and a constant prediction has tc 1.
        """
        scores = {
            "tc": FrameScores.of(self.predicted_KK).miou,
            "tc_ceiling": FrameScores.of(self.truth_KK).miou,
            "warp_flip": _share_off_diagonal(self.predicted_KK),
            "warp_flip_floor": _share_off_diagonal(self.truth_KK),
            "vc8c": self.num_constant_right / self.num_constant if self.num_constant else None,
        }
        return {name: value for name, value in scores.items() if value is not None}


def _share_off_diagonal(matrix_KK: Tensor) -> float | None:
    total = int(matrix_KK.sum())
    return (total - int(matrix_KK.diagonal().sum())) / total if total else None


def temporal_scores(
    pred_THW: Tensor,
    labels_THW: Tensor,
    flow_T2HW: Tensor | None,
    visible_THW: Tensor | None,
    num_classes: int,
    labelled_T: Tensor,
) -> TemporalCounts:
    """Count the temporal consistency of one video; without flow only the windows are counted.

    Args:
        pred_THW: uint8 class of every pixel of every frame.
        labels_THW: uint8 ground truth, IGNORE where unknown.
        flow_T2HW, visible_THW: motion from frame t back to t-1, as in `datasets.base.Video`; both or none.
        num_classes: K.
        labelled_T: bool, the frame has ground truth.

    Raises:
        ValueError: shapes do not fit, or a value is not a class.
    """
    _require_shapes(pred_THW, labels_THW, flow_T2HW, visible_THW, labelled_T)
    labels_THW = torch.where(labelled_T[:, None, None], labels_THW, IGNORE)
    constant, right = _window_counts(pred_THW, labels_THW)
    nothing = TemporalCounts.zero(num_classes)
    counts = replace(nothing, num_constant=constant, num_constant_right=right)
    if flow_T2HW is None or visible_THW is None:
        return counts
    num_frames, height, width = labels_THW.shape
    pairs_at_once = max(1, _CHUNK_PIXELS // (height * width))
    for start in range(1, num_frames, pairs_at_once):
        now = slice(start, min(start + pairs_at_once, num_frames))
        before = slice(now.start - 1, now.stop - 1)
        counts = counts + _pair_counts(
            (pred_THW[before], pred_THW[now]),
            (labels_THW[before], labels_THW[now]),
            flow_T2HW[now],
            visible_THW[now],
            num_classes,
        )
    return counts


def _require_shapes(
    pred_THW: Tensor, labels_THW: Tensor, flow: Tensor | None, visible: Tensor | None, labelled_T: Tensor
) -> None:
    if (flow is None) != (visible is None):
        raise ValueError("flow and visibility come together or not at all")
    num_frames, height, width = labels_THW.shape
    given = {"prediction": pred_THW, "visibility": visible, "flow": flow, "labelled": labelled_T}
    wanted = {
        "prediction": (num_frames, height, width),
        "visibility": (num_frames, height, width),
        "flow": (num_frames, 2, height, width),
        "labelled": (num_frames,),
    }
    for name, tensor in given.items():
        if tensor is not None and tuple(tensor.shape) != wanted[name]:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, {wanted[name]} is needed")


def _pair_counts(
    pred: tuple[Tensor, Tensor],
    labels: tuple[Tensor, Tensor],
    flow_P2HW: Tensor,
    visible_PHW: Tensor,
    num_classes: int,
) -> TemporalCounts:
    """Count pairs of frames; pred and labels are (frames t-1, frames t), each PHW."""
    before_PHW, inside_PHW = warp_nearest(pred[0], flow_P2HW)
    truth_before_PHW, _ = warp_nearest(labels[0], flow_P2HW)
    counted_PHW = visible_PHW & inside_PHW & (truth_before_PHW != IGNORE) & (labels[1] != IGNORE)
    predicted_KK = confusion(before_PHW[counted_PHW], pred[1][counted_PHW], num_classes)
    truth_KK = confusion(truth_before_PHW[counted_PHW], labels[1][counted_PHW], num_classes)
    if int(predicted_KK.sum()) != int(truth_KK.sum()):
        raise ValueError(f"prediction has the value {IGNORE}, which is no class")
    return TemporalCounts(predicted_KK, truth_KK, num_constant=0, num_constant_right=0)


def warp_nearest(labels_BHW: Tensor, flow_B2HW: Tensor) -> tuple[Tensor, Tensor]:
    """Fetch, for every pixel p, the label at the pixel nearest to p + flow. Never mixes labels.

    Args:
        labels_BHW: any dtype; leading dimensions of any number, none included.
        flow_B2HW: dx, dy in pixels, with the same leading dimensions.

    Returns:
        The warped labels (value of no meaning where outside) and a bool mask: the source lies in the picture.
    """
    height, width = labels_BHW.shape[-2:]
    flow = flow_B2HW.to(torch.float32)
    columns_W = torch.arange(width, dtype=torch.float32, device=flow.device)
    rows_H = torch.arange(height, dtype=torch.float32, device=flow.device)
    # floor(x + 0.5), not round(): rounding half to even would send neighbours to one source pixel.
    source_x = torch.floor(flow[..., 0, :, :] + columns_W + 0.5)
    source_y = torch.floor(flow[..., 1, :, :] + rows_H[:, None] + 0.5)
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)  # False for NaN
    index = torch.where(inside, source_y * width + source_x, 0.0).long()
    warped = labels_BHW.flatten(-2).gather(-1, index.flatten(-2)).reshape(labels_BHW.shape)
    return warped, inside


def _window_counts(pred_THW: Tensor, labels_THW: Tensor) -> tuple[int, int]:
    """Over all T - 7 windows and pixels: ground truth constant; and, of these, always predicted right.

    Right in all 8 frames of a constant ground truth implies a constant prediction.
    """
    if labels_THW.shape[0] < WINDOW:
        return 0, 0
    known_THW = labels_THW != IGNORE
    same_PHW = (labels_THW[1:] == labels_THW[:-1]) & known_THW[1:]
    constant = _all_of_consecutive(same_PHW, WINDOW - 1)
    right = _all_of_consecutive((pred_THW == labels_THW) & known_THW, WINDOW)
    return int(constant.sum()), int((constant & right).sum())


def _all_of_consecutive(flags_THW: Tensor, length: int) -> Tensor:
    """AND over every `length` consecutive frames, by doubling: T - length + 1 frames."""
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        flags_THW = flags_THW[:-step] & flags_THW[step:]
        reach += step
    return flags_THW
