"""A window around every pixel as shifted maps, and weighted sums over it. Knows nothing of where weights come from.

Source: spatially variant convolution (Li et al. 2018, arXiv:1804.00389, section 3.2).
Differs: k * k shifted views of one padded map and no unfolded copy, which onnxruntime gathers value by value
(what the cells that use it cost so: experiments/op_costs.md).

Legend: B batch, C channels, H/W feature pixels, K = kernel * kernel pixels of the window, row by row.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def shifts(feature_BCHW: Tensor, kernel: int) -> list[Tensor]:
    """K maps BCHW; the i-th has at every pixel what lies at the window's i-th place around it.

    Outside the picture its edge goes on.
    """
    height, width = feature_BCHW.shape[-2:]
    padded = F.pad(feature_BCHW, (kernel // 2,) * 4, mode="replicate")
    return [padded[..., y : y + height, x : x + width] for y in range(kernel) for x in range(kernel)]


def weighted_sum(weights_BKHW: Tensor, shifted_BCHW: Sequence[Tensor]) -> Tensor:
    """The window's sum under one weight a pixel and place, shared by the channels: BCHW."""
    out = weights_BKHW[:, :1] * shifted_BCHW[0]
    for weight_B1HW, one_BCHW in zip(torch.split(weights_BKHW[:, 1:], 1, 1), shifted_BCHW[1:], strict=True):
        out = torch.addcmul(out, weight_B1HW, one_BCHW)
    return out


def correlation(query_BCHW: Tensor, shifted_BCHW: Sequence[Tensor]) -> Tensor:
    """Dot product over the channels with every place of the window: BKHW."""
    return torch.cat([(query_BCHW * one_BCHW).sum(1, keepdim=True) for one_BCHW in shifted_BCHW], 1)
