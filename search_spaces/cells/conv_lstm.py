"""Convolutional long short-term memory. Knows nothing of where it stands.

Source: Shi et al. 2015, arXiv:1506.04214, eq. 3.
Differs: no peepholes, whose weights are one a pixel and would tie the cell to one frame size. The forget gate's
bias starts at 1 (Jozefowicz et al. 2015: http://proceedings.mlr.press/v37/jozefowicz15.html).
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.gates import bias_of, gate_conv
from search_spaces.cells.specs import ConvLSTMSpec


class ConvLSTM(TemporalCell):
    """i, f, o = sigmoid(conv[x, h]); g = tanh(conv[x, h]); c' = f c + i g; h' = o tanh(c')."""

    num_states = 2

    def __init__(self, channels: int, spec: ConvLSTMSpec) -> None:
        super().__init__()
        self.channels = channels
        self.gates = gate_conv(2 * channels, 4 * channels, spec.kernel, spec.factorization)
        bias = bias_of(self.gates)
        nn.init.zeros_(bias)
        nn.init.constant_(bias[channels : 2 * channels], 1.0)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """(hidden map h, memory c)."""
        shape = (batch, self.channels, height, width)
        return self._zeros(*shape), self._zeros(*shape)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The hidden map is the output."""
        hidden, memory = state
        gates: Tensor = self.gates(torch.cat([feature_BCHW, hidden], 1))
        admit, keep, show, new = gates.chunk(4, 1)
        memory = torch.sigmoid(keep) * memory + torch.sigmoid(admit) * torch.tanh(new)
        hidden = torch.sigmoid(show) * torch.tanh(memory)
        return hidden, (hidden, memory)
