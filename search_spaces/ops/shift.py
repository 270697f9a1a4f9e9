"""Shift of channel groups, then 1 x 1: space is mixed without a multiplication. Knows nothing of blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.ops.dense import conv_bn

DIRECTIONS_XY = ((1, 0), (-1, 0), (0, 1), (0, -1))


class Shift(nn.Module):
    """Groups of channels move by whole pixels, zeros come in, then 1 x 1 (Wu et al. 2018, arXiv:1711.08141).

    Where ours differs: a kernel of k has the arms of its cross alone, 4 directions by 1..k // 2 pixels and one
    group that stays, since every group is a copy on the device; the groups are as equal as they can be.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
    ) -> None:
        super().__init__()
        self.moves_xy = [(0, 0)]
        self.moves_xy += [
            (d * x * dilation, d * y * dilation) for d in range(1, kernel // 2 + 1) for x, y in DIRECTIONS_XY
        ]
        groups = len(self.moves_xy)
        # The group that stays comes first and is the smallest: with 4 channels and 4 directions it is empty.
        self.sizes = [(in_channels + index) // groups for index in range(groups)]
        self.mix = conv_bn(in_channels, out_channels, 1, stride=stride, act=act)

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        groups = torch.split(feature_BCHW, self.sizes, 1)
        moved = [_moved(group, x, y) for group, (x, y) in zip(groups, self.moves_xy, strict=True) if group.shape[1]]
        out: Tensor = self.mix(torch.cat(moved, 1))
        return out


def _moved(feature_BCHW: Tensor, x: int, y: int) -> Tensor:
    """Moved right by `x` and down by `y` pixels; beyond its own size nothing of a feature is left."""
    if x == y == 0:
        return feature_BCHW
    height, width = feature_BCHW.shape[-2:]
    x, y = max(-width, min(x, width)), max(-height, min(y, height))
    return F.pad(feature_BCHW, (x, -x, y, -y))
