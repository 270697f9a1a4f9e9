"""Minimal gated recurrent unit: gates that see the input alone. Knows nothing of where it stands.

Source: Feng et al. 2024, arXiv:2410.01201, section 3.1.2, its linear maps as 1x1 convolutions; made for clips
that are trained in parallel, because no gate waits for a state.
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.specs import MinGRUSpec


class MinGRU(TemporalCell):
    """z = sigmoid(conv x); c = conv x; h' = (1 - z) h + z c."""

    def __init__(self, channels: int, spec: MinGRUSpec) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, 2 * channels, 1)
        assert self.maps.bias is not None
        nn.init.zeros_(self.maps.bias)
        # A new cell mostly follows its input, as our ConvGRU.
        nn.init.constant_(self.maps.bias[:channels], 1.0)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The hidden map h."""
        return (self._zeros(batch, self.maps.out_channels // 2, height, width),)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The hidden map is both the output and the next state."""
        return self._mixed(self.maps(feature_BCHW), state[0])

    def scan(self, feature_BTCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The maps of all frames in one convolution; only the mixing runs in time."""
        maps_NCHW: Tensor = self.maps(feature_BTCHW.flatten(0, 1))
        out = []
        for maps_BCHW in maps_NCHW.unflatten(0, feature_BTCHW.shape[:2]).unbind(1):  # type: ignore[no-untyped-call]
            hidden, state = self._mixed(maps_BCHW, state[0])
            out.append(hidden)
        return torch.stack(out, 1), state

    @staticmethod
    def _mixed(maps_BCHW: Tensor, hidden: Tensor) -> tuple[Tensor, State]:
        update, candidate = maps_BCHW.chunk(2, 1)
        hidden = hidden + torch.sigmoid(update) * (candidate - hidden)
        return hidden, (hidden,)
