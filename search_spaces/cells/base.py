"""What a temporal cell is: a streaming function of a feature and a state. Knows nothing of networks.

Legend: B batch, T frames, C channels, H/W feature pixels.
"""

from abc import ABC, abstractmethod
from itertools import chain

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]


class TemporalCell(nn.Module, ABC):
    """Keeps the feature's shape. The state is zeros before the first frame; a cell must cope with that."""

    num_states: int = 1
    """How many tensors the state has."""

    @abstractmethod
    def initial_state(self, batch: int, height: int, width: int) -> State:
        """Zeros for features of this size, on the device and in the type of the cell's parameters."""

    @abstractmethod
    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: (feature, state) -> (feature, next state)."""

    def scan(self, feature_BTCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """A clip; the same as `step` over its frames. Override where it can be vectorized over T."""
        out = []
        for feature_BCHW in feature_BTCHW.unbind(1):
            feature, state = self.step(feature_BCHW, state)
            out.append(feature)
        return torch.stack(out, 1), state

    def _zeros(self, *shape: int) -> Tensor:
        like = next(chain(self.parameters(), self.buffers()))
        return torch.zeros(shape, device=like.device, dtype=like.dtype)
