"""The recorded form of a stem and of a stage: convolution, block, attention. Knows nothing of modules or networks."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.door import STRICT

Channels = Annotated[int, Field(ge=1, le=1024)]
Factorization = Literal["dense", "grouped", "depthwise_separable", "spatial_separable"]
Activation = Literal[
    "relu", "hard_swish", "silu", "leaky_relu", "relu6", "gelu", "gelu_tanh", "elu", "prelu", "low_cost_swish", "mish",
]  # fmt: skip
Attention = Literal["none", "squeeze_excitation", "spatial"]


@dataclass(frozen=True, slots=True)
class ConvSpec:
    """A spatial convolution: how it is factorized, its kernel and dilation."""

    __pydantic_config__: ClassVar = STRICT
    factorization: Factorization = "dense"
    kernel: Literal[3, 5] = 3
    dilation: Literal[1, 2, 4] = 1


@dataclass(frozen=True, slots=True)
class StemSpec:
    """The first convolution, 3x3 with stride 2."""

    __pydantic_config__: ClassVar = STRICT
    channels: Channels
    activation: Activation = "relu"


@dataclass(frozen=True, slots=True)
class StageSpec:
    """`depth` equal blocks; the first one has the stride. `expansion` is for inverted residuals alone."""

    __pydantic_config__: ClassVar = STRICT
    block: Literal["plain", "residual", "inverted_residual"]
    depth: Annotated[int, Field(ge=1, le=16)]
    channels: Channels
    stride: Literal[1, 2]
    conv: ConvSpec = ConvSpec()
    expansion: Annotated[int, Field(ge=1, le=8)] = 1
    activation: Activation = "relu"
    attention: Attention = "none"
    """Of the stage's output: search_spaces/ops/attention.py."""

    def __post_init__(self) -> None:
        # What a block does not use has one spelling, so that one network has one key.
        if self.block == "inverted_residual" and self.conv.factorization != "depthwise_separable":
            raise ValueError(
                f"conv.factorization {self.conv.factorization!r} given; an inverted residual is depthwise_separable"
            )
        if self.block != "inverted_residual" and self.expansion != 1:
            raise ValueError(f"expansion {self.expansion} given; only an inverted residual expands, others have 1")
