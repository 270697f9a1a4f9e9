"""A gate between the old output and the new feature, by how similar the frames are. Knows nothing of its place.

Source: SSP, 2025, arXiv:2503.15676: g = sigmoid(conv[f before, f]),
out = g * out before + (1 - g) * f, in its convolutional form.
Differs: no alignment by a homography, which no exporter can express.
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.specs import SimilarityGateSpec


class SimilarityGate(TemporalCell):
    """One gate a pixel from both frames' features; interpolates, so that it starts as an average."""

    num_states = 3

    def __init__(self, channels: int, spec: SimilarityGateSpec) -> None:
        super().__init__()
        self.channels = channels
        hidden = max(4, channels // 2)
        self.gate = nn.Sequential(
            nn.Conv2d(2 * channels, hidden, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(hidden, 1, 1)
        )

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """(output, feature of the frame before, flag B111): zeros."""
        shape = (batch, self.channels, height, width)
        return self._zeros(*shape), self._zeros(*shape), self._zeros(batch, 1, 1, 1)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame."""
        before, feature_before, started = state
        gate = torch.sigmoid(self.gate(torch.cat([feature_before, feature_BCHW], 1))) * started
        out = feature_BCHW + gate * (before - feature_BCHW)
        return out, (out, feature_BCHW, torch.ones_like(started))
