"""The detail branch of a two-branch network and where it meets the context. Knows nothing of networks.

Source: BiSeNetV2 (Yu et al. 2020, arXiv:2004.02147, section 4: a wide shallow branch beside a deep narrow one) and
DDRNet (Hong et al. 2021, arXiv:2101.06085: the branch leaves the encoder at its own stride and meets it again, the
sum form); the gate between both features is PIDNet's (Xu et al. 2022, arXiv:2206.02066, section 3.3).
Differs: the branches meet once, before the decoder; the gate is a value a pixel and channel, from a 1x1 convolution
of both features.

Legend: N frames, C channels, H/W feature pixels.
"""

from torch import Tensor, nn

from search_spaces.fusion import FUSIONS
from search_spaces.network_spec import DetailSpec
from search_spaces.ops.dense import conv_bn
from search_spaces.resizing import resize
from search_spaces.stages import build_stage


class Detail(nn.Module):
    """`depth` plain units at the branch's own stride; the context feature is projected, enlarged and fused."""

    def __init__(self, spec: DetailSpec, in_channels: int, context_channels: int) -> None:
        super().__init__()
        self.units = build_stage(spec.units, in_channels)
        self.project = conv_bn(context_channels, spec.channels, 1)
        self.fusion = FUSIONS[spec.fusion](spec.channels)

    def forward(self, source_NCHW: Tensor, context_NCHW: Tensor) -> Tensor:
        """(feature that the branch starts from, context feature) -> feature at the branch's size."""
        detail = self.units(source_NCHW)
        out: Tensor = self.fusion(detail, resize(self.project(context_NCHW), *detail.shape[-2:]))
        return out
