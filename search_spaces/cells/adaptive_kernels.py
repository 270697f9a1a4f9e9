"""Propagation by per-pixel kernels predicted from both frames. Knows nothing of where it stands.

Source: Li et al. 2018, arXiv:1804.00389, section 3.2 (adaptive propagation): out(p) = sum over the window of
weight(p, i) * before(p + i), the weights of every pixel predicted from low-level features of both frames and
normalized by a softmax.
Differs: every frame is computed, so the propagated output joins the new feature by the rates of our exponential
average; the kernel is predicted from few matching channels of the same feature; it starts near the centre.
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.attention_specs import AdaptiveKernelsSpec
from search_spaces.cells.base import State
from search_spaces.cells.matched import MatchedAverage
from search_spaces.cells.motion import MATCH_CHANNELS, match_conv
from search_spaces.cells.window import shifts, weighted_sum

KERNEL = 3
CENTRE = 4.0
"""Logit of the centre at the start: it has 0.87 of the weight, so that a new cell does not blur."""


class AdaptiveKernels(MatchedAverage):
    """h = x + keep * (sum_i softmax(w)_i h_previous(p + i) - x), w from both frames' matching features."""

    def __init__(self, channels: int, spec: AdaptiveKernelsSpec) -> None:
        super().__init__(channels)
        self.match = match_conv(channels)
        self.hidden = nn.Conv2d(2 * MATCH_CHANNELS, 2 * MATCH_CHANNELS, 3, padding=1)
        self.weights = nn.Conv2d(2 * MATCH_CHANNELS, KERNEL * KERNEL, 3, padding=1)
        assert self.weights.bias is not None
        nn.init.normal_(self.weights.weight, std=1e-3)
        nn.init.zeros_(self.weights.bias)
        nn.init.constant_(self.weights.bias[KERNEL * KERNEL // 2 :][:1], CENTRE)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The mixture is both the output and the next state."""
        before, match_before, started = state
        match = self.match(feature_BCHW)
        hidden = torch.relu(self.hidden(torch.cat([match, match_before], 1)))
        moved = weighted_sum(torch.softmax(self.weights(hidden), 1), shifts(before, KERNEL))
        out = self._mixed(feature_BCHW, moved, started)
        return out, (out, match, torch.ones_like(started))
