"""The recorded form of every temporal cell: what is asked and stored. Knows nothing of modules.

One dataclass a cell, here or in a file of its family; the module of the same kind lies in its own file beside it.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.cells.attention_specs import (
    AdaptiveKernelsSpec,
    AttentionPropagationSpec,
    LocalCorrelationSpec,
    MemoryAttentionSpec,
    TemporalAttentionSpec,
)
from search_spaces.cells.dynamic_spec import DynamicCellSpec
from search_spaces.door import STRICT


@dataclass(frozen=True, slots=True)
class ExponentialAverageSpec:
    """Learned exponential average of the feature, one rate a channel."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["exponential_average"] = "exponential_average"


@dataclass(frozen=True, slots=True)
class TemporalShiftSpec:
    """A share of the channels comes from the frame before (1 / `fold`), then a 1x1 convolution mixes."""

    __pydantic_config__: ClassVar = STRICT
    fold: Literal[4, 8] = 8
    kind: Literal["temporal_shift"] = "temporal_shift"


@dataclass(frozen=True, slots=True)
class ConvGRUSpec:
    """Convolutional GRU."""

    __pydantic_config__: ClassVar = STRICT
    kernel: Literal[1, 3] = 3
    factorization: Literal["dense", "depthwise_separable"] = "dense"
    kind: Literal["conv_gru"] = "conv_gru"

    def __post_init__(self) -> None:
        # A 1x1 kernel has one form only, so it has one spelling: equal networks have equal keys.
        if self.kernel == 1 and self.factorization != "dense":
            raise ValueError(f"factorization {self.factorization!r} given; a kernel of 1 is 'dense'")


@dataclass(frozen=True, slots=True)
class FlowWarpedAverageSpec:
    """Exponential average along a motion that two small convolutions learn."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["flow_warped_average"] = "flow_warped_average"


@dataclass(frozen=True, slots=True)
class MinGRUSpec:
    """Minimal GRU: gates from the input alone, 1x1."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["min_gru"] = "min_gru"


@dataclass(frozen=True, slots=True)
class FeedbackSpec:
    """The cell's own output of the frame before is mixed into the new feature."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["feedback"] = "feedback"


@dataclass(frozen=True, slots=True)
class SimilarityGateSpec:
    """A gate a pixel between the old output and the new feature, from the features of both frames."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["similarity_gate"] = "similarity_gate"


CellSpec = Annotated[
    ExponentialAverageSpec
    | TemporalShiftSpec
    | ConvGRUSpec
    | FlowWarpedAverageSpec
    | MinGRUSpec
    | FeedbackSpec
    | SimilarityGateSpec
    | AdaptiveKernelsSpec
    | LocalCorrelationSpec
    | AttentionPropagationSpec
    | MemoryAttentionSpec
    | TemporalAttentionSpec
    | DynamicCellSpec,
    Field(discriminator="kind"),
]
