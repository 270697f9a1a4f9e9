"""What was before, brought along a learned motion and trusted by degrees. Knows nothing of where it stands.

Source: NetWarp, Gadde et al. 2017, arXiv:1708.03088, section 3 (the feature of the frame before, warped, and the new
one, each weighed by the channel); GRFP, Nilsson and Sminchisescu 2018, arXiv:1612.08871, section 3.2 (the reset gate
r = 1 - tanh|conv(I - warp I_before)| of its recurrent unit).
Differs: the motion is learned with the network (search_spaces/cells/motion.py) and comes from no flow estimator; GRFP's
gate sees the matching features in place of pictures, and its update gate is one rate a channel, as in our average.
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State
from search_spaces.cells.matched import MatchedCell
from search_spaces.cells.motion import MATCH_CHANNELS, flow_between, match_conv, motion_head
from search_spaces.cells.specs import FlowGatedWarpSpec
from search_spaces.cells.warp import warp

WEIGHT_BEFORE = 0.25
"""Of the old feature in a new cell, which so mostly follows its input; NetWarp starts at 0 and learns from there."""


class FlowGatedWarp(MatchedCell):
    """channel: y = v x + w warp(x_previous), v and w of a channel.

    photometric: y = x + keep r (warp(y_previous) - x), keep of a channel, r = 1 - tanh|conv3x3(m - warp(m_previous))|
    of a pixel, m the feature that frames are matched by.
    """

    def __init__(self, channels: int, spec: FlowGatedWarpSpec) -> None:
        super().__init__(channels)
        self.match = match_conv(channels)
        self.motion = motion_head()
        self.photometric = spec.confidence == "photometric"
        if self.photometric:
            self.keep_logit = nn.Parameter(torch.zeros(1, channels, 1, 1))
            self.doubt = nn.Conv2d(MATCH_CHANNELS, 1, 3, padding=1)
            assert self.doubt.bias is not None
            nn.init.zeros_(self.doubt.bias)
        else:
            self.weight_now = nn.Parameter(torch.full((1, channels, 1, 1), 1.0 - WEIGHT_BEFORE))
            self.weight_before = nn.Parameter(torch.full((1, channels, 1, 1), WEIGHT_BEFORE))

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame; the first one has itself before it."""
        before, match_before, started = state
        match = self.match(feature_BCHW)
        flow = flow_between(self.motion, match, match_before)
        if not self.photometric:
            before = feature_BCHW + started * (warp(before, flow) - feature_BCHW)
            out = self.weight_now * feature_BCHW + self.weight_before * before
            return out, (feature_BCHW, match, torch.ones_like(started))
        both = warp(torch.cat([before, match_before], 1), flow)
        warped, match_warped = both[:, : self.channels], both[:, self.channels :]
        trust = 1.0 - torch.tanh(self.doubt(match - match_warped).abs())
        keep = torch.sigmoid(self.keep_logit) * started
        out = feature_BCHW + keep * trust * (warped - feature_BCHW)
        return out, (out, match, torch.ones_like(started))
