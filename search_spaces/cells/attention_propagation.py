"""Attention propagation: a frame attends to pooled keys and values of the frames before. Knows nothing of its place.

Source: TDNet, Hu et al. 2020, arXiv:2004.01800, section 3.2: keys and values of earlier frames downsampled by
max-pooling, affinity softmax(Q K^T / sqrt(d)), the result added to the frame's own feature.
Differs: all remembered frames are attended to at once, not one after the other; no layer norm of a fixed size;
every frame runs the whole network (alternating sub-networks are a schedule, not a cell).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.cells.attention_specs import AttentionPropagationSpec
from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.memory import attend, marked, pushed


class AttentionPropagation(TemporalCell):
    """y = x + attention(query(x), pooled keys and values of the last frames); y = x while there are none."""

    num_states = 3

    def __init__(self, channels: int, spec: AttentionPropagationSpec) -> None:
        super().__init__()
        self.spec = spec
        self.query = nn.Conv2d(channels, spec.key_channels, 1)
        # A key's bias would add the same to every score, which a softmax does not see.
        self.key = nn.Conv2d(channels, spec.key_channels, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """(pooled keys, pooled values, flags) of the last frames, one after the other in the channels: zeros."""
        spec = self.spec
        pooled_hw = -(-height // spec.pool), -(-width // spec.pool)
        return (
            self._zeros(batch, spec.frames * spec.key_channels, *pooled_hw),
            self._zeros(batch, spec.frames * self.value.out_channels, *pooled_hw),
            self._zeros(batch, spec.frames, 1, 1),
        )

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame."""
        keys, values, valid = state
        out = feature_BCHW + attend(self.query(feature_BCHW), state, self.spec.frames)
        following = (
            pushed(keys, self._pooled(self.key(feature_BCHW))),
            pushed(values, self._pooled(self.value(feature_BCHW))),
            marked(valid),
        )
        return out, following

    def _pooled(self, map_BCHW: Tensor) -> Tensor:
        return F.max_pool2d(map_BCHW, self.spec.pool, ceil_mode=True)
