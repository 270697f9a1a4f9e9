"""The recorded form of a stem and of a stage: convolution, block, activation. Knows nothing of modules or networks."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.door import STRICT

Channels = Annotated[int, Field(ge=1, le=1024)]
Factorization = Literal["dense", "grouped", "depthwise_separable", "spatial_separable"]
Activation = Literal["relu", "hard_swish", "silu", "leaky_relu"]


@dataclass(frozen=True, slots=True)
class ConvSpec:
    """A spatial convolution: how it is factorized, its kernel and dilation."""

    __pydantic_config__: ClassVar = STRICT
    factorization: Factorization = "dense"
    kernel: Literal[3, 5] = 3
    dilation: Literal[1, 2, 4] = 1


@dataclass(frozen=True, slots=True)
class StemSpec:
    """conv: 3x3, stride 2. space_to_depth: squares of `factor` pixels become channels, then `kernel` x `kernel`."""

    __pydantic_config__: ClassVar = STRICT
    channels: Channels
    activation: Activation = "relu"
    kind: Literal["conv", "space_to_depth"] = "conv"
    factor: Literal[2, 4] = 2
    kernel: Literal[1, 3] = 3

    def __post_init__(self) -> None:
        if self.kind == "conv" and (self.factor, self.kernel) != (2, 3):
            raise ValueError(
                f"stem: factor {self.factor} and kernel {self.kernel} given; only space_to_depth has them, "
                "a conv stem has 2 and 3"
            )

    @property
    def stride(self) -> int:
        """Stride of the stem's output."""
        return self.factor


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

    def __post_init__(self) -> None:
        # What a block does not use has one spelling, so that one network has one key.
        if self.block == "inverted_residual" and self.conv.factorization != "depthwise_separable":
            raise ValueError(
                f"conv.factorization {self.conv.factorization!r} given; an inverted residual is depthwise_separable"
            )
        if self.block != "inverted_residual" and self.expansion != 1:
            raise ValueError(f"expansion {self.expansion} given; only an inverted residual expands, others have 1")
