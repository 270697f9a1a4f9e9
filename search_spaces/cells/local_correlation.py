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
from search_spaces.cells.base import State
from search_spaces.cells.matched import MatchedAverage
from search_spaces.cells.motion import MATCH_CHANNELS, match_conv
from search_spaces.cells.window import correlation, shifts, weighted_sum

CENTRE = 4.0
"""Bias of the window's centre at the start, so that a new cell does not blur."""


class LocalCorrelation(MatchedAverage):
    """h = x + keep * (sum_i softmax(q . k_i / sqrt(d) + bias_i) h_previous(p + i) - x)."""

    def __init__(self, channels: int, spec: LocalCorrelationSpec) -> None:
        super().__init__(channels)
        self.kernel = spec.kernel
        self.query = match_conv(channels)
        # A key's bias would add the same to every place, which a softmax does not see.
        self.key = nn.Conv2d(channels, MATCH_CHANNELS, 1, bias=False)
        bias = torch.zeros(1, spec.kernel**2, 1, 1)
        bias[:, spec.kernel**2 // 2] = CENTRE
        self.bias = nn.Parameter(bias)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The mixture is both the output and the next state."""
        before, key_before, started = state
        query = self.query(feature_BCHW) * (1.0 / math.sqrt(MATCH_CHANNELS))
        scores = correlation(query, shifts(key_before, self.kernel)) + self.bias
        found = weighted_sum(torch.softmax(scores, 1), shifts(before, self.kernel))
        out = self._mixed(feature_BCHW, found, started)
        return out, (out, self.key(feature_BCHW), torch.ones_like(started))
