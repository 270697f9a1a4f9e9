"""Diagonal state space: linear recurrences of every channel, then a mixture. Knows nothing of where it stands.

Source: S4D, Gu et al. 2022, arXiv:2206.11893 (diagonal, real), with the parametrization of the LRU, Orvieto et al.
2023, arXiv:2303.06349, sections 3.3 and 3.4: a = exp(-exp(nu)) lies in (0, 1) whatever is learned, and the input is
scaled by sqrt(1 - a^2) so that slow states are no louder than fast ones.
Differs: real rates only, one recurrence a pixel and channel; the input's scale b follows from a and is not learned,
for only the product of b and c shows; the mixture is added to the feature, so that a new cell passes its input on.
"""

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.specs import DiagonalStateSpaceSpec
from search_spaces.ops.dense import conv_bn

SLOWEST, FASTEST = 0.9, 0.1
"""Rates of a new cell, spread evenly between these: memories of ten frames down to one."""


class DiagonalStateSpace(TemporalCell):
    """h_s' = a_s h_s + b_s x for every state s of a channel; y = x + conv1x1(d x + sum_s c_s h_s')."""

    def __init__(self, channels: int, spec: DiagonalStateSpaceSpec) -> None:
        super().__init__()
        self.num_states = spec.states
        rates_SC11 = torch.linspace(SLOWEST, FASTEST, spec.states * channels).view(spec.states, channels, 1, 1)
        self.log_decay_SC11 = nn.Parameter((-rates_SC11.log()).log())
        self.out_SC11 = nn.Parameter(torch.full_like(rates_SC11, spec.states**-0.5))
        self.through_C11 = nn.Parameter(torch.ones(channels, 1, 1))
        self.mix = conv_bn(channels, channels, 1)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """One map a state."""
        channels = self.through_C11.shape[0]
        return tuple(self._zeros(batch, channels, height, width) for _ in range(self.num_states))

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame."""
        read, state = self._read(feature_BCHW, self._rates(), state)
        out: Tensor = feature_BCHW + self.mix(read)
        return out, state

    def scan(self, feature_BTCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """The mixture of all frames in one convolution; only the recurrence runs in time."""
        rates = self._rates()
        reads = []
        for feature_BCHW in feature_BTCHW.unbind(1):
            read, state = self._read(feature_BCHW, rates, state)
            reads.append(read)
        mixed: Tensor = self.mix(torch.stack(reads, 1).flatten(0, 1))
        return feature_BTCHW + mixed.reshape(feature_BTCHW.shape), state

    def _rates(self) -> tuple[Tensor, Tensor]:
        """(a, b), both SC11. b = sqrt(1 - a^2) by expm1, which loses no digits where a is almost 1."""
        decay_SC11 = -self.log_decay_SC11.exp()
        return decay_SC11.exp(), torch.sqrt(-torch.expm1(2.0 * decay_SC11))

    def _read(self, feature_BCHW: Tensor, rates: tuple[Tensor, Tensor], state: State) -> tuple[Tensor, State]:
        following = tuple(a * before + b * feature_BCHW for before, a, b in zip(state, *rates, strict=True))
        read = self.through_C11 * feature_BCHW
        for weight_C11, hidden in zip(self.out_SC11, following, strict=True):
            read = read + weight_C11 * hidden
        return read, following
