"""Backward warping of a feature by a flow in feature pixels. Knows nothing of where a flow comes from.

Legend: B batch, C channels, H/W feature pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(feature_BCHW: Tensor, flow_B2HW: Tensor) -> Tensor:
    """What lies at p + flow(p), bilinearly; outside the picture its edge goes on.

    Flow is (x, y) in feature pixels, from the new frame back to the old one (spatial transformer,
    Jaderberg et al. 2015, arXiv:1506.02025, eq. 5).
    """
    height, width = feature_BCHW.shape[-2:]
    xs = torch.arange(width, device=feature_BCHW.device, dtype=feature_BCHW.dtype)
    ys = torch.arange(height, device=feature_BCHW.device, dtype=feature_BCHW.dtype)
    x = (xs + flow_B2HW[:, 0]) * (2.0 / width) + (1.0 / width - 1.0)
    y = (ys[:, None] + flow_B2HW[:, 1]) * (2.0 / height) + (1.0 / height - 1.0)
    grid = torch.stack([x, y], -1)
    return F.grid_sample(feature_BCHW, grid, mode="bilinear", padding_mode="border", align_corners=False)
