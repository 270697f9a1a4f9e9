"""The recorded form of a decoder. Knows nothing of modules or of the network around it."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.door import STRICT
from search_spaces.stage_spec import Activation, Channels, ConvSpec, StageSpec

SKIPLESS: tuple[Literal["bilinear", "plain"], ...] = ("bilinear", "plain")
"""Decoders that use the last feature alone."""

DESCENDING = ("unet", "upsampling_bottleneck")
"""Decoders that meet a feature of every stride on their way."""


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """How features become class scores: search_spaces/decoders.py.

    bilinear and plain use the last feature alone, plain behind `depth` units of `conv`; skip_add, guided and gated_skip
    look back to the feature at `skip_stride`; unet and upsampling_bottleneck (to its size alone) to one feature of
    every stride down to it. `logits` says where the enlarging of the scores to the frame's size is
    done: in the network (full), or by whoever takes them (head: they come at the decoder feature's size).
    """

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["bilinear", "skip_add", "unet", "guided", "plain", "gated_skip", "upsampling_bottleneck"]
    channels: Channels
    skip_stride: Literal[2, 4, 8] = 4
    activation: Activation = "relu"
    logits: Literal["full", "head"] = "full"
    depth: Annotated[int, Field(ge=0, le=4)] = 0
    conv: ConvSpec = field(default_factory=ConvSpec)

    def __post_init__(self) -> None:
        if self.kind in SKIPLESS and self.skip_stride != 4:
            raise ValueError(f"skip_stride {self.skip_stride} given; a {self.kind} decoder has no skip, leave it 4")
        if self.kind != "plain" and (self.depth or self.conv != ConvSpec()):
            raise ValueError(f"decoder.depth {self.depth} or conv given; only a plain decoder has units")
        if self.kind == "plain" and self.depth == 0 and (self.activation != "relu" or self.conv != ConvSpec()):
            raise ValueError("decoder.activation or conv given; without units (depth 0) there is none, leave them out")
        if self.kind == "plain" and self.depth == 1 and self.conv.factorization == "pointwise":
            raise ValueError("a plain decoder of one pointwise unit given; that is the bilinear one")

    @property
    def units(self) -> StageSpec | None:
        """The units of a plain decoder, as a stage."""
        if self.depth == 0:
            return None
        return StageSpec("plain", self.depth, self.channels, 1, self.conv, activation=self.activation)
