"""The recorded form of a stem and of a stage: convolution, block, attention. Knows nothing of modules or networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.door import STRICT

Channels = Annotated[int, Field(ge=1, le=1024)]
Factorization = Literal[
    "dense", "grouped", "depthwise_separable", "spatial_separable", "depthwise_spatial", "low_rank", "partial", "shift",
    "mixed_dilation", "reparameterized",
]  # fmt: skip
Block = Literal[
    "plain", "residual", "inverted_residual", "universal_inverted_bottleneck", "shufflenet_v1", "shufflenet_v2",
    "inception", "dense_connection",
]  # fmt: skip
Depthwise = Literal["between", "before", "both", "none"]
"""Where an inverted bottleneck has its depthwise convolutions: between the 1x1 ones, before them, both, nowhere."""

Activation = Literal[
    "relu", "hard_swish", "silu", "leaky_relu", "relu6", "gelu", "gelu_tanh", "elu", "prelu", "low_cost_swish", "mish",
]  # fmt: skip
Attention = Literal["none", "squeeze_excitation", "spatial"]

OWN_CONV: Mapping[Block, Factorization] = {
    "inverted_residual": "depthwise_separable",
    "universal_inverted_bottleneck": "depthwise_separable",
    "shufflenet_v1": "depthwise_separable",
    "shufflenet_v2": "depthwise_separable",
    "inception": "dense",
    "dense_connection": "dense",
}
"""Blocks whose convolutions are part of their design, and how those are recorded; the others take any."""

EXPANDING: tuple[Block, ...] = ("inverted_residual", "universal_inverted_bottleneck")


@dataclass(frozen=True, slots=True)
class ConvSpec:
    """A spatial convolution: how it is factorized, its kernel and dilation."""

    __pydantic_config__: ClassVar = STRICT
    factorization: Factorization = "dense"
    kernel: Literal[3, 5] = 3
    dilation: Literal[1, 2, 4] = 1

    def __post_init__(self) -> None:
        if self.factorization == "mixed_dilation" and self.dilation != 1:
            raise ValueError(f"dilation {self.dilation} given; mixed_dilation brings its own, leave it 1")


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
    """`depth` equal blocks; the first one has the stride.

    `expansion` and `depthwise` are for inverted bottlenecks alone; with the depthwise convolution between the 1x1
    ones the universal bottleneck is the inverted residual, and is recorded as that.
    """

    __pydantic_config__: ClassVar = STRICT
    block: Block
    depth: Annotated[int, Field(ge=1, le=16)]
    channels: Channels
    stride: Literal[1, 2]
    conv: ConvSpec = ConvSpec()
    expansion: Annotated[int, Field(ge=1, le=8)] = 1
    activation: Activation = "relu"
    attention: Attention = "none"
    """Of the stage's output: search_spaces/ops/attention.py."""
    depthwise: Depthwise = "between"

    def __post_init__(self) -> None:
        # What a block does not use has one spelling, so that one network has one key.
        own = OWN_CONV.get(self.block, self.conv.factorization)
        if self.conv.factorization != own:
            raise ValueError(f"conv.factorization {self.conv.factorization!r} given; block {self.block!r} is {own!r}")
        if self.block not in EXPANDING and self.expansion != 1:
            raise ValueError(f"expansion {self.expansion} given; only {' and '.join(EXPANDING)} expand, others have 1")
        universal = self.block == "universal_inverted_bottleneck"
        if universal == (self.depthwise == "between"):
            allowed = "'before', 'both' or 'none' ('between' is the inverted_residual)" if universal else "'between'"
            raise ValueError(f"depthwise {self.depthwise!r} given; block {self.block!r} has {allowed}")
        if self.depthwise == "none" and (self.stride, self.conv.kernel, self.conv.dilation) != (1, 3, 1):
            raise ValueError("depthwise 'none' given; without one stride and dilation are 1, and kernel is left 3")
        if self.block == "inception" and self.conv.kernel != 3:
            raise ValueError(f"conv.kernel {self.conv.kernel} given; an inception has 1, 3 and 5 side by side, leave 3")

    def refusal(self, in_channels: int) -> str | None:
        """What is wrong with these numbers of channels for this stage, if anything is."""
        name = self.conv.factorization if self.block in ("plain", "residual") else self.block
        multiple, why = _MULTIPLES.get(name, (1, ""))
        widths = f"from {in_channels} to {self.channels} channels given"
        if in_channels % multiple or self.channels % multiple:
            wanted = "even" if multiple == 2 else f"multiples of {multiple}"
            return f"{name} {widths}; both must be {wanted}, for {why}"
        # A shift has channels for each of 4 directions and each distance.
        least = 2 * (self.conv.kernel - 1) if name == "shift" else _LEAST.get(name, 1)
        if min(in_channels, self.channels) < least:
            return f"{name} {widths}; both must be at least {least}, a channel for each of its parts"
        return None


_MULTIPLES: Mapping[str, tuple[int, str]] = {
    "grouped": (2, "a single group is 'dense'"),
    "shufflenet_v1": (4, "it has 4 groups"),
    "shufflenet_v2": (2, "it splits them in two"),
}
_LEAST: Mapping[str, int] = {"partial": 4, "mixed_dilation": 3, "inception": 4}
"""Channels below which a part of the operation would have none."""
