"""The recorded form of a whole network: stages, decoder, temporal cells. Knows nothing of modules or spaces."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.cells.dynamic_spec import DynamicCellSpec
from search_spaces.cells.specs import CellSpec, FeedbackSpec
from search_spaces.decoder_spec import DESCENDING, SKIPLESS, DecoderSpec
from search_spaces.detail_spec import OPEN_ENDED, DetailSpec
from search_spaces.door import STRICT
from search_spaces.schedule_rules import schedule_refusal
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, ScheduleSpec
from search_spaces.stage_spec import WITHIN_BLOCKS, Channels, StageSpec, StemSpec

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


MAX_STRIDE = 64
MAX_STAGES = 24
"""As deep as the deepest presets (DDRNet; ENet, one convolution a stage)."""


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
    """A streaming segmentation network: scale, stem, stages, context, detail branch, decoder, cells, schedule.

    A temporal cell after a stage keeps that stage's clock: it is stepped when the stage is computed. With keyframes
    all cells are stepped at key frames alone; otherwise those of skips, decoder and logits are at every frame.
    """

    __pydantic_config__: ClassVar = STRICT
    stem: StemSpec
    stages: Annotated[tuple[StageSpec, ...], Field(min_length=1, max_length=MAX_STAGES)]
    decoder: DecoderSpec
    input_scale: Literal["1", "3/4", "1/2"] = "1"
    context: Literal["none", "global_pool", "pyramid_pooling", "dilated_pyramid", "deep_aggregation"] = "none"
    temporal: Annotated[tuple[TemporalSite, ...], Field(max_length=3)] = ()
    detail: DetailSpec | None = None
    context_channels: Channels | None = None
    """Of what a deep_aggregation gives, where they are not those of the last stage."""
    schedule: ScheduleSpec | None = None
    """None: every frame whole."""
    kind: Literal["video"] = "video"

    def __post_init__(self) -> None:
        if self.strides[-1] > MAX_STRIDE:
            raise ValueError(f"output stride {self.strides[-1]} given, at most {MAX_STRIDE} allowed")
        widths = (self.stem.channels, *(stage.channels for stage in self.stages))
        for index, stage in enumerate(self.stages):
            _check_stage(f"stages.{index}", stage, widths[index])
        self._check_context()
        if self.detail is not None:
            self._check_detail(self.detail, widths)
        elif self.stem.kind == "shrunk":
            raise ValueError("stem.kind 'shrunk' given without a detail branch from the frame; take input_scale")
        self._check_skips()
        self._check_decoder()
        self._check_sites()
        refusal = schedule_refusal(self)
        if refusal is not None:
            raise ValueError(refusal)

    def _check_context(self) -> None:
        if self.context_channels is None:
            return
        if self.context != "deep_aggregation" or self.context_channels == self.stages[-1].channels:
            raise ValueError(
                f"context_channels {self.context_channels} given; only deep_aggregation changes the last stage's "
                f"{self.stages[-1].channels}, leave them null"
            )

    def _check_detail(self, detail: DetailSpec, widths: tuple[int, ...]) -> None:
        if self.stem.kind == "shrunk" and detail.stem is None:
            raise ValueError("stem.kind 'shrunk' given without a detail branch from the frame; take input_scale")
        early = self.early_strides
        if (detail.stem is None and detail.stride not in early) or detail.stride >= self.strides[-1]:
            raise ValueError(
                f"detail.stride {detail.stride} given; the branch starts from a feature before the last stage "
                f"({early}) or from the frame and is finer than the last one ({self.strides[-1]})"
            )
        source = self.detail_source
        detail.check(widths[source], self.deep_channels)
        if detail.exchange == "none":
            return
        beside = self.stages[source:]
        if len(beside) != len(detail.stages):
            raise ValueError(
                f"detail: {len(detail.stages)} stages given, beside the {len(beside)} that follow stride "
                f"{detail.stride}"
            )
        for stage in (*beside, *detail.stages):
            if stage.block not in OPEN_ENDED or stage.attention not in ("none", *WITHIN_BLOCKS):
                raise ValueError(
                    f"block {stage.block!r} with attention {stage.attention!r} given beside an exchange; the blocks "
                    f"{', '.join(OPEN_ENDED)} can end without an activation"
                )

    def _check_skips(self) -> None:
        decoder = self.decoder
        if decoder.kind in SKIPLESS:
            return
        if decoder.skip_stride not in self.early_strides:
            raise ValueError(
                f"decoder.skip_stride {decoder.skip_stride} given, but the features before the last "
                f"stage have strides {self.early_strides}"
            )
        finer = self.detail is not None or decoder.kind in DESCENDING
        if finer and decoder.skip_stride >= self.decoder_stride:
            raise ValueError(
                f"decoder.skip_stride {decoder.skip_stride} given, but the decoder's feature has stride "
                f"{self.decoder_stride} already; take a finer one"
            )

    def _check_decoder(self) -> None:
        decoder, given = self.decoder, self.given_channels
        if decoder.kind == "plain" and decoder.depth == 0 and decoder.channels != given:
            raise ValueError(
                f"decoder.channels {decoder.channels} given; without units they are the feature's, {given}"
            )
        if decoder.units is not None:
            _check_stage("decoder", decoder.units, given)

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
        stages = tuple(place for place in self.stage_places if place is not None)
        # A decoder that asks a skip for its size alone would not see what a cell remembers there.
        seen = () if self.decoder.kind == "upsampling_bottleneck" else self.skip_strides
        skips = tuple(SKIP_PLACES[stride] for stride in seen)
        return (*stages, "bottleneck", *skips, "decoder", "logits")

    @property
    def stage_places(self) -> tuple[Placement | None, ...]:
        """Of every stage, where a cell stands behind it; the last stage's is the bottleneck, behind the context."""
        named = STAGE_PLACES[: len(self.stages) - 1]
        return (*named, *(None,) * (len(self.stages) - len(named)))

    @property
    def deep_channels(self) -> int:
        """Channels of the last feature, behind the context."""
        return self.context_channels or self.stages[-1].channels

    @property
    def given_channels(self) -> int:
        """Channels of the feature that the decoder is given."""
        return self.deep_channels if self.detail is None else self.detail.channels

    @property
    def first_beside(self) -> int:
        """The first stage with one of an exchanging branch beside it; the number of stages where there is none."""
        if self.detail is None or self.detail.exchange == "none":
            return len(self.stages)
        return self.detail_source

    @property
    def detail_source(self) -> int:
        """Index, as of `source_at`, of the feature that the detail branch starts from; 0 where it has none."""
        if self.detail is None or self.detail.stem is not None:
            return 0
        return self.source_at(self.detail.stride)

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of every stage's output relative to the scaled input."""
        total = self.stem.stride
        found = []
        for stage in self.stages:
            total *= stage.stride
            found.append(total)
        return tuple(found)

    @property
    def early_strides(self) -> tuple[int, ...]:
        """Strides of the features before the last stage, the stem's first: what can be looked back to."""
        return (self.stem.stride, *self.strides[:-1])

    def source_at(self, stride: int) -> int:
        """Index into (stem, stage 0, stage 1, ...) of the deepest feature of `stride` before the last stage."""
        return max(index for index, found in enumerate(self.early_strides) if found == stride)

    @property
    def decoder_stride(self) -> int:
        """Stride of the feature that the decoder is given."""
        return self.strides[-1] if self.detail is None else self.detail.stride

    @property
    def skip_strides(self) -> tuple[int, ...]:
        """Strides of the features that the decoder looks back to, the deepest first."""
        decoder = self.decoder
        if decoder.kind in SKIPLESS:
            return ()
        if decoder.kind not in DESCENDING:
            return (decoder.skip_stride,)
        between = {stride for stride in self.early_strides if decoder.skip_stride <= stride < self.decoder_stride}
        return tuple(sorted(between, reverse=True))

    @property
    def read_indices(self) -> tuple[int, ...]:
        """Index into (stem, stage 0, stage 1, ...) of what decoder and detail branch read beside the last feature."""
        detail = () if self.detail is None or self.detail.stem is not None else (self.detail.stride,)
        return tuple(sorted({self.source_at(stride) for stride in (*self.skip_strides, *detail)}))

    @property
    def refresh_periods(self) -> tuple[int, ...]:
        """Every so many frames all of a stage has been computed anew; 1 without a schedule."""
        if isinstance(self.schedule, ClockworkSpec):
            return self.schedule.periods
        every = (1,) * len(self.stages)
        if isinstance(self.schedule, DistributedSpec):
            return (*every[:-1], self.schedule.num_paths)
        return every if self.schedule is None else (self.schedule.period,) * len(self.stages)

    @property
    def num_phases(self) -> int:
        """Length of the schedule in frames: frame t runs phase t modulo this."""
        return 1 if self.schedule is None else self.schedule.num_phases

    @property
    def head_stride(self) -> int:
        """Stride of the class scores before they are enlarged."""
        return (self.decoder_stride, *self.skip_strides)[-1]

    @property
    def fused_stride(self) -> int:
        """Stride of the decoder feature: the scores', but where skips are met only by those."""
        return self.decoder_stride if self.decoder.kind == "gated_skip" else self.head_stride


def _check_stage(name: str, stage: StageSpec, in_channels: int) -> None:
    refusal = stage.refusal(in_channels)
    if refusal is not None:
        raise ValueError(f"{name}: {refusal}")
