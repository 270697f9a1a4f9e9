"""Architectures, a quick protocol and a target, shared by the tests of measuring."""

import pytest

from latency_tables.device import Target
from latency_tables.measurement import TimingProtocol
from search_spaces.architecture import (
    Architecture,
    ConvSpec,
    DecoderSpec,
    NetworkSpec,
    StageSpec,
    StemSpec,
    TemporalSite,
)
from search_spaces.cells.specs import ConvGRUSpec, ExponentialAverageSpec, TemporalShiftSpec


@pytest.fixture(scope="session")
def gru_architecture() -> Architecture:
    """Every temporal cell, an inverted residual, a skip: small but with all that an export may trip over."""
    return Architecture(
        NetworkSpec(
            stem=StemSpec(8),
            stages=(
                StageSpec("residual", 1, 12, 2, ConvSpec("depthwise_separable")),
                StageSpec("inverted_residual", 1, 16, 2, ConvSpec("depthwise_separable"), 2, "hard_swish"),
            ),
            context="global_pool",
            decoder=DecoderSpec("skip_add", 8, 4),
            temporal=(
                TemporalSite("bottleneck", ConvGRUSpec(), "add", "1/2"),
                TemporalSite("decoder", TemporalShiftSpec()),
                TemporalSite("logits", ExponentialAverageSpec()),
            ),
        )
    )


@pytest.fixture(scope="session")
def plain_architecture() -> Architecture:
    return Architecture(
        NetworkSpec(
            stem=StemSpec(8),
            stages=(StageSpec("plain", 1, 12, 2),),
            decoder=DecoderSpec("bilinear", 8),
        )
    )


@pytest.fixture(scope="session")
def quick() -> TimingProtocol:
    """Just enough rounds to be a measurement; the figures themselves are not judged."""
    return TimingProtocol("quick", 3, 0.0, 5, 0.0, 3, 15, 0.0, 0.02, 60.0)


@pytest.fixture(scope="session")
def target() -> Target:
    return Target("onnxruntime", "f32", 1, "thiscpu")
