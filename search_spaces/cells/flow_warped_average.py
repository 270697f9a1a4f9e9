"""Exponential average along a learned motion. Knows nothing of where it stands.

Source: flow-warped averaging (Miksik et al. 2013, doi:10.1109/ICRA.2013.6630567; NetWarp, Gadde et al. 2017,
arXiv:1708.03088) with the rates of our exponential average.
Differs: the motion comes from two small convolutions over features of both frames that learn with the network,
never from a flow estimator, which would be dear on a device and would flatter the consistency metrics.
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.specs import FlowWarpedAverageSpec
from search_spaces.cells.warp import warp

MATCH_CHANNELS = 8
"""Channels that two frames are compared by: motion needs fewer than classes do."""

MAX_FLOW = 4.0
"""Feature pixels: at stride 4 and 25 frames a second that is a fifth of a 160 pixel wide picture a second."""


class FlowWarpedAverage(TemporalCell):
    """h = x + keep * (warp(h_previous) - x); the motion starts at zero, so that it starts as the average."""

    num_states = 3

    def __init__(self, channels: int, spec: FlowWarpedAverageSpec) -> None:
        super().__init__()
        self.keep_logit = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.match = nn.Conv2d(channels, MATCH_CHANNELS, 1)
        self.motion = nn.Sequential(
            nn.Conv2d(2 * MATCH_CHANNELS, 2 * MATCH_CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * MATCH_CHANNELS, 2, 3, padding=1),
        )
        last = self.motion[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """(average BCHW, matching feature of the frame before, flag B111): zeros."""
        channels = self.keep_logit.shape[1]
        return (
            self._zeros(batch, channels, height, width),
            self._zeros(batch, MATCH_CHANNELS, height, width),
            self._zeros(batch, 1, 1, 1),
        )

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The average is both the output and the next state."""
        average, match_before, started = state
        match = self.match(feature_BCHW)
        flow = MAX_FLOW * torch.tanh(self.motion(torch.cat([match, match_before], 1)) / MAX_FLOW)
        keep = torch.sigmoid(self.keep_logit) * started
        average = feature_BCHW + keep * (warp(average, flow) - feature_BCHW)
        return average, (average, match, torch.ones_like(started))
