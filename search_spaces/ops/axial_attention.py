"""Attention along rows and columns that were averaged first. Knows nothing of blocks, stages or networks.

Legend: N frames, C channels, H/W feature pixels, L pixels along one axis, d channels of a head.
"""

import torch
from torch import Tensor, nn

from search_spaces.activations import GATES
from search_spaces.ops.dense import conv_bn

HEADS = 4
KEY_SHARE = 8
"""Channels of the feature a key channel of one head, values are twice as many: near the paper's small models."""


class AxialAttention(nn.Module):
    """Every row, averaged, attends to all rows, every column to all columns; what they find gates a detail branch.

    Source: Wan et al. 2023, SeaFormer, arXiv:2301.13156, section 3.3 (squeeze-enhanced axial attention). Costs H^2 +
    W^2 where attention of all pixels costs (H W)^2. Differs: no position embedding (the depthwise convolution pads
    with zeros, which tells where the border is), and no feed-forward network behind it: the next stage's blocks are
    one; batch norms start as all others do.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        key = max(1, channels // KEY_SHARE)
        self.scale = key**-0.5
        keys, values = HEADS * key, 2 * HEADS * key
        self.query, self.key = conv_bn(channels, keys, 1), conv_bn(channels, keys, 1)
        self.value = conv_bn(channels, values, 1)
        both = 2 * keys + values
        self.detail = nn.Sequential(*conv_bn(both, both, 3, groups=both, act="relu"), *conv_bn(both, channels, 1))
        self.rows = nn.Sequential(nn.ReLU(), *conv_bn(values, values, 1))
        self.columns = nn.Sequential(nn.ReLU(), *conv_bn(values, values, 1))
        self.mix = nn.Sequential(nn.ReLU(), *conv_bn(values, channels, 1))

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        query, key, value = self.query(feature_NCHW), self.key(feature_NCHW), self.value(feature_NCHW)
        rows = self._along(query.mean(3), key.mean(3), value.mean(3)).unsqueeze(3)
        columns = self._along(query.mean(2), key.mean(2), value.mean(2)).unsqueeze(2)
        gate = GATES["hard_sigmoid"].function(self.mix(value + self.rows(rows) + self.columns(columns)))
        detail: Tensor = self.detail(torch.cat([query, key, value], 1))
        return feature_NCHW + gate * detail

    def _along(self, query_NCL: Tensor, key_NCL: Tensor, value_NCL: Tensor) -> Tensor:
        """Attention of all positions to all, heads apart: [N, values, L]."""
        query_NhdL, key_NhdL, value_NhdL = (_by_heads(given) for given in (query_NCL, key_NCL, value_NCL))
        weights_NhLL = (query_NhdL.transpose(2, 3) @ key_NhdL * self.scale).softmax(-1)
        found_NhdL: Tensor = value_NhdL @ weights_NhLL.transpose(2, 3)
        return found_NhdL.flatten(1, 2)


def _by_heads(feature_NCL: Tensor) -> Tensor:
    frames, channels, length = feature_NCL.shape
    return feature_NCL.reshape(frames, HEADS, channels // HEADS, length)
