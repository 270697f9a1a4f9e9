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
from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.window import shifts, weighted_sum

KERNEL = 3
MATCH_CHANNELS = 8
"""Channels that two frames are compared by, as of the flow-warped average."""

CENTRE = 4.0
"""Logit of the centre at the start: it has 0.87 of the weight, so that a new cell does not blur."""


class AdaptiveKernels(TemporalCell):
    """h = x + keep * (sum_i softmax(w)_i h_previous(p + i) - x), w from both frames' matching features."""

    num_states = 3

    def __init__(self, channels: int, spec: AdaptiveKernelsSpec) -> None:
        super().__init__()
        self.keep_logit = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.match = nn.Conv2d(channels, MATCH_CHANNELS, 1)
        self.hidden = nn.Conv2d(2 * MATCH_CHANNELS, 2 * MATCH_CHANNELS, 3, padding=1)
        self.weights = nn.Conv2d(2 * MATCH_CHANNELS, KERNEL * KERNEL, 3, padding=1)
        assert self.weights.bias is not None
        nn.init.normal_(self.weights.weight, std=1e-3)
        nn.init.zeros_(self.weights.bias)
        nn.init.constant_(self.weights.bias[KERNEL * KERNEL // 2 :][:1], CENTRE)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """(output BCHW, matching feature of the frame before, flag B111): zeros."""
        channels = self.keep_logit.shape[1]
        return (
            self._zeros(batch, channels, height, width),
            self._zeros(batch, MATCH_CHANNELS, height, width),
            self._zeros(batch, 1, 1, 1),
        )

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The mixture is both the output and the next state."""
        before, match_before, started = state
        match = self.match(feature_BCHW)
        hidden = torch.relu(self.hidden(torch.cat([match, match_before], 1)))
        moved = weighted_sum(torch.softmax(self.weights(hidden), 1), shifts(before, KERNEL))
        keep = torch.sigmoid(self.keep_logit) * started
        out = feature_BCHW + keep * (moved - feature_BCHW)
        return out, (out, match, torch.ones_like(started))
