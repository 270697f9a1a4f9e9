"""Exponential average along a learned motion. Knows nothing of where it stands.

Source: flow-warped averaging (Miksik et al. 2013, doi:10.1109/ICRA.2013.6630567; NetWarp, Gadde et al. 2017,
arXiv:1708.03088) with the rates of our exponential average.
Differs: the motion is learned with the network (search_spaces/cells/motion.py).
"""

import torch
from torch import Tensor

from search_spaces.cells.base import State
from search_spaces.cells.matched import MatchedAverage
from search_spaces.cells.motion import flow_between, match_conv, motion_head
from search_spaces.cells.specs import FlowWarpedAverageSpec
from search_spaces.cells.warp import warp


class FlowWarpedAverage(MatchedAverage):
    """h = x + keep * (warp(h_previous) - x); the motion starts at zero, so that it starts as the average."""

    def __init__(self, channels: int, spec: FlowWarpedAverageSpec) -> None:
        super().__init__(channels)
        self.match = match_conv(channels)
        self.motion = motion_head()

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The average is both the output and the next state."""
        average, match_before, started = state
        match = self.match(feature_BCHW)
        flow = flow_between(self.motion, match, match_before)
        average = self._mixed(feature_BCHW, warp(average, flow), started)
        return average, (average, match, torch.ones_like(started))
