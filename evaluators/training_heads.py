"""Heads that read features of a network while it trains and are dropped after. Know nothing of the training loop.

Sources: deep supervision by an auxiliary classifier (PSPNet, Zhao et al. 2017, arXiv:1612.01105, section 3.3);
boundaries from a shallow head with class-balanced cross-entropy (HED, Xie and Tu 2015, arXiv:1504.06375, eq. 2; as a
head for real-time segmentation: PIDNet, Xu et al. 2022, arXiv:2206.02066, section 3.4).

Legend: N frames, C channels, K classes, H/W pixels, h/w feature pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluators.datasets.base import IGNORE
from evaluators.losses import cross_entropy
from search_spaces.architecture import TrainingSpec
from search_spaces.network import VideoSegmenter
from search_spaces.ops.dense import conv_bn
from search_spaces.resizing import resize
from search_spaces.training_only import TrainingOnly

AUXILIARY_WEIGHT = 0.4
"""arXiv:1612.01105, section 5.2."""

BOUNDARY_WEIGHT = 1.0
"""As the detail loss of STDC (Fan et al. 2021, arXiv:2104.13188, eq. 4)."""

MIN_WIDTH = 16


class TrainingHeads(TrainingOnly):
    """The heads that a space asks for; `tapped` shows them the features, `loss` says what they add to the loss.

    auxiliary: a 3x3 and a classifier on the output of the last stage but one. boundary: a 3x3 and one value a pixel
    on the decoder feature (behind a temporal cell there): whether the label changes.
    """

    def __init__(self, model: VideoSegmenter, training: TrainingSpec) -> None:
        super().__init__()
        spec = model.spec
        self._seen: dict[str, Tensor] = {}
        self.heads = nn.ModuleDict()
        if training.auxiliary:
            self.heads["auxiliary"] = _head(spec.stages[_early(model)].channels, model.num_classes)
        if training.boundary:
            self.heads["boundary"] = _head(spec.decoder.channels, 1)

    @contextmanager
    def tapped(self, model: VideoSegmenter) -> Iterator[None]:
        """While it lasts, every forward of `model` shows its features; nothing stays in the model afterwards."""

        def see_stage(module: nn.Module, given: tuple[Tensor, ...], feature_NChw: Tensor) -> None:
            self._seen["auxiliary"] = feature_NChw

        def see_decoder(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            self._seen["boundary"] = given[0]

        hooks = [
            model.stages[_early(model)].register_forward_hook(see_stage),
            model.decoder.classify.register_forward_pre_hook(see_decoder),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self._seen.clear()

    def loss(self, labels_NHW: Tensor, weights_K: Tensor | None, ohem: bool) -> Tensor:
        """The weighted losses of the heads on the features of the last forward; the features are let go.

        Raises:
            KeyError: no forward was seen.
        """
        num_frames, height, width = labels_NHW.shape
        total = torch.zeros((), device=labels_NHW.device)
        for name, head in self.heads.items():
            feature = self._seen[name]
            # Of a single frame that a schedule was shown several times (VideoSegmenter.forward), the last time counts.
            repeated = feature.shape[0] // num_frames
            scores = resize(head(feature[repeated - 1 :: repeated]), height, width).float()
            if name == "auxiliary":
                total = total + AUXILIARY_WEIGHT * cross_entropy(scores, labels_NHW, weights_K, ohem)
            else:
                total = total + BOUNDARY_WEIGHT * boundary_loss(scores[:, 0], labels_NHW)
        self._seen.clear()
        return total


def boundary_loss(logits_NHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """Cross-entropy of "is a boundary", each side weighted by the share of the other (arXiv:1504.06375, eq. 2)."""
    edges_NHW = boundaries(labels_NHW)
    counted = (labels_NHW != IGNORE).float()
    num_counted = counted.sum().clamp(min=1)
    share = (edges_NHW * counted).sum() / num_counted
    weights = torch.where(edges_NHW, 1 - share, share) * counted
    loss = F.binary_cross_entropy_with_logits(logits_NHW, edges_NHW.float(), reduction="none")
    return (loss * weights).sum() / num_counted


def boundaries(labels_NHW: Tensor) -> Tensor:
    """Whether one of a pixel's four neighbours has another label; unlabelled pixels bound nothing."""
    edges = torch.zeros_like(labels_NHW, dtype=torch.bool)
    for axis in (1, 2):
        length = labels_NHW.shape[axis] - 1
        one, other = labels_NHW.narrow(axis, 0, length), labels_NHW.narrow(axis, 1, length)
        change = (one != other) & (one != IGNORE) & (other != IGNORE)
        edges.narrow(axis, 0, length).logical_or_(change)
        edges.narrow(axis, 1, length).logical_or_(change)
    return edges


def _early(model: VideoSegmenter) -> int:
    """Index of the last stage but one, or of the only one."""
    return max(0, len(model.stages) - 2)


def _head(in_channels: int, out_channels: int) -> nn.Sequential:
    width = max(MIN_WIDTH, in_channels // 4)
    return nn.Sequential(*conv_bn(in_channels, width, 3, act="relu"), nn.Conv2d(width, out_channels, 1))
