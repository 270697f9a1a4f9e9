"""A queue of remembered frames and attention over it. Knows nothing of the cells that keep one.

Source: scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762, eq. 1) with additive masks.

Legend: B batch, F remembered frames (newest first), D key channels, V value channels, N pixels that ask,
M = remembered pixels of a frame, H/W feature pixels.
"""

import math

import torch
from torch import Tensor

from search_spaces.cells.base import State

EMPTY = -1e4
"""Score of a frame that is not there: its weight is zero beside any real one in float32, and no infinity, so that
a memory without any frame gives equal weights (of values that are all zero) and no NaN. Float16 can say it."""


def pushed(memory_BEHW: Tensor, newest_BCHW: Tensor) -> Tensor:
    """The queue, its frames one after the other in the channels, with the newest in and the oldest out."""
    kept = memory_BEHW.shape[1] - newest_BCHW.shape[1]
    return torch.cat([newest_BCHW, memory_BEHW[:, :kept]], 1)


def marked(valid_BF11: Tensor) -> Tensor:
    """The flags of the queue's frames after a push."""
    return pushed(valid_BF11, torch.ones_like(valid_BF11[:, :1]))


def attend(query_BDHW: Tensor, memory: State, frames: int) -> Tensor:
    """Every pixel attends to every remembered pixel of every frame: B V H W, zeros where the memory is empty.

    `memory`: keys (B, F * D, h, w), values (B, F * V, h, w), flags (B, F, 1, 1).
    """
    keys, values, valid_BF11 = memory
    batch, key_channels, height, width = query_BDHW.shape
    pixels = keys.shape[2] * keys.shape[3]
    query_BND = query_BDHW.flatten(2).transpose(1, 2) * (1.0 / math.sqrt(key_channels))
    keys_BDM = keys.reshape(batch, frames, key_channels, pixels).transpose(1, 2).flatten(2)
    values_BMV = values.reshape(batch, frames, -1, pixels).transpose(2, 3).flatten(1, 2)
    empty_B1M = ((1.0 - valid_BF11) * EMPTY).reshape(batch, 1, frames, 1).expand(-1, -1, -1, pixels).flatten(2)
    weights_BNM = torch.softmax(query_BND @ keys_BDM + empty_B1M, 2)
    return (weights_BNM @ values_BMV).transpose(1, 2).reshape(batch, -1, height, width)
