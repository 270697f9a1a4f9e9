"""Attention of a stage's output: by channel, by pixel, along axes. Knows nothing of blocks, stages or networks.

Applied once, at the end of a stage, as the attention refinement of BiSeNet (Yu et al. 2018, arXiv:1808.00897,
section 3.2), and not in every block: a gate reads and writes the whole map, which costs a CPU half of what a
separable block does, and after the sum of every residual block it would cut the identity path (of the variants
that Hu et al. 2018 compare, the one that loses). At the end of a stage it stands behind any block there is. One form
is within the blocks, where an inverted bottleneck is widest, as experts' designs have it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.activations import GATES
from search_spaces.ops.axial_attention import AxialAttention
from search_spaces.stage_spec import WITHIN_BLOCKS, quarter

REDUCTION = 4
SPATIAL_KERNEL = 7


class SqueezeExcitation(nn.Module):
    """A gate a channel, from the averages of all channels over the whole map.

    Source: Hu et al. 2018, arXiv:1709.01507, eq. 2-4, with the reduction of 4 and the hard sigmoid of
    Howard et al. 2019, arXiv:1905.02244, section 5.3. Differs from the latter: at the end of a stage.
    """

    def __init__(self, channels: int, squeezed: int | None = None) -> None:
        super().__init__()
        squeezed = squeezed or max(1, channels // REDUCTION)
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        pooled_NC11 = feature_NCHW.mean((2, 3), keepdim=True)
        gate_NC11 = self.excite(torch.relu(self.squeeze(pooled_NC11)))
        return feature_NCHW * GATES["hard_sigmoid"].function(gate_NC11)


class ExpandedSqueezeExcitation(SqueezeExcitation):
    """The same for the expanded feature of an inverted bottleneck, behind its depthwise convolution.

    Source: Howard et al. 2019, arXiv:1905.02244, section 5.3; squeezed to a quarter in multiples of 8, as theirs.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, quarter(channels))


class SpatialAttention(nn.Module):
    """A gate a pixel, from the mean and the maximum over channels around it.

    Source: Woo et al. 2018, CBAM, arXiv:1807.06521, eq. 3, without its channel gate.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2)

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        described_N2HW = torch.cat([feature_NCHW.mean(1, keepdim=True), feature_NCHW.amax(1, keepdim=True)], 1)
        return feature_NCHW * GATES["sigmoid"].function(self.conv(described_N2HW))


@dataclass(frozen=True, slots=True)
class AttentionEntry:
    """The module for a feature of C channels, and its source."""

    make: Callable[[int], nn.Module]
    source: str


ATTENTIONS: Mapping[str, AttentionEntry] = {
    "squeeze_excitation": AttentionEntry(SqueezeExcitation, "Hu et al. 2018, arXiv:1709.01507; survey 4.4.1"),
    "spatial": AttentionEntry(SpatialAttention, "Woo et al. 2018, arXiv:1807.06521; survey 4.4.1"),
    "axial": AttentionEntry(AxialAttention, "Wan et al. 2023, SeaFormer, arXiv:2301.13156"),
    "expanded_squeeze_excitation": AttentionEntry(
        ExpandedSqueezeExcitation, "Howard et al. 2019, arXiv:1905.02244, section 5.3; survey 4.4.1"
    ),
}


def attention(name: str, channels: int) -> list[nn.Module]:
    """The attention of a feature of `channels` channels, as a list to splice into a Sequential; empty for "none"."""
    return [] if name == "none" else [ATTENTIONS[name].make(channels)]


def within(name: str, channels: int) -> list[nn.Module]:
    """The attention that stands within a block on `channels` expanded channels; empty where it stands elsewhere."""
    return attention(name, channels) if name in WITHIN_BLOCKS else []
