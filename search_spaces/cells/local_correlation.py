"""Local correlation: every pixel looks for itself in a window of the frame before. Knows nothing of its place.

Source: An et al. 2023, the dual correlation of the survey's section 5.3.2; the learned bias of every place of the
window as in Liu et al. 2021, arXiv:2103.14030, eq. 4.
Differs: what is attended to is the cell's own output of the frame before, averaged in by the rates of our
exponential average; few matching channels are compared.
"""

import math

import torch
from torch import Tensor, nn

from search_spaces.cells.attention_specs import LocalCorrelationSpec
from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.window import correlation, shifts, weighted_sum

MATCH_CHANNELS = 8
"""Channels that two frames are compared by, as of the flow-warped average."""

CENTRE = 4.0
"""Bias of the window's centre at the start, so that a new cell does not blur."""


class LocalCorrelation(TemporalCell):
    """h = x + keep * (sum_i softmax(q . k_i / sqrt(d) + bias_i) h_previous(p + i) - x)."""

    num_states = 3

    def __init__(self, channels: int, spec: LocalCorrelationSpec) -> None:
        super().__init__()
        self.kernel = spec.kernel
        self.keep_logit = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.query = nn.Conv2d(channels, MATCH_CHANNELS, 1)
        # A key's bias would add the same to every place, which a softmax does not see.
        self.key = nn.Conv2d(channels, MATCH_CHANNELS, 1, bias=False)
        bias = torch.zeros(1, spec.kernel**2, 1, 1)
        bias[:, spec.kernel**2 // 2] = CENTRE
        self.bias = nn.Parameter(bias)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """(output BCHW, key of the frame before, flag B111): zeros."""
        channels = self.keep_logit.shape[1]
        return (
            self._zeros(batch, channels, height, width),
            self._zeros(batch, MATCH_CHANNELS, height, width),
            self._zeros(batch, 1, 1, 1),
        )

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The mixture is both the output and the next state."""
        before, key_before, started = state
        query = self.query(feature_BCHW) * (1.0 / math.sqrt(MATCH_CHANNELS))
        scores = correlation(query, shifts(key_before, self.kernel)) + self.bias
        found = weighted_sum(torch.softmax(scores, 1), shifts(before, self.kernel))
        keep = torch.sigmoid(self.keep_logit) * started
        out = feature_BCHW + keep * (found - feature_BCHW)
        return out, (out, self.key(feature_BCHW), torch.ones_like(started))
