"""The recorded form of a whole network: stages, decoder, temporal cells. Knows nothing of modules or spaces."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.cells.dynamic_spec import DynamicCellSpec
from search_spaces.cells.specs import CellSpec, FeedbackSpec
from search_spaces.door import STRICT
from search_spaces.stage_spec import Activation, Channels, StageSpec, StemSpec

Placement = Literal[
    "stage0", "stage1", "stage2", "stage3", "stage4", "stage5", "stage6",
    "bottleneck", "skip16", "skip8", "skip4", "skip2", "decoder", "logits",
]  # fmt: skip
"""Where a temporal cell stands: after a stage (the last one's is the bottleneck, after the context), on a feature
that the decoder skips to (named by its stride), on the fused decoder feature, on the class scores."""

STAGE_PLACES: tuple[Placement, ...] = ("stage0", "stage1", "stage2", "stage3", "stage4", "stage5", "stage6")
SKIP_PLACES: Mapping[int, Placement] = {16: "skip16", 8: "skip8", 4: "skip4", 2: "skip2"}

Fusion = Literal["replace", "add", "concat", "gate"]
"""How a cell's output joins the feature it was given: search_spaces/fusion.py."""

Share = Literal["1", "1/2", "1/4"]


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """bilinear: classify the last feature; skip_add: add it, upsampled, to the feature at `skip_stride`."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["bilinear", "skip_add"]
    channels: Channels
    skip_stride: Literal[2, 4, 8] = 4
    activation: Activation = "relu"

    @property
    def skip_strides(self) -> tuple[int, ...]:
        """Strides of the features that are skipped to, the deepest first."""
        return () if self.kind == "bilinear" else (self.skip_stride,)

    def __post_init__(self) -> None:
        if self.kind == "bilinear" and self.skip_stride != 4:
            raise ValueError(f"skip_stride {self.skip_stride} given; a bilinear decoder has no skip, leave it 4")


@dataclass(frozen=True, slots=True)
class TemporalSite:
    """A temporal cell, where it stands, on which share of the channels, and how its output joins the feature.

    The channels beyond `share` pass by (RVM, Lin et al. 2022, arXiv:2108.11515, section 3.2).
    """

    __pydantic_config__: ClassVar = STRICT
    placement: Placement
    cell: CellSpec
    fusion: Fusion = "replace"
    share: Share = "1"

    def __post_init__(self) -> None:
        if isinstance(self.cell, FeedbackSpec):
            carried = "softmax" if self.placement == "logits" else "tanh"
            if self.cell.carries != carried:
                raise ValueError(
                    f"cell.carries {self.cell.carries!r} given; feedback at {self.placement!r} carries {carried!r}"
                )
        if self.placement != "logits" and isinstance(self.cell, DynamicCellSpec) and self.cell.reads_prediction:
            raise ValueError(f"a dynamic cell that reads 'prediction' at {self.placement!r} given; only on 'logits'")


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
            refusal = stage.refusal(widths[index])
            if refusal is not None:
                raise ValueError(f"stages.{index}: {refusal}")
        self._check_sites()

    def _check_sites(self) -> None:
        places = [site.placement for site in self.temporal]
        if len(set(places)) < len(places):
            raise ValueError(f"temporal: one cell a placement allowed, given {places}")
        for place in places:
            if place not in self.placements:
                raise ValueError(f"temporal.placement {place!r} given; this network has {list(self.placements)}")
        if places != sorted(places, key=self.placements.index):
            raise ValueError(f"temporal: placements {places} given; list them in the order {list(self.placements)}")

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Where a cell can stand in this network, in the order a frame meets them."""
        stages: tuple[Placement, ...] = STAGE_PLACES[: len(self.stages) - 1]
        skips = tuple(SKIP_PLACES[stride] for stride in self.decoder.skip_strides)
        return (*stages, "bottleneck", *skips, "decoder", "logits")

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of every stage's output relative to the scaled input; the stem's is 2."""
        total = 2
        found = []
        for stage in self.stages:
            total *= stage.stride
            found.append(total)
        return tuple(found)
