"""The recorded form of a stem and of a stage: convolution, block, attention. Knows nothing of modules or networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.door import STRICT

Channels = Annotated[int, Field(ge=1, le=1024)]
Factorization = Literal[
    "dense", "grouped", "depthwise_separable", "spatial_separable", "depthwise_spatial", "low_rank", "partial", "shift",
    "mixed_dilation", "reparameterized", "separable_linear", "pointwise",
]  # fmt: skip
Block = Literal[
    "plain", "residual", "inverted_residual", "universal_inverted_bottleneck", "shufflenet_v1", "shufflenet_v2",
    "inception", "dense_connection", "bottleneck", "pooled_bottleneck",
]  # fmt: skip
Depthwise = Literal["between", "before", "both", "none"]
"""Where an inverted bottleneck has its depthwise convolutions: between the 1x1 ones, before them, both, nowhere."""

Activation = Literal[
    "relu", "hard_swish", "silu", "leaky_relu", "relu6", "gelu", "gelu_tanh", "elu", "prelu", "low_cost_swish", "mish",
]  # fmt: skip
Attention = Literal["none", "squeeze_excitation", "spatial", "axial", "expanded_squeeze_excitation"]
WITHIN_BLOCKS: tuple[Attention, ...] = ("expanded_squeeze_excitation",)
"""Attentions of the expanded feature of every inverted bottleneck; the others stand once, at a stage's end."""

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
NARROWING: tuple[Block, ...] = ("bottleneck", "pooled_bottleneck")
NARROW_CONVS: tuple[Factorization, ...] = ("dense", "spatial_separable")
"""What the narrow feature of a bottleneck may be convolved with."""

MAX_EXPANSION = 8
HIDDEN_MULTIPLE = 8
"""Channels within a bottleneck are multiples of the vector width that runtimes block them by."""


def quarter(channels: int) -> int:
    """A quarter of the channels, to the nearest multiple of HIDDEN_MULTIPLE, never none."""
    return max(HIDDEN_MULTIPLE, HIDDEN_MULTIPLE * int(channels / 4 / HIDDEN_MULTIPLE + 0.5))


@dataclass(frozen=True, slots=True)
class ConvSpec:
    """A spatial convolution: how it is factorized, its kernel and dilation."""

    __pydantic_config__: ClassVar = STRICT
    factorization: Factorization = "dense"
    kernel: Literal[3, 5] = 3
    dilation: Literal[1, 2, 4, 8, 16] = 1

    def __post_init__(self) -> None:
        if self.factorization == "mixed_dilation" and self.dilation != 1:
            raise ValueError(f"dilation {self.dilation} given; mixed_dilation brings its own, leave it 1")
        if self.factorization == "pointwise" and (self.kernel, self.dilation) != (3, 1):
            raise ValueError(
                f"kernel {self.kernel} and dilation {self.dilation} given; pointwise has none, leave 3 and 1"
            )


@dataclass(frozen=True, slots=True)
class StemSpec:
    """What a frame meets first: search_spaces/stems.py.

    conv: 3x3, stride 2. conv_pool: the same beside a pooled frame. space_to_depth: squares of `factor` pixels become
    channels, then `kernel` x `kernel`. shrunk: a copy of 2 / `factor` of the size, then as conv; for a context beside
    a detail branch that starts from the frame.
    """

    __pydantic_config__: ClassVar = STRICT
    channels: Channels
    activation: Activation = "relu"
    kind: Literal["conv", "space_to_depth", "conv_pool", "shrunk"] = "conv"
    factor: Literal[2, 4, 8] = 2
    kernel: Literal[1, 3] = 3

    def __post_init__(self) -> None:
        if self.kind in ("conv", "conv_pool") and (self.factor, self.kernel) != (2, 3):
            raise ValueError(
                f"stem: factor {self.factor} and kernel {self.kernel} given; only space_to_depth has them, "
                f"a {self.kind} stem has 2 and 3"
            )
        if self.kind == "space_to_depth" and self.factor == 8:
            raise ValueError("stem: factor 8 given; space_to_depth has 2 or 4")
        if self.kind == "shrunk" and (self.factor == 2 or self.kernel != 3):
            raise ValueError(
                f"stem: factor {self.factor} and kernel {self.kernel} given; a shrunk stem has factor 4 or 8, kernel 3"
            )
        if self.kind == "conv_pool" and self.channels < 4:
            raise ValueError(f"stem: {self.channels} channels given; conv_pool passes 3 and convolves the others")

    @property
    def stride(self) -> int:
        """Stride of the stem's output."""
        return self.factor


