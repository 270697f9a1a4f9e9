"""What the gate of learned key frames is taught, and its threshold. Knows nothing of the training loop.

Source: Li et al. 2018, arXiv:1804.00389, section 3.2: the share of pixels whose label changed since the key frame is
regressed from the difference of low-level features.
Differs: the target is how many more pixels are wrong than at the key frame, in training data's own labels. For copied
scores of a good network that is the share whose label changed; for warped ones it leaves out what the motion explains.

Legend: B batch, T frames, N clips, K classes, H/W pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluators.datasets.base import IGNORE
from evaluators.datasets.clips import ClipPool
from search_spaces.change_gate import ChangeGate, gate_of
from search_spaces.network import VideoSegmenter
from search_spaces.schedule_spec import KeyframesSpec

GRID = 4
"""Every fourth pixel each way is compared: a share needs no more."""

MAX_CLIPS = 64
"""Training clips that the threshold is fitted to, at most."""


class ChangeLoss:
    """The loss of a gate; `tapped` shows it what the gate says."""

    def __init__(self, gate: ChangeGate, period: int) -> None:
        self.gate, self.period = gate, period
        self._seen: Tensor | None = None

    @classmethod
    def of(cls, model: nn.Module) -> "ChangeLoss | None":
        """None where key frames are not learned."""
        gate = gate_of(model)
        return None if gate is None else cls(gate, _period(model))

    @contextmanager
    def tapped(self) -> Iterator[None]:
        """While it lasts, every clip leaves the gate's logits; nothing stays in the model afterwards."""

        def see(module: nn.Module, given: tuple[Tensor, ...], logits_N111: Tensor) -> None:
            self._seen = logits_N111

        hook = self.gate.register_forward_hook(see)
        try:
            yield
        finally:
            hook.remove()
            self._seen = None

    def loss(self, logits_BTKHW: Tensor, labels_BTHW: Tensor) -> Tensor:
        """Cross-entropy with the growth of the share of wrong pixels, over frames in between; 0 where there are none.

        The clip began with a key frame. A frame counts where it and its key frame have labels.
        """
        seen, self._seen = self._seen, None
        if seen is None:
            return torch.zeros((), device=logits_BTKHW.device)
        wrong_BT, known_BT = _wrong(logits_BTKHW, labels_BTHW)
        key_T = [t - t % self.period for t in range(wrong_BT.shape[1])]
        between_T = torch.tensor([t % self.period > 0 for t in range(wrong_BT.shape[1])], device=wrong_BT.device)
        target_BT = (wrong_BT - wrong_BT[:, key_T]).clamp(min=0)
        counts_BT = (known_BT & known_BT[:, key_T] & between_T).float()
        given_BT = seen.float().view_as(target_BT)
        loss_BT = F.binary_cross_entropy_with_logits(given_BT, target_BT, reduction="none")
        return (loss_BT * counts_BT).sum() / counts_BT.sum().clamp(min=1)


@torch.no_grad()
def _wrong(logits_BTKHW: Tensor, labels_BTHW: Tensor) -> tuple[Tensor, Tensor]:
    """(share of labelled pixels that are wrong, whether any is labelled), both BT."""
    grid = (..., slice(GRID // 2, None, GRID), slice(GRID // 2, None, GRID))
    labels = labels_BTHW[grid]
    labelled = labels != IGNORE
    wrong = (logits_BTKHW[grid].argmax(2) != labels) & labelled
    count_BT = labelled.sum((2, 3))
    return wrong.sum((2, 3)) / count_BT.clamp(min=1), count_BT > 0


@torch.inference_mode()
def fit_threshold(model: nn.Module, clips: ClipPool) -> None:
    """Set the threshold so that on half of the training clips a key frame is due `period` frames after the first.

    It is the median score of the frame before that; decisions hold for the next frame. Of shorter clips the last
    frame's, scaled by its age: change grows about in proportion to it. Nothing happens without a gate, or where
    clips are single frames: the longest interval then holds.
    """
    gate = gate_of(model)
    last = clips.frames_NTCHW.shape[1] - 1
    if gate is None or last == 0:
        return
    assert isinstance(model, VideoSegmenter)
    period = _period(model)
    age = min(period - 1, last)
    num_clips = len(clips.frames_NTCHW)
    scores = []
    for index in torch.linspace(0, num_clips - 1, min(MAX_CLIPS, num_clips)).long().tolist():
        frames_TCHW = clips.frames_NTCHW[index].to(gate.threshold.device).float() / 255
        state = model.initial_state(1, *frames_TCHW.shape[-2:])
        for phase, t in enumerate((0, age)):
            _, state = model.step(frames_TCHW[t : t + 1], state, phase)
        scores.append(state[-1][0, 0].squeeze())
    gate.threshold.copy_(torch.stack(scores).quantile(0.5) * (period - 1) / age)


def _period(model: nn.Module) -> int:
    assert isinstance(model, VideoSegmenter)
    assert isinstance(model.spec.schedule, KeyframesSpec)
    return model.spec.schedule.period
