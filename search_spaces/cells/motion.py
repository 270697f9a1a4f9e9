"""A motion between two frames that is learned with the network. Knows nothing of what is moved along it.

Original: two small convolutions over features of both frames, never a flow estimator, which would be dear on a
device and would flatter the consistency metrics.

Legend: B batch, M matching channels, H/W feature pixels.
"""

import torch
from torch import Tensor, nn

MATCH_CHANNELS = 8
"""Channels that two frames are compared by: motion needs fewer than classes do."""

MAX_FLOW = 4.0
"""Feature pixels: at stride 4 and 25 frames a second that is a fifth of a 160 pixel wide picture a second."""


def match_conv(channels: int) -> nn.Conv2d:
    """Feature to what frames are compared by."""
    return nn.Conv2d(channels, MATCH_CHANNELS, 1)


def motion_head() -> nn.Sequential:
    """Matching features of both frames to a motion, which starts near zero."""
    first = nn.Conv2d(2 * MATCH_CHANNELS, 2 * MATCH_CHANNELS, 3, padding=1)
    last = nn.Conv2d(2 * MATCH_CHANNELS, 2, 3, padding=1)
    assert last.bias is not None
    nn.init.normal_(last.weight, std=1e-3)
    nn.init.zeros_(last.bias)
    return nn.Sequential(first, nn.ReLU(inplace=True), last)


def flow_between(head: nn.Module, match_BMHW: Tensor, match_before_BMHW: Tensor) -> Tensor:
    """(x, y) in feature pixels from the new frame back to the old one, at most MAX_FLOW: [B,2,H,W]."""
    return MAX_FLOW * torch.tanh(head(torch.cat([match_BMHW, match_before_BMHW], 1)) / MAX_FLOW)
