"""What cells share that compare two frames by few channels before they mix them. Knows nothing of how they compare.

Original: one state and one mixture for the cells that cite where their comparison comes from.
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.motion import MATCH_CHANNELS


class MatchedCell(TemporalCell):
    """Remembers a feature, what the next frame is compared with, and whether there was a frame."""

    num_states = 3

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """(feature BCHW, matching feature of the frame before BMHW, flag B111): zeros."""
        return (
            self._zeros(batch, self.channels, height, width),
            self._zeros(batch, MATCH_CHANNELS, height, width),
            self._zeros(batch, 1, 1, 1),
        )


class MatchedAverage(MatchedCell):
    """h = x + keep * (moved(h_previous) - x), with the rates of our exponential average."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.keep_logit = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def _mixed(self, feature_BCHW: Tensor, moved_BCHW: Tensor, started_B111: Tensor) -> Tensor:
        """The mixture, which is the feature itself in the first frame."""
        return feature_BCHW + torch.sigmoid(self.keep_logit) * started_B111 * (moved_BCHW - feature_BCHW)
