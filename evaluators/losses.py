"""Losses of segmentation training: balanced cross-entropy and temporal consistency. Knows nothing of loops.

Sources: Paszke et al. 2016, arXiv:1606.02147; Shrivastava et al. 2016, arXiv:1604.03540; Liu et al. 2020,
arXiv:2002.11433; each function says what it takes from which.

Legend: B batch, T frames, K classes, H/W pixels, N = B * T.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluators.datasets.base import IGNORE

MIN_SHARE = 1e-3
OHEM_THRESHOLD = 0.7
OHEM_MIN_SHARE = 1 / 16
TEMPORAL_STRIDE = 4
"""The temporal loss reads every fourth pixel each way from a random offset: a sixteenth of the cost, no bias."""


def class_weights(labels: Tensor, num_classes: int, kind: Literal["enet", "sqrt"]) -> Tensor:
    """A weight for every class from its share of the labelled pixels.

    enet: 1 / ln(1.02 + share) (Paszke et al. 2016, arXiv:1606.02147, section 5.1). sqrt: 1 / sqrt(share),
    milder where classes are few; a class that never occurs weighs as one of MIN_SHARE of the pixels.
    """
    counts = torch.bincount(labels.flatten().to(torch.int64), minlength=256)[:num_classes].double()
    shares = counts / counts.sum().clamp(min=1)
    if kind == "enet":
        return (1.0 / torch.log(1.02 + shares)).float()
    return shares.clamp(min=MIN_SHARE).rsqrt().float()


def cross_entropy(logits_NKHW: Tensor, labels_NHW: Tensor, weights_K: Tensor | None, ohem: bool) -> Tensor:
    """Mean cross-entropy over labelled pixels, weighted by class; or over the hardest pixels.

    OHEM keeps pixels whose probability is under OHEM_THRESHOLD, at least OHEM_MIN_SHARE of them
    (Shrivastava et al. 2016, arXiv:1604.03540, the per-pixel form used for segmentation).
    """
    target = labels_NHW.long()
    if not (target != IGNORE).any():
        return logits_NKHW.sum() * 0.0  # a crop without any label teaches nothing; the mean over none is no number
    if not ohem:
        return F.cross_entropy(logits_NKHW, target, weights_K, ignore_index=IGNORE)
    loss = F.cross_entropy(logits_NKHW, target, weights_K, ignore_index=IGNORE, reduction="none").flatten()
    labelled = loss[target.flatten() != IGNORE]
    keep = max(1, int(labelled.numel() * OHEM_MIN_SHARE))
    hardest = labelled.sort(descending=True).values
    limit = -torch.log(torch.tensor(OHEM_THRESHOLD, device=loss.device))
    count = max(keep, int((hardest > limit).sum()))
    return hardest[:count].mean()


def temporal_consistency(
    logits_BTKHW: Tensor, flow_BT2HW: Tensor, visible_BTHW: Tensor, offset_yx: tuple[int, int]
) -> Tensor:
    """Mean squared difference of class probabilities along the motion, over pixels seen in both frames.

    Source: Liu et al. 2020 (ETC, arXiv:2002.11433, eq. 2), with exact motion instead of an estimate.
    Differs: the warp reads logits and the softmax follows, on a grid of every fourth pixel.
    """
    batch, frames, classes, height, width = logits_BTKHW.shape
    ys = torch.arange(offset_yx[0], height, TEMPORAL_STRIDE, device=logits_BTKHW.device)
    xs = torch.arange(offset_yx[1], width, TEMPORAL_STRIDE, device=logits_BTKHW.device)
    flow = flow_BT2HW[:, 1:, :, ys][..., xs].flatten(0, 1).float()
    seen = visible_BTHW[:, 1:, ys][..., xs].flatten(0, 1)
    from_x = (xs.float() + flow[:, 0]) * (2.0 / width) + (1.0 / width - 1.0)
    from_y = (ys.float()[:, None] + flow[:, 1]) * (2.0 / height) + (1.0 / height - 1.0)
    before = logits_BTKHW[:, :-1].reshape(batch * (frames - 1), classes, height, width).float()
    grid = torch.stack([from_x, from_y], -1)
    warped = F.grid_sample(before, grid, mode="bilinear", padding_mode="border", align_corners=False)
    now = logits_BTKHW[:, 1:, :, ys][..., xs].flatten(0, 1).float()
    change = (now.softmax(1) - warped.softmax(1)).square().mean(1)
    return (change * seen).sum() / seen.sum().clamp(min=1)
