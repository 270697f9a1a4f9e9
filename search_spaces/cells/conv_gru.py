"""Convolutional gated recurrent unit. Knows nothing of where it stands.

Source: Ballas et al. 2016, arXiv:1511.06432, eq. 5-8.
Differs: the update gate's bias starts at -1 so that a new cell mostly follows its input, and the gates' sigmoid
may be a hard one.
"""

import torch
from torch import Tensor, nn

from search_spaces.activations import GATES
from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.specs import ConvGRUSpec


def _gate_conv(in_channels: int, out_channels: int, spec: ConvGRUSpec) -> nn.Module:
    """The convolution of a gate: with bias, without batch norm, so that a step equals its training."""
    padding = spec.kernel // 2
    if spec.factorization == "dense":
        return nn.Conv2d(in_channels, out_channels, spec.kernel, padding=padding)
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, spec.kernel, padding=padding, groups=in_channels, bias=False),
        nn.Conv2d(in_channels, out_channels, 1),
    )


class ConvGRU(TemporalCell):
    """r, z = sigmoid(conv[x, h]); c = tanh(conv[x, r h]); h' = (1 - z) c + z h."""

    def __init__(self, channels: int, spec: ConvGRUSpec) -> None:
        super().__init__()
        self.num_state = channels
        self.gate = GATES[spec.gate].function
        self.gates = _gate_conv(2 * self.num_state, 2 * self.num_state, spec)
        self.candidate = _gate_conv(2 * self.num_state, self.num_state, spec)
        last = self.gates[-1] if isinstance(self.gates, nn.Sequential) else self.gates
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        nn.init.constant_(last.bias[self.num_state :], -1.0)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The hidden map h."""
        return (self._zeros(batch, self.num_state, height, width),)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The hidden map is both the output and the next state."""
        (hidden,) = state
        reset, update = self.gate(self.gates(torch.cat([feature_BCHW, hidden], 1))).chunk(2, 1)
        candidate = torch.tanh(self.candidate(torch.cat([feature_BCHW, reset * hidden], 1)))
        hidden = candidate + update * (hidden - candidate)
        return hidden, (hidden,)
