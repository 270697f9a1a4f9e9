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


GateFactorization = Literal["dense", "depthwise_separable"]


def _check_gates(kernel: int, factorization: GateFactorization) -> None:
    """A 1x1 kernel has one form only, so it has one spelling: equal networks have equal keys."""
    if kernel == 1 and factorization != "dense":
        raise ValueError(f"factorization {factorization!r} given; a kernel of 1 is 'dense'")


@dataclass(frozen=True, slots=True)
class ConvGRUSpec:
    """Convolutional GRU."""

    __pydantic_config__: ClassVar = STRICT
    kernel: Literal[1, 3] = 3
    factorization: GateFactorization = "dense"
    gate: Literal["sigmoid", "hard_sigmoid"] = "sigmoid"
    kind: Literal["conv_gru"] = "conv_gru"

    def __post_init__(self) -> None:
        _check_gates(self.kernel, self.factorization)


@dataclass(frozen=True, slots=True)
class StackedConvGRUSpec:
    """Two convolutional GRUs, the second on the first one's output."""

    __pydantic_config__: ClassVar = STRICT
    kernel: Literal[1, 3] = 3
    factorization: GateFactorization = "dense"
    kind: Literal["stacked_conv_gru"] = "stacked_conv_gru"

    def __post_init__(self) -> None:
        _check_gates(self.kernel, self.factorization)


@dataclass(frozen=True, slots=True)
class ConvLSTMSpec:
    """Convolutional LSTM without peepholes."""

    __pydantic_config__: ClassVar = STRICT
    kernel: Literal[1, 3] = 3
    factorization: GateFactorization = "dense"
    kind: Literal["conv_lstm"] = "conv_lstm"

    def __post_init__(self) -> None:
        _check_gates(self.kernel, self.factorization)


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
    """The cell's own output of the frame before is mixed into the new feature.

    `carries` is how that output is bounded: "softmax" on the class scores, where it is the previous prediction,
    "tanh" everywhere else. It follows from the placement (TemporalSite holds it to that), so it is never asked.
    """

    __pydantic_config__: ClassVar = STRICT
    carries: Literal["tanh", "softmax"] = "tanh"
    kind: Literal["feedback"] = "feedback"


@dataclass(frozen=True, slots=True)
class SimilarityGateSpec:
    """A gate a pixel between the old output and the new feature, from the features of both frames."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["similarity_gate"] = "similarity_gate"


@dataclass(frozen=True, slots=True)
class DiagonalStateSpaceSpec:
    """Linear recurrences of every channel, `states` of them with rates of their own, then a 1x1 convolution."""

    __pydantic_config__: ClassVar = STRICT
    states: Literal[1, 2] = 1
    kind: Literal["diagonal_state_space"] = "diagonal_state_space"


@dataclass(frozen=True, slots=True)
class StreamedConvSpec:
    """A causal 3x3 convolution over space and the last `frames` frames, factorized as `form` says."""

    __pydantic_config__: ClassVar = STRICT
    form: Literal["full", "r2plus1d", "channel_separated", "perpendicular", "orthogonal"] = "full"
    frames: Literal[2, 3] = 3
    kind: Literal["streamed_conv"] = "streamed_conv"


@dataclass(frozen=True, slots=True)
class FlowGatedWarpSpec:
    """What was before comes along a learned motion; how far it is trusted is learned a channel or seen a pixel."""

    __pydantic_config__: ClassVar = STRICT
    confidence: Literal["channel", "photometric"] = "channel"
    kind: Literal["flow_gated_warp"] = "flow_gated_warp"


CellSpec = Annotated[
    ExponentialAverageSpec
    | TemporalShiftSpec
    | ConvGRUSpec
    | FlowWarpedAverageSpec
    | MinGRUSpec
    | FeedbackSpec
    | SimilarityGateSpec
    | StackedConvGRUSpec
    | ConvLSTMSpec
    | DiagonalStateSpaceSpec
    | StreamedConvSpec
    | FlowGatedWarpSpec
    | AdaptiveKernelsSpec
    | LocalCorrelationSpec
    | AttentionPropagationSpec
    | MemoryAttentionSpec
    | TemporalAttentionSpec
    | DynamicCellSpec,
    Field(discriminator="kind"),
]
