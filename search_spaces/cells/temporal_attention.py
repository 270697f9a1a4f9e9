"""Temporal attention: every pixel attends to itself in the last frames. Knows nothing of where it stands.

Source: Su et al. 2023, the temporal half of the decoupled spatio-temporal transformer of the survey's
section 5.4.3; scores and weights as in Vaswani et al. 2017, arXiv:1706.03762, eq. 1.
Differs: one head; the frame itself is not among the keys, for it passes by in the sum; the remembered features
are projected after they are averaged, which is the same and once instead of once a frame.
"""

import math

import torch
from torch import Tensor, nn

from search_spaces.cells.attention_specs import TemporalAttentionSpec
from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.memory import EMPTY, marked, pushed
from search_spaces.cells.window import correlation, weighted_sum

KEY_CHANNELS = 16


class TemporalAttention(TemporalCell):
    """y = x + project(sum_f softmax_f(q . k_f / sqrt(d)) x_f) over the last frames f at the same pixel."""

    num_states = 3

    def __init__(self, channels: int, spec: TemporalAttentionSpec) -> None:
        super().__init__()
        self.frames = spec.frames
        self.query = nn.Conv2d(channels, KEY_CHANNELS, 1)
        # A key's bias would add the same to every frame, which a softmax does not see.
        self.key = nn.Conv2d(channels, KEY_CHANNELS, 1, bias=False)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """(keys, features, flags) of the last frames, one after the other in the channels: zeros."""
        return (
            self._zeros(batch, self.frames * KEY_CHANNELS, height, width),
            self._zeros(batch, self.frames * self.project.in_channels, height, width),
            self._zeros(batch, self.frames, 1, 1),
        )

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame."""
        keys, features, valid = state
        query = self.query(feature_BCHW) * (1.0 / math.sqrt(KEY_CHANNELS))
        scores = correlation(query, keys.chunk(self.frames, 1))
        weights_BFHW = torch.softmax(scores + (1.0 - valid) * EMPTY, 1)
        found = weighted_sum(weights_BFHW, features.chunk(self.frames, 1))
        out = feature_BCHW + self.project(found)
        return out, (pushed(keys, self.key(feature_BCHW)), pushed(features, feature_BCHW), marked(valid))