@dataclass(frozen=True, slots=True)
class StageSpec:
    """`depth` equal blocks; the first one has the stride.

    `expansion` and `depthwise` are for inverted bottlenecks alone; with the depthwise convolution between the 1x1
    ones the universal bottleneck is the inverted residual, and is recorded as that. `hidden` are the channels within
    every block where they are no such multiple (inverted bottlenecks) or not a `quarter` of what comes in (the
    others).
    """

    __pydantic_config__: ClassVar = STRICT
    block: Block
    depth: Annotated[int, Field(ge=1, le=16)]
    channels: Channels
    stride: Literal[1, 2]
    conv: ConvSpec = ConvSpec()
    expansion: Annotated[int, Field(ge=1, le=MAX_EXPANSION)] = 1
    activation: Activation = "relu"
    attention: Attention = "none"
    """Of the stage's output, or within its blocks (WITHIN_BLOCKS): search_spaces/ops/attention.py."""
    depthwise: Depthwise = "between"
    hidden: Channels | None = None

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
        self._check_bottleneck()

    def _check_bottleneck(self) -> None:
        if self.block in NARROWING and self.conv.factorization not in NARROW_CONVS:
            raise ValueError(
                f"conv.factorization {self.conv.factorization!r} given; block {self.block!r} has {NARROW_CONVS}"
            )
        if self.attention in WITHIN_BLOCKS and self.block not in EXPANDING:
            raise ValueError(f"attention {self.attention!r} given; only {' and '.join(EXPANDING)} have it")
        if self.hidden is None:
            return
        if self.block not in EXPANDING + NARROWING:
            raise ValueError(f"hidden {self.hidden} given; block {self.block!r} has no channels within, leave it null")
        if self.expansion != 1:
            raise ValueError(f"expansion {self.expansion} and hidden {self.hidden} given; give one of them")

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
        if self.block == "pooled_bottleneck" and self.channels < in_channels:
            return f"{name} {widths}; it pads the pooled feature, so the second must not be smaller"
        if self.block == "pooled_bottleneck" and self.stride == 1 and self.channels == in_channels:
            return f"{name} {widths} at stride 1; that is a 'bottleneck'"
        return self._hidden_refusal(in_channels)

    def _hidden_refusal(self, in_channels: int) -> str | None:
        """What is wrong with `hidden`: it says what would be without it, so that one network had two spellings."""
        given = {in_channels} if self.depth == 1 else {in_channels, self.channels}
        if self.block in NARROWING and {quarter(channels) for channels in given} == {self.hidden}:
            return f"hidden {self.hidden} given; that is the quarter without it, leave it null"
        if self.block in EXPANDING and len(given) == 1 and self.hidden is not None:
            times, rest = divmod(self.hidden, in_channels)
            if not rest and times <= MAX_EXPANSION:
                return f"hidden {self.hidden} given; that is expansion {times}, leave hidden null"
        return None


_MULTIPLES: Mapping[str, tuple[int, str]] = {
    "grouped": (2, "a single group is 'dense'"),
    "shufflenet_v1": (4, "it has 4 groups"),
    "shufflenet_v2": (2, "it splits them in two"),
}
_LEAST: Mapping[str, int] = {"partial": 4, "mixed_dilation": 3, "inception": 4}
"""Channels below which a part of the operation would have none."""
