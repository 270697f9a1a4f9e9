"""The frozen, hashable, recorded form of a network. Knows nothing of modules, spaces or searchers.

Everything here is data: it travels as JSON, is compared by value and is named by its key.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.cells.specs import CellSpec
from search_spaces.door import STRICT, dump_json, parse_json
from search_spaces.errors import InputError

Channels = Annotated[int, Field(ge=1, le=1024)]
Factorization = Literal["dense", "grouped", "depthwise_separable", "spatial_separable"]
Activation = Literal["relu", "hard_swish", "silu", "leaky_relu"]
Placement = Literal["bottleneck", "decoder", "logits"]
"""Where a temporal cell stands: after the last stage, on the fused decoder feature, on the class scores."""


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

    def __post_init__(self) -> None:
        # What a block does not use has one spelling, so that one network has one key.
        if self.block == "inverted_residual" and self.conv.factorization != "depthwise_separable":
            raise ValueError(
                f"conv.factorization {self.conv.factorization!r} given; an inverted residual is depthwise_separable"
            )
        if self.block != "inverted_residual" and self.expansion != 1:
            raise ValueError(f"expansion {self.expansion} given; only an inverted residual expands, others have 1")


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """bilinear: classify the last feature; skip_add: add it, upsampled, to the feature at `skip_stride`."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["bilinear", "skip_add"]
    channels: Channels
    skip_stride: Literal[2, 4, 8] = 4
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if self.kind == "bilinear" and self.skip_stride != 4:
            raise ValueError(f"skip_stride {self.skip_stride} given; a bilinear decoder has no skip, leave it 4")


@dataclass(frozen=True, slots=True)
class TemporalSite:
    """A temporal cell, where it stands, and how its output joins the feature it was given."""

    __pydantic_config__: ClassVar = STRICT
    placement: Placement
    cell: CellSpec
    fusion: Literal["replace", "add"] = "replace"


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A streaming segmentation network: scale, stem, stages, context, decoder, temporal cells."""

    __pydantic_config__: ClassVar = STRICT
    stem: StemSpec
    stages: Annotated[tuple[StageSpec, ...], Field(min_length=1, max_length=8)]
    decoder: DecoderSpec
    input_scale: Literal["1", "3/4", "1/2"] = "1"
    context: Literal["none", "global_pool"] = "none"
    temporal: Annotated[tuple[TemporalSite, ...], Field(max_length=3)] = ()
    kind: Literal["video"] = "video"

    def __post_init__(self) -> None:
        strides = self.strides
        if strides[-1] > 32:
            raise ValueError(f"output stride {strides[-1]} given, at most 32 allowed")
        if self.decoder.kind == "skip_add" and self.decoder.skip_stride not in (2, *strides[:-1]):
            raise ValueError(
                f"decoder.skip_stride {self.decoder.skip_stride} given, but the features before the last "
                f"stage have strides {(2, *strides[:-1])}"
            )
        widths = (self.stem.channels, *(stage.channels for stage in self.stages))
        for index, stage in enumerate(self.stages):
            if stage.conv.factorization == "grouped" and (widths[index] % 2 or stage.channels % 2):
                raise ValueError(
                    f"stages.{index}: grouped convolutions from {widths[index]} to {stage.channels} channels given; "
                    "both must be even, for a single group is 'dense'"
                )
        places = [site.placement for site in self.temporal]
        if len(set(places)) < len(places):
            raise ValueError(f"temporal: one cell a placement allowed, given {places}")

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of every stage's output relative to the scaled input; the stem's is 2."""
        total = 2
        found = []
        for stage in self.stages:
            total *= stage.stride
            found.append(total)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class PointSpec:
    """A point of a recorded or toy benchmark: named values, nothing that can be built."""

    __pydantic_config__: ClassVar = STRICT
    values: Annotated[tuple[tuple[str, int], ...], Field(max_length=256)]
    kind: Literal["point"] = "point"


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """What the space decides about training: the weight of the temporal consistency loss."""

    __pydantic_config__: ClassVar = STRICT
    temporal_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0


def key_of(canonical_json: str) -> str:
    """The key of the architecture with this canonical JSON."""
    return hashlib.sha256(canonical_json.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network and what the space decides of its training. Frozen, hashable, JSON."""

    __pydantic_config__: ClassVar = STRICT
    network: Annotated[NetworkSpec | PointSpec, Field(discriminator="kind")]
    training: TrainingSpec = TrainingSpec()
    schema: Literal[1] = 1

    @property
    def key(self) -> str:
        """sha256 of the canonical JSON: equal networks, trained the same way, have equal keys."""
        return key_of(self.to_json())

    @property
    def network_key(self) -> str:
        """As `key`, without training: names what is exported and timed."""
        return replace(self, training=TrainingSpec()).key

    @property
    def video(self) -> NetworkSpec:
        """The network's specification.

        Raises:
            InputError: this is a point of a recorded benchmark, which cannot be built.
        """
        if isinstance(self.network, NetworkSpec):
            return self.network
        raise InputError("architecture: a point of a recorded benchmark cannot be built; give a video network")

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        known = _RECENT.get(id(self))
        if known is not None and known[0] is self:
            return known[1]
        text = dump_json(self)
        while len(_RECENT) >= _MAX_RECENT:
            _RECENT.pop(next(iter(_RECENT)), None)
        _RECENT[id(self)] = (self, text)
        return text

    @classmethod
    def from_json(cls, text: str | bytes, source: str = "architecture") -> "Architecture":
        """Read what `to_json` wrote. Raises InputError naming `source`, the field and what is allowed."""
        return parse_json(cls, text, source)


_MAX_RECENT = 256
_RECENT: dict[int, tuple[Architecture, str]] = {}
"""The JSON of architectures met lately, by object and not by value: a trial's key is asked for many times, and
equal values may differ in type (0 and 0.0), which a cache by value would mix up."""
