"""Class scores of a key frame, brought along to the frames after it. Knows nothing of what computes them.

Source: deep feature flow (DFF, Zhu et al. 2017, arXiv:1611.07715, section 4: the key frame's feature, warped by a flow
from the new frame back to the key frame, is classified anew).
Differs: class scores are brought along and not the feature. The classifier is a 1x1 convolution and the weights of a
bilinear sample sum to one, so that both give the same scores, and there are fewer classes than channels. The flow
comes from two small convolutions over features of the stem of both frames (search_spaces/cells/motion.py), not from
FlowNet, at stride 8 or the head's if that is coarser; there is no scale function.

Legend: B batch, N frames, K classes, M matching channels, H/W pixels, h/w pixels at the head's stride, u/v at the
motion's.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from search_spaces.cells.motion import MATCH_CHANNELS, flow_between, motion_head
from search_spaces.cells.warp import warp
from search_spaces.change_gate import ChangeGate
from search_spaces.frame_pass import Pass
from search_spaces.resizing import resize
from search_spaces.schedule_spec import KeyframesSpec

SCORES, MATCH = "key scores", "key match"
"""What of the key frame is kept: parts of the state."""

MOTION_STRIDE = 8
"""Finer motion costs as much as the network it saves, and MAX_FLOW of its pixels would not reach far."""

Shallow = Callable[[Tensor], Tensor]
"""Frames to the stem's feature."""
Whole = Callable[[Pass, Tensor], Tensor]
"""The stem's feature to class scores; steps the network's cells."""


class Keyframes(nn.Module):
    """What is kept of a key frame, for warp what sees the motion, and the gate where key frames are learned.

    Strides are relative to the scaled frame.
    """

    def __init__(
        self, spec: KeyframesSpec, stem_channels: int, num_classes: int, *, stem_stride: int, head_stride: int
    ) -> None:
        super().__init__()
        self.clock = (spec.period, 0)
        self.kept = {SCORES: (num_classes, head_stride)}
        """Channels and stride."""
        self.warps = spec.propagate == "warp"
        if self.warps:
            motion_stride = max(MOTION_STRIDE, head_stride)
            self.kept[MATCH] = (MATCH_CHANNELS, motion_stride)
            self.head_pixels = motion_stride / head_stride
            stride = motion_stride // stem_stride
            # As wide as its stride, so that no pixel of the stem is passed over.
            kernel = max(3, 2 * (stride // 2) + 1)
            self.match = nn.Conv2d(stem_channels, MATCH_CHANNELS, kernel, stride, kernel // 2)
            self.motion = motion_head()
        self.gate: ChangeGate | None = None
        if spec.trigger == "learned":
            self.gate = ChangeGate(stem_channels, stem_stride, spec.max_interval)
            self.kept.update(self.gate.kept)

    def run(self, passed: Pass, frames_NCHW: Tensor, shallow: Shallow, whole: Whole) -> Tensor:
        """Class scores of every frame, N K h w. A copying frame between fixed key frames is not even looked at."""
        if not self.warps and self.gate is None:
            return passed.held(SCORES, frames_NCHW, self.clock, lambda part, given: whole(part, shallow(given)))
        feature_NCHW = shallow(frames_NCHW)
        scores_NKhw = passed.held(SCORES, feature_NCHW, self.clock, whole)
        if self.gate is not None:
            self.gate.watch(passed, feature_NCHW, self.clock)
        return self._moved(passed, feature_NCHW, scores_NKhw) if self.warps else scores_NKhw

    def _moved(self, passed: Pass, feature_NCHW: Tensor, scores_NKhw: Tensor) -> Tensor:
        """The scores of the key frames, those of all frames in between along the motion since."""
        match_NMuv = self.match(feature_NCHW)
        key_match_NMuv = passed.held(MATCH, match_NMuv, self.clock, lambda _, given: given)
        due = passed.due(*self.clock)
        if passed.shape_BT is None and due:
            return scores_NKhw
        flow_N2uv = flow_between(self.motion, match_NMuv, key_match_NMuv)
        moved_NKhw = warp(scores_NKhw, self.head_pixels * resize(flow_N2uv, *scores_NKhw.shape[-2:]))
        if passed.shape_BT is None:
            return moved_NKhw
        batch, num_frames = passed.shape_BT
        is_key = torch.tensor([t in due for t in range(num_frames)], device=moved_NKhw.device).repeat(batch)
        return torch.where(is_key.view(-1, 1, 1, 1), scores_NKhw, moved_NKhw)
