"""How two branches of different resolution see each other on the way, by name. Knows nothing of their stages.

Both features come without their activation and leave so: who exchanges applies it behind the sum.

Legend: N frames, C channels, H/W pixels of the fine feature, h/w of the coarse one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from search_spaces.activations import apart
from search_spaces.ops.dense import conv_bn
from search_spaces.resizing import resize


class Exchange(nn.Module, ABC):
    """Between a fine feature and a coarse one: channels of the former, of the latter and of those on the way to it.

    `coarse_channels`: one entry a halving, the coarse feature's own last. `acts`: what the fine and the coarse
    feature are activated by.
    """

    @abstractmethod
    def __init__(self, fine_channels: int, coarse_channels: Sequence[int], acts: tuple[str, str]) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, fine_NCHW: Tensor, coarse_NChw: Tensor) -> tuple[Tensor, Tensor]:
        """(fine, coarse) before their activations to the same."""


class Bilateral(Exchange):
    """Each is added to the other: fine to coarse by strided 3x3, coarse to fine by 1x1 and enlarging.

    Source: DDRNet (Hong et al. 2021, arXiv:2101.06085, equation 1 and figure 4).
    """

    def __init__(self, fine_channels: int, coarse_channels: Sequence[int], acts: tuple[str, str]) -> None:
        super().__init__(fine_channels, coarse_channels, acts)
        widths = (fine_channels, *coarse_channels)
        within = [acts[1]] * (len(coarse_channels) - 1) + [None]
        self.fine_act, self.coarse_act = apart(acts[0], fine_channels), apart(acts[1], coarse_channels[-1])
        self.down = nn.Sequential(
            *(
                conv_bn(one, other, 3, stride=2, act=act)
                for one, other, act in zip(widths[:-1], widths[1:], within, strict=True)
            )
        )
        self.up = conv_bn(coarse_channels[-1], fine_channels, 1)

    def forward(self, fine_NCHW: Tensor, coarse_NChw: Tensor) -> tuple[Tensor, Tensor]:
        """Both sums."""
        down = self.down(self.fine_act(fine_NCHW))
        up = resize(self.up(self.coarse_act(coarse_NChw)), *fine_NCHW.shape[-2:])
        return fine_NCHW + up, coarse_NChw + down


class PixelAttention(Exchange):
    """The fine feature takes from the coarse one where both agree; the coarse one goes on alone.

    Source: PIDNet (Xu et al. 2022, arXiv:2206.02066, section 3.2 and equation 4: Pag), its 1x1 compression of the
    coarse feature in front; both are compared in half of the fine channels.
    """

    def __init__(self, fine_channels: int, coarse_channels: Sequence[int], acts: tuple[str, str]) -> None:
        super().__init__(fine_channels, coarse_channels, acts)
        compared = max(1, fine_channels // 2)
        self.coarse_act = apart(acts[1], coarse_channels[-1])
        self.compress = conv_bn(coarse_channels[-1], fine_channels, 1)
        self.fine_key, self.coarse_key = conv_bn(fine_channels, compared, 1), conv_bn(fine_channels, compared, 1)

    def forward(self, fine_NCHW: Tensor, coarse_NChw: Tensor) -> tuple[Tensor, Tensor]:
        """The fine feature between itself and the coarse one, the coarse one as it is."""
        size_hw = fine_NCHW.shape[-2:]
        given = self.compress(self.coarse_act(coarse_NChw))
        keys = self.fine_key(fine_NCHW) * resize(self.coarse_key(given), *size_hw)
        share_N1HW = torch.sigmoid(keys.sum(1, keepdim=True))
        return fine_NCHW + share_N1HW * (resize(given, *size_hw) - fine_NCHW), coarse_NChw


EXCHANGES: Mapping[str, type[Exchange]] = {"bilateral": Bilateral, "pixel_attention": PixelAttention}
"""All but "none"."""
