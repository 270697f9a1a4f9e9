"""Memory attention: every pixel attends to every pixel of the last frames. Knows nothing of where it stands.

Source: TMANet, Wang et al. 2021, arXiv:2102.08643, section 3.2.
Differs: keys and values come from 1x1 convolutions of the one feature, values are halved in width, and the result
is projected and added, so that a first frame passes as it is.
"""

from torch import Tensor, nn

from search_spaces.cells.attention_specs import MemoryAttentionSpec
from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.memory import attend, marked, pushed

FRAMES = 2
KEY_CHANNELS = 16


class MemoryAttention(TemporalCell):
    """y = x + project(attention(query(x), keys and values of the last two frames)).

    Time and memory grow with the SQUARE of the pixels: the scores of a frame are pixels x 2 pixels (58 MB at
    45x60, 16 times that at twice the side); no map beyond 1/8 of a picture should be given to it.
    """

    num_states = 3

    def __init__(self, channels: int, spec: MemoryAttentionSpec) -> None:
        super().__init__()
        self.value_channels = max(1, channels // 2)
        self.query = nn.Conv2d(channels, KEY_CHANNELS, 1)
        # A key's bias would add the same to every score, which a softmax does not see.
        self.key = nn.Conv2d(channels, KEY_CHANNELS, 1, bias=False)
        self.value = nn.Conv2d(channels, self.value_channels, 1)
        self.project = nn.Conv2d(self.value_channels, channels, 1, bias=False)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """(keys, values, flags) of the last frames, one after the other in the channels: zeros."""
        return (
            self._zeros(batch, FRAMES * KEY_CHANNELS, height, width),
            self._zeros(batch, FRAMES * self.value_channels, height, width),
            self._zeros(batch, FRAMES, 1, 1),
        )

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame."""
        keys, values, valid = state
        out = feature_BCHW + self.project(attend(self.query(feature_BCHW), state, FRAMES))
        following = pushed(keys, self.key(feature_BCHW)), pushed(values, self.value(feature_BCHW)), marked(valid)
        return out, following
