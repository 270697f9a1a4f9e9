"""Convolutions and blocks with their origin and their cost at one shape. Knows nothing of stages' order or latency."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from search_spaces.architecture import Activation, Block, ConvSpec, StageSpec
from search_spaces.fuse import fuse_branches
from search_spaces.ops.blocks import BLOCKS
from search_spaces.ops.registry import CONVS
from search_spaces.stage_spec import EXPANDING, OWN_CONV
from search_spaces.trace import calls_of

REFERENCE_CHANNELS = 64
REFERENCE_HW = (45, 60)
"""The shape of every operation's cost: 64 channels at 1/8 of a 360x480 frame."""


@dataclass(frozen=True, slots=True)
class OpEntry:
    """What an operation is, where it was published, and the survey's section on it ("" where it has none)."""

    kind: Literal["convolution", "block"]
    source: str
    survey: str


def _convolution(source: str, survey: str) -> OpEntry:
    return OpEntry("convolution", source, survey)


def _block(source: str, survey: str) -> OpEntry:
    return OpEntry("block", source, survey)


OPS: Mapping[str, OpEntry] = {
    "dense": _convolution("LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541", "5.4"),
    "grouped": _convolution("Xie et al. 2017, arXiv:1611.05431", "5.4.2"),
    "depthwise_separable": _convolution("Howard et al. 2017, arXiv:1704.04861", "5.4.2"),
    "spatial_separable": _convolution("Romera et al. 2018, doi:10.1109/TITS.2017.2750080", "5.4.2"),
    "depthwise_spatial": _convolution("Freeman et al. 2018, EffNet, arXiv:1801.06434", "5.4.2"),
    "low_rank": _convolution("He et al. 2016, bottleneck, arXiv:1512.03385", "5.4.3"),
    "partial": _convolution("Chen et al. 2023, FasterNet, arXiv:2303.03667", ""),
    "shift": _convolution("Wu et al. 2018, arXiv:1711.08141", "5.4.3"),
    "mixed_dilation": _convolution("Tan and Le 2019, MixConv, arXiv:1907.09595; ESPNet, arXiv:1803.06815", "5.4.1"),
    "reparameterized": _convolution("Ding et al. 2021, RepVGG, arXiv:2101.03697; MobileOne, arXiv:2206.04040", ""),
    "separable_linear": _convolution("Chollet 2017, Xception, arXiv:1610.02357", "5.4.2"),
    "pointwise": _convolution("Lin et al. 2013, arXiv:1312.4400", "5.4.3"),
    "plain": _block("Simonyan and Zisserman 2015, arXiv:1409.1556", "5.4"),
    "residual": _block("He et al. 2016, arXiv:1512.03385", "5.2"),
    "inverted_residual": _block("Sandler et al. 2018, arXiv:1801.04381", "5.4.3"),
    "universal_inverted_bottleneck": _block("Qin et al. 2024, MobileNetV4, arXiv:2404.10518", ""),
    "shufflenet_v1": _block("Zhang et al. 2017, arXiv:1707.01083", "5.4.3"),
    "shufflenet_v2": _block("Ma et al. 2018, arXiv:1807.11164", "5.4.3"),
    "inception": _block("Szegedy et al. 2015, arXiv:1409.4842", "5.1"),
    "dense_connection": _block("Huang et al. 2017, DenseNet, arXiv:1608.06993", "5.2"),
    "bottleneck": _block("He et al. 2016, arXiv:1512.03385", "5.4.3"),
    "pooled_bottleneck": _block("Paszke et al. 2016, ENet, arXiv:1606.02147", "5.4.3"),
}
"""Everything in CONVS and BLOCKS."""


def typical_stage(block: Block, channels: int, stride: Literal[1, 2] = 1, activation: Activation = "relu") -> StageSpec:
    """One block with 3x3 kernels, dense where the block leaves that open, expanding by 4 where it expands."""
    return StageSpec(
        block,
        1,
        channels,
        stride,
        ConvSpec(OWN_CONV.get(block, "dense")),
        expansion=4 if block in EXPANDING else 1,
        activation=activation,
        depthwise="both" if block == "universal_inverted_bottleneck" else "between",
    )


def reference_cost(name: str) -> tuple[int, int]:
    """(parameters as trained, multiply-accumulates as exported) at the reference shape: 3x3, stride 1, ReLU.

    Raises:
        KeyError: no operation has this name.
    """
    with torch.device("meta"), torch.no_grad():
        module = _built(name).eval()
        parameters = sum(parameter.numel() for parameter in module.parameters())
        fused = fuse_branches(module)
        feature_BCHW = torch.empty(1, REFERENCE_CHANNELS, *REFERENCE_HW)
        return parameters, sum(call.macs for call in calls_of(lambda: fused(feature_BCHW)))


def _built(name: str) -> nn.Module:
    if name in CONVS:
        return CONVS[name](REFERENCE_CHANNELS, REFERENCE_CHANNELS, 3, 1, 1, "relu")
    for block, make in BLOCKS.items():
        if block == name:
            return make(typical_stage(block, REFERENCE_CHANNELS), REFERENCE_CHANNELS, 1)
    raise KeyError(name)
