"""Exponential average along a learned motion. Knows nothing of where it stands.

Source: flow-warped averaging (Miksik et al. 2013, doi:10.1109/ICRA.2013.6630567; NetWarp, Gadde et al. 2017,
arXiv:1708.03088) with the rates of our exponential average.
Differs: the motion is learned with the network (search_spaces/cells/motion.py).
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.motion import MATCH_CHANNELS, flow_between, match_conv, motion_head
from search_spaces.cells.specs import FlowWarpedAverageSpec
from search_spaces.cells.warp import warp


class FlowWarpedAverage(TemporalCell):
    """h = x + keep * (warp(h_previous) - x); the motion starts at zero, so that it starts as the average."""

    num_states = 3

    def __init__(self, channels: int, spec: FlowWarpedAverageSpec) -> None:
        super().__init__()
        self.keep_logit = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.match = match_conv(channels)
        self.motion = motion_head()

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
        flow = flow_between(self.motion, match, match_before)
        keep = torch.sigmoid(self.keep_logit) * started
        average = feature_BCHW + keep * (warp(average, flow) - feature_BCHW)
        return average, (average, match, torch.ones_like(started))
