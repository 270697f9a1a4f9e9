"""Temporal cells by kind. Knows nothing of networks; tests run over everything listed here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.cells.adaptive_kernels import AdaptiveKernels
from search_spaces.cells.attention_propagation import AttentionPropagation
from search_spaces.cells.attention_specs import (
    AdaptiveKernelsSpec,
    AttentionPropagationSpec,
    LocalCorrelationSpec,
    MemoryAttentionSpec,
    TemporalAttentionSpec,
)
from search_spaces.cells.base import TemporalCell
from search_spaces.cells.conv_gru import ConvGRU
from search_spaces.cells.conv_lstm import ConvLSTM
from search_spaces.cells.diagonal_state_space import DiagonalStateSpace
from search_spaces.cells.dynamic_cell import DynamicCell
from search_spaces.cells.dynamic_spec import DynamicCellSpec
from search_spaces.cells.exponential_average import ExponentialAverage
from search_spaces.cells.feedback import Feedback
from search_spaces.cells.flow_gated_warp import FlowGatedWarp
from search_spaces.cells.flow_warped_average import FlowWarpedAverage
from search_spaces.cells.local_correlation import LocalCorrelation
from search_spaces.cells.memory_attention import MemoryAttention
from search_spaces.cells.min_gru import MinGRU
from search_spaces.cells.similarity_gate import SimilarityGate
from search_spaces.cells.specs import (
    CellSpec,
    ConvGRUSpec,
    ConvLSTMSpec,
    DiagonalStateSpaceSpec,
    ExponentialAverageSpec,
    FeedbackSpec,
    FlowGatedWarpSpec,
    FlowWarpedAverageSpec,
    MinGRUSpec,
    SimilarityGateSpec,
    StackedConvGRUSpec,
    StreamedConvSpec,
    TemporalShiftSpec,
)
from search_spaces.cells.stacked_conv_gru import StackedConvGRU
from search_spaces.cells.streamed_conv import StreamedConv
from search_spaces.cells.temporal_attention import TemporalAttention
from search_spaces.cells.temporal_shift import TemporalShift


@dataclass(frozen=True, slots=True)
class CellEntry:
    """A cell's recorded form, its module and where it comes from; `source` ends in the survey's section, if any."""

    spec: type[Any]
    module: type[TemporalCell]
    source: str

    @property
    def survey(self) -> str:
        """The section of the survey that the cell belongs to; empty where there is none."""
        return self.source.partition("survey ")[2]


CELLS: Mapping[str, CellEntry] = {
    "exponential_average": CellEntry(ExponentialAverageSpec, ExponentialAverage, "baseline; survey 4.3.1"),
    "temporal_shift": CellEntry(TemporalShiftSpec, TemporalShift, "Lin et al. 2019, arXiv:1811.08383"),
    "conv_gru": CellEntry(ConvGRUSpec, ConvGRU, "Ballas et al. 2016, arXiv:1511.06432; survey 4.2"),
    "flow_warped_average": CellEntry(
        FlowWarpedAverageSpec, FlowWarpedAverage, "Gadde et al. 2017, arXiv:1708.03088; survey 4.3.1"
    ),
    "min_gru": CellEntry(MinGRUSpec, MinGRU, "Feng et al. 2024, arXiv:2410.01201"),
    "feedback": CellEntry(FeedbackSpec, Feedback, "Carreira et al. 2018, arXiv:1806.03863; survey 5.3.3"),
    "similarity_gate": CellEntry(SimilarityGateSpec, SimilarityGate, "SSP 2025, arXiv:2503.15676"),
    "stacked_conv_gru": CellEntry(
        StackedConvGRUSpec, StackedConvGRU, "Ballas et al. 2016, arXiv:1511.06432; survey 4.2"
    ),
    "conv_lstm": CellEntry(ConvLSTMSpec, ConvLSTM, "Shi et al. 2015, arXiv:1506.04214; survey 4.2"),
    "diagonal_state_space": CellEntry(
        DiagonalStateSpaceSpec,
        DiagonalStateSpace,
        "Gu et al. 2022, arXiv:2206.11893; Orvieto et al. 2023, arXiv:2303.06349",
    ),
    "streamed_conv": CellEntry(
        StreamedConvSpec,
        StreamedConv,
        "Koepueklue et al. 2022, arXiv:2009.14639; Tran, Qu, Gonda, each at its form; survey 4.1, 5.2, 5.4.2",
    ),
    "flow_gated_warp": CellEntry(
        FlowGatedWarpSpec,
        FlowGatedWarp,
        "Gadde et al. 2017, arXiv:1708.03088; Nilsson et al. 2018, arXiv:1612.08871; survey 4.3.1",
    ),
    "adaptive_kernels": CellEntry(
        AdaptiveKernelsSpec, AdaptiveKernels, "Li et al. 2018, arXiv:1804.00389; survey 4.4, 5.3.2"
    ),
    "local_correlation": CellEntry(LocalCorrelationSpec, LocalCorrelation, "An et al. 2023, survey 5.3.2"),
    "attention_propagation": CellEntry(
        AttentionPropagationSpec, AttentionPropagation, "TDNet 2020, arXiv:2004.01800; survey 4.4.1, 5.3.5"
    ),
    "memory_attention": CellEntry(MemoryAttentionSpec, MemoryAttention, "TMANet 2021, arXiv:2102.08643; survey 4.4.1"),
    "temporal_attention": CellEntry(TemporalAttentionSpec, TemporalAttention, "Su et al. 2023, survey 5.4.3"),
    "dynamic_cell": CellEntry(
        DynamicCellSpec, DynamicCell, "Nekrasov et al. 2020 (WACV), our reconstruction; survey 5.7"
    ),
}


def build_cell(spec: CellSpec, channels: int) -> TemporalCell:
    """The module of a recorded cell for features of `channels` channels."""
    return CELLS[spec.kind].module(channels, spec)
