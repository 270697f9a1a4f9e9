"""Context modules by kind: what the last feature learns of the whole picture. Knows nothing of networks.

Legend: N frames, C channels, H/W feature pixels.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


class NoContext(nn.Identity):
    """The feature as it is: what every other kind is compared with. Original."""

    def __init__(self, channels: int, stride: int, act: str) -> None:
        super().__init__()


class GlobalPool(nn.Module):
    """Gates the feature by its global average (the pooling branch of LR-ASPP, arXiv:1905.02244, section 6.4)."""

    def __init__(self, channels: int, stride: int, act: str) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        pooled = feature_NCHW.mean((2, 3), keepdim=True)
        return feature_NCHW * torch.sigmoid(self.gate(pooled))


CONTEXTS: Mapping[str, Callable[[int, int, str], nn.Module]] = {"none": NoContext, "global_pool": GlobalPool}
"""(channels, stride of the feature, activation) -> module that keeps the feature's shape."""
