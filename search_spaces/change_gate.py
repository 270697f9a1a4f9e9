"""Whether the next frame is a key frame, from how much changed since the last one. Knows nothing of class scores.

Source: low-latency video segmentation (Li et al. 2018, arXiv:1804.00389, section 3.2: a small network reads the
difference of the low-level features of a frame and of its key frame, predicts the share of pixels whose label
changed, and a frame over a threshold becomes a key frame). Learned keys first: Mahasseni et al. 2017 (an LSTM).
Differs: a frame's prediction decides about the frame after it, so that every frame runs one of two graphs that never
branch, and none pays for both; a change is answered one frame late. The low-level feature is a projection of the
stem's to few channels at stride 8, which is all that must be kept of a key frame; two convolutions of few channels.

Legend: B batch, N frames, L channels of the look, u/v pixels at its stride.
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State
from search_spaces.frame_pass import Pass

LOOK, CHANGE = "key look", "change"
"""Parts of the state: the key frame's look; the predicted share of changed pixels, and frames left until a key frame
is due in any case. The latter is the last tensor of a network's state, [B,2,1,1]."""

LOOK_CHANNELS, LOOK_STRIDE = 8, 8
WIDTH = 16
ONE_VALUE = 2**16
"""A stride beyond any frame's side: one value a frame."""

FEW_CHANGED = -3.0
"""Of a new gate: one pixel in twenty, a logit."""


class ChangeGate(nn.Module):
    """Sees the stem's feature and keeps the score; what it learns from is not what the network learns from.

    `threshold` is fitted after training; until then no score is over it and the longest interval holds.
    """

    threshold: Tensor

    def __init__(self, stem_channels: int, stem_stride: int, max_interval: int) -> None:
        super().__init__()
        self.max_interval = max_interval
        self.kept = {LOOK: (LOOK_CHANNELS, max(LOOK_STRIDE, stem_stride)), CHANGE: (2, ONE_VALUE)}
        """Channels and stride; the change is last."""
        self.register_buffer("threshold", torch.ones(()))
        stride = max(1, LOOK_STRIDE // stem_stride)
        kernel = max(3, 2 * (stride // 2) + 1)
        self.look = nn.Conv2d(stem_channels, LOOK_CHANNELS, kernel, stride, kernel // 2)
        self.compare = nn.Sequential(nn.Conv2d(LOOK_CHANNELS, WIDTH, 3, padding=1), nn.ReLU(inplace=True))
        self.judge = nn.Conv2d(WIDTH, 1, 1)
        assert self.judge.bias is not None
        nn.init.constant_(self.judge.bias, FEW_CHANGED)

    def forward(self, look_NLuv: Tensor, key_look_NLuv: Tensor) -> Tensor:
        """The logit of the share of pixels that changed between both: [N,1,1,1]."""
        compared = self.compare(look_NLuv - key_look_NLuv)
        logit_N111: Tensor = self.judge(compared.mean((2, 3), keepdim=True))
        return logit_N111

    def watch(self, passed: Pass, feature_NCHW: Tensor, clock: tuple[int, int]) -> None:
        """Bring both parts of the state up to the last frame of this pass, whose key frames are due by `clock`.

        The feature is cut off: a score must not bend what the network sees.
        """
        look_NLuv = self.look(feature_NCHW.detach())
        key_look_NLuv = passed.held(LOOK, look_NLuv, clock, lambda _, given: given)
        due = passed.due(*clock)
        num_frames = 1 if passed.shape_BT is None else passed.shape_BT[1]
        (before_B211,) = passed.parts[CHANGE]
        share_B111 = torch.zeros_like(before_B211[:, :1])
        left_B111 = before_B211[:, 1:] - num_frames
        if len(due) < num_frames:
            logit_N111 = self(look_NLuv, key_look_NLuv)
            share_B111 = logit_N111[num_frames - 1 :: num_frames].sigmoid().to(before_B211.dtype)
        if due:
            left_B111 = torch.full_like(left_B111, self.max_interval - 1 - (num_frames - 1 - due[-1]))
        if due and due[-1] == num_frames - 1:
            share_B111 = torch.zeros_like(share_B111)
        passed.parts[CHANGE] = (torch.cat([share_B111, left_B111], 1),)

    def next_phase(self, state: State) -> int:
        """What the frame that finds this state runs: 0, key, where any of its batch is due; else 1, propagate.

        After a reset the state is zeros: no frame is left, a key frame is due.
        """
        share, left = state[-1].flatten(1).unbind(1)
        return 0 if bool(((share > self.threshold) | (left <= 0)).any()) else 1


def gate_of(model: object) -> ChangeGate | None:
    """The gate of a network whose key frames are learned; anything else has none."""
    modules = model.modules() if isinstance(model, nn.Module) else ()
    return next((module for module in modules if isinstance(module, ChangeGate)), None)


def phase_at(gate: ChangeGate | None, number: int, state: State) -> int:
    """The phase of frame `number` since the last reset, which finds this state; with no gate it counts itself."""
    return number if gate is None else gate.next_phase(state)
