"""A temporal cell where it stands: on a share of the channels, fused with what it got. Knows nothing of networks.

Legend: B batch, T frames, N = B * T, C channels, H/W feature pixels.
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State
from search_spaces.cells.registry import build_cell
from search_spaces.fusion import FUSIONS
from search_spaces.network_spec import TemporalSite

SHARES = {"1": 1, "1/2": 2, "1/4": 4}


class Site(nn.Module):
    """The channels beyond the share pass by; the others go through the cell and join its output."""

    def __init__(self, spec: TemporalSite, channels: int) -> None:
        super().__init__()
        self.num_channels = max(1, channels // SHARES[spec.share])
        self.cell = build_cell(spec.cell, self.num_channels)
        self.fusion = FUSIONS[spec.fusion](self.num_channels)

    @property
    def num_states(self) -> int:
        """How many tensors the state has."""
        return self.cell.num_states

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """Zeros for features of this size."""
        return self.cell.initial_state(batch, height, width)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: (feature, state) -> (feature, next state)."""
        given = self._given(feature_BCHW)
        out, state = self.cell.step(given, state)
        return self._joined(feature_BCHW, given, out), state

    def scan(self, feature_NCHW: Tensor, shape_BT: torch.Size, state: State) -> tuple[Tensor, State]:
        """A clip whose frames are one batch, as `step` over them."""
        given = self._given(feature_NCHW)
        out, state = self.cell.scan(given.reshape(*shape_BT, *given.shape[1:]), state)
        return self._joined(feature_NCHW, given, out.flatten(0, 1)), state

    def _given(self, feature_NCHW: Tensor) -> Tensor:
        return feature_NCHW if self.num_channels == feature_NCHW.shape[1] else feature_NCHW[:, : self.num_channels]

    def _joined(self, feature_NCHW: Tensor, given_NCHW: Tensor, out_NCHW: Tensor) -> Tensor:
        fused: Tensor = self.fusion(given_NCHW, out_NCHW)
        if self.num_channels == feature_NCHW.shape[1]:
            return fused
        return torch.cat([fused, feature_NCHW[:, self.num_channels :]], 1)
