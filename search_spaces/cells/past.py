"""What a causal convolution over time still needs of the past, and how it is read. Knows nothing of convolutions.

Source: activations are kept where the next frame's kernel needs them and no frame is computed twice (temporal skip
connections, Koepueklue et al. 2022, arXiv:2009.14639; the survey's 5.2). Before the first frame everything is zero.

Legend: B batch, T frames, N = B frames of a step or B * T of a clip, C channels, K frames of the kernel, D = K - 1
frames of the past, H/W feature pixels.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.cells.base import State


class Past:
    """Hands out one tensor of the state after the other, for a step (`shape_BT` None) or a clip."""

    def __init__(self, state: State, shape_BT: torch.Size | None = None) -> None:
        self._state: Iterator[Tensor] = iter(state)
        self._shape_BT = shape_BT
        self._following: list[Tensor] = []

    @property
    def following(self) -> State:
        """The next state."""
        return tuple(self._following)

    def window(self, feature_NCHW: Tensor) -> Tensor:
        """The last K frames of a feature, the oldest first: [N, K C, H, W]. The state is D frames of it."""
        past_BPHW = next(self._state)
        channels = feature_NCHW.shape[1]
        if self._shape_BT is None:
            window_BQHW = torch.cat([past_BPHW, feature_NCHW], 1)
            self._following.append(window_BQHW[:, channels:])
            return window_BQHW
        past_BDCHW = _frames(past_BPHW, past_BPHW.shape[1] // channels)
        frames_BTCHW = torch.cat([past_BDCHW, feature_NCHW.reshape(*self._shape_BT, *feature_NCHW.shape[1:])], 1)
        num_past, num_frames = past_BDCHW.shape[1], self._shape_BT[1]
        self._following.append(frames_BTCHW[:, num_frames:].flatten(1, 2))
        return torch.cat([frames_BTCHW[:, k : k + num_frames] for k in range(num_past + 1)], 2).flatten(0, 1)

    def delayed_sum(self, products_NPHW: Tensor) -> Tensor:
        """Sums what was computed of every frame for itself and, k frames early, for the k-th after it.

        `products_NPHW` are K blocks of C channels; block k goes into the sum k frames later. The state is the sums
        of the next D frames as far as they are known. Returns [N, C, H, W].
        """
        sums_BPHW = next(self._state)
        channels = products_NPHW.shape[1] - sums_BPHW.shape[1]
        num_past = sums_BPHW.shape[1] // channels
        if self._shape_BT is None:
            out, later = products_NPHW[:, :channels] + sums_BPHW[:, :channels], products_NPHW[:, channels:]
            if num_past > 1:
                last = later[:, -channels:]
                later = torch.cat([later[:, :-channels] + sums_BPHW[:, channels:], last], 1)
            self._following.append(later)
            return out
        num_frames = self._shape_BT[1]
        sums_BTCHW = _padded(_frames(sums_BPHW, num_past), 0, num_frames)
        for k, block_NCHW in enumerate(products_NPHW.chunk(num_past + 1, 1)):
            block_BTCHW = block_NCHW.reshape(*self._shape_BT, *block_NCHW.shape[1:])
            sums_BTCHW = sums_BTCHW + _padded(block_BTCHW, k, num_past - k)
        self._following.append(sums_BTCHW[:, num_frames:].flatten(1, 2))
        return sums_BTCHW[:, :num_frames].flatten(0, 1)


def _frames(frames_BPHW: Tensor, num_frames: int) -> Tensor:
    batch, channels, height, width = frames_BPHW.shape
    return frames_BPHW.reshape(batch, num_frames, channels // num_frames, height, width)


def _padded(clip_BTCHW: Tensor, before: int, after: int) -> Tensor:
    return F.pad(clip_BTCHW, (0, 0, 0, 0, 0, 0, before, after))
