"""Learned exponential average of a feature. Knows nothing of where it stands.

Source: the training-free average of the survey's section 4.3.1 family, made learnable with one rate a channel;
the baseline that every learned cell has to beat.
Original: the state carries a flag that is zero before the first frame, so that the average starts at the
first feature and not at zero.
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.specs import ExponentialAverageSpec


class ExponentialAverage(TemporalCell):
    """h = x + keep * (h_previous - x), keep in (0, 1) learned for every channel; starts at 1/2."""

    num_states = 2

    def __init__(self, channels: int, spec: ExponentialAverageSpec) -> None:
        super().__init__()
        self.keep_logit = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """(average BCHW, flag B111): zeros; the flag says whether there is an average."""
        channels = self.keep_logit.shape[1]
        return self._zeros(batch, channels, height, width), self._zeros(batch, 1, 1, 1)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The average is both the output and the next state."""
        average, started = state
        keep = torch.sigmoid(self.keep_logit) * started
        average = feature_BCHW + keep * (average - feature_BCHW)
        return average, (average, torch.ones_like(started))
