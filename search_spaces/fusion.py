"""How a temporal cell's output joins the feature it was given. Knows nothing of the cells.

Legend: N frames, C channels, H/W feature pixels.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


class Replace(nn.Module):
    """The cell's output alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, feature_NCHW: Tensor, remembered_NCHW: Tensor) -> Tensor:
        """(feature, cell's output) -> feature."""
        return remembered_NCHW


class Add(nn.Module):
    """Their sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, feature_NCHW: Tensor, remembered_NCHW: Tensor) -> Tensor:
        """(feature, cell's output) -> feature."""
        return feature_NCHW + remembered_NCHW


class Concat(nn.Module):
    """A 1x1 convolution of both (skip connection by concatenation: arXiv:1505.04597)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, feature_NCHW: Tensor, remembered_NCHW: Tensor) -> Tensor:
        """(feature, cell's output) -> feature."""
        return self.mix(torch.cat([feature_NCHW, remembered_NCHW], 1))  # type: ignore[no-any-return]


class Gate(nn.Module):
    """A gate a pixel and channel, from both, between them (highway form: Srivastava et al. 2015, arXiv:1505.00387)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, feature_NCHW: Tensor, remembered_NCHW: Tensor) -> Tensor:
        """(feature, cell's output) -> feature."""
        share = torch.sigmoid(self.gate(torch.cat([feature_NCHW, remembered_NCHW], 1)))
        return feature_NCHW + share * (remembered_NCHW - feature_NCHW)


FUSIONS: Mapping[str, Callable[[int], nn.Module]] = {"replace": Replace, "add": Add, "concat": Concat, "gate": Gate}
"""channels -> module (feature, cell's output) -> feature."""
