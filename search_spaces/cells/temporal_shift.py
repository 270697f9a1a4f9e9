"""Temporal shift: some channels come from the frame before. Knows nothing of where it stands.

Source: Lin et al. 2019, TSM, arXiv:1811.08383, the online (one-directional) form.
Differs: the shifted feature is mixed by a 1x1 convolution with batch norm that stands in the cell itself,
because our cell is not the inside of a residual block.
"""

import torch
from torch import Tensor

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.specs import TemporalShiftSpec
from search_spaces.ops.dense import conv_bn


class TemporalShift(TemporalCell):
    """The first 1 / fold of the channels is replaced by those of the previous frame, then 1x1 and a sum."""

    def __init__(self, channels: int, spec: TemporalShiftSpec) -> None:
        super().__init__()
        self.num_shifted = max(1, channels // spec.fold)
        self.mix = conv_bn(channels, channels, 1)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The shifted channels of the frame before."""
        return (self._zeros(batch, self.num_shifted, height, width),)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame."""
        shifted = torch.cat([state[0], feature_BCHW[:, self.num_shifted :]], 1)
        return feature_BCHW + self.mix(shifted), (feature_BCHW[:, : self.num_shifted],)

    def scan(self, feature_BTCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """Vectorized over T: every frame's past is known beforehand."""
        n = self.num_shifted
        own = feature_BTCHW[:, :, :n]
        past = torch.cat([state[0].unsqueeze(1), own[:, :-1]], 1)
        shifted = torch.cat([past, feature_BTCHW[:, :, n:]], 2)
        mixed: Tensor = self.mix(shifted.flatten(0, 1)).reshape(feature_BTCHW.shape)
        return feature_BTCHW + mixed, (own[:, -1],)
