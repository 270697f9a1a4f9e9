"""The recorded form of a second branch at a finer resolution. Knows nothing of modules or of the network around it."""

from dataclasses import dataclass, field
from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.door import STRICT
from search_spaces.stage_spec import Activation, Block, Channels, ConvSpec, StageSpec, StemSpec

DetailFusion = Literal["add", "gate", "feature_fusion", "guided_aggregation", "modulate", "sum"]
"""How the branches become one feature: search_spaces/detail_fusions.py."""

Exchange = Literal["none", "bilateral", "pixel_attention"]
"""How the branches see each other on the way: search_spaces/exchanges.py."""

KEEPING: tuple[DetailFusion, ...] = ("add", "gate", "sum")
"""Fusions that leave the branch's feature as wide as it is."""

ACTIVATED: tuple[DetailFusion, ...] = ("feature_fusion", "sum")
"""Fusions that end with an activation."""

OPEN_ENDED: tuple[Block, ...] = ("residual", "bottleneck", "inverted_residual", "universal_inverted_bottleneck")
"""Blocks that can end without an activation, which an exchange has behind it."""


@dataclass(frozen=True, slots=True)
class DetailSpec:
    """A second branch that stays at `stride` while the stages go deeper, and meets their context before the decoder.

    It starts from the deepest feature of its stride, where it has `depth` plain units (none: it is that feature),
    or, with an `exchange`, `stages` of its own, one beside every stage that follows. With a `stem` it starts from the
    frame, and its stages come from there to its stride. `channels` are those of what the fusion gives.
    """

    __pydantic_config__: ClassVar = STRICT
    channels: Channels
    depth: Annotated[int, Field(ge=0, le=16)]
    conv: ConvSpec = field(default_factory=ConvSpec)
    stride: Literal[4, 8] = 8
    fusion: DetailFusion = "add"
    activation: Activation = "relu"
    stem: StemSpec | None = None
    stages: Annotated[tuple[StageSpec, ...], Field(max_length=8)] = ()
    exchange: Exchange = "none"

    def __post_init__(self) -> None:
        # What a branch does not use has one spelling, so that one network has one key.
        if self.depth == 0 and self.conv != ConvSpec():
            raise ValueError("detail.conv given; without units (depth 0) there is none, leave it out")
        if self.depth == 0 and self.fusion not in ACTIVATED and self.activation != "relu":
            raise ValueError(f"detail.activation {self.activation!r} given; this branch has none, leave 'relu'")
        self._check_stages()

    def _check_stages(self) -> None:
        own = self.stem is not None or self.exchange != "none"
        if own != bool(self.stages) or (own and self.depth):
            raise ValueError(
                f"detail: {len(self.stages)} stages and depth {self.depth} given; a branch with a stem or an exchange "
                "has stages and depth 0, another has its depth alone"
            )
        if self.stem is not None and (self.exchange != "none" or self.stem.kind == "shrunk"):
            raise ValueError("detail.stem given; a branch from the frame has no exchange and sees the whole frame")
        start = self.stride if self.stem is None else self.stem.stride
        end = start * prod(stage.stride for stage in self.stages)
        if end != self.stride:
            raise ValueError(f"detail.stages end at stride {end}; they must end at the branch's, {self.stride}")

    @property
    def units(self) -> tuple[StageSpec, ...]:
        """The branch without its stem and without what joins it."""
        if self.depth == 0:
            return self.stages
        return (StageSpec("plain", self.depth, self.channels, 1, self.conv, activation=self.activation),)

    def widths(self, source_channels: int) -> tuple[int, ...]:
        """Channels of what the branch starts from, a stage's feature or its own stem's, and behind each unit."""
        start = source_channels if self.stem is None else self.stem.channels
        return (start, *(stage.channels for stage in self.units))

    def check(self, source_channels: int, context_channels: int) -> None:
        """Raises ValueError where channels do not fit."""
        widths = self.widths(source_channels)
        for index, stage in enumerate(self.units):
            refusal = stage.refusal(widths[index])
            if refusal is not None:
                raise ValueError(f"detail: {refusal}")
        if self.fusion in KEEPING and widths[-1] != self.channels:
            raise ValueError(
                f"detail.channels {self.channels} given; fusion {self.fusion!r} keeps those of the branch, {widths[-1]}"
            )
        if self.fusion == "sum" and context_channels != self.channels:
            raise ValueError(f"detail.channels {self.channels} given; a sum needs the context's, {context_channels}")
