"""Two levels of a convolutional GRU. Knows nothing of where it stands.

Source: Ballas et al. 2016, arXiv:1511.06432, section 3.2 (stacked GRU-RCN); in the survey's 4.2 after Tokmakov et
al. 2017, arXiv:1704.05737.
Differs: the second level reads the first one's output alone and not another layer's feature beside it.
"""

from torch import Tensor

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.conv_gru import ConvGRU
from search_spaces.cells.specs import ConvGRUSpec, StackedConvGRUSpec


class StackedConvGRU(TemporalCell):
    """h1' = gru(x, h1); h2' = gru(h1', h2)."""

    num_states = 2

    def __init__(self, channels: int, spec: StackedConvGRUSpec) -> None:
        super().__init__()
        level = ConvGRUSpec(spec.kernel, spec.factorization)
        self.lower = ConvGRU(channels, level)
        self.upper = ConvGRU(channels, level)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The hidden maps (h1, h2)."""
        size = (batch, height, width)
        return *self.lower.initial_state(*size), *self.upper.initial_state(*size)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The upper hidden map is the output."""
        lower, below = self.lower.step(feature_BCHW, state[:1])
        upper, above = self.upper.step(lower, state[1:])
        return upper, (*below, *above)
