"""Networks with every part and with as few as possible, and what two networks compute: shared by two test files."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latency_tables.measurement import TimingProtocol
from search_spaces.architecture import (
    Architecture,
    ConvSpec,
    DecoderSpec,
    DetailSpec,
    NetworkSpec,
    StageSpec,
    StemSpec,
    TemporalSite,
)
from search_spaces.cells.specs import ConvGRUSpec, ExponentialAverageSpec, TemporalShiftSpec

SIZE_HW = (48, 64)
NUM_CLASSES = 5
SEPARABLE = ConvSpec("depthwise_separable")
EVERYTHING = Architecture(
    NetworkSpec(
        stem=StemSpec(8),
        stages=(
            StageSpec("residual", 1, 16, 2, SEPARABLE),
            StageSpec("inverted_residual", 1, 16, 2, SEPARABLE, 2, "hard_swish"),
        ),
        input_scale="3/4",
        context="global_pool",
        decoder=DecoderSpec("skip_add", 16, 4),
        temporal=(
            TemporalSite("bottleneck", ConvGRUSpec(), "add", "1/2"),
            TemporalSite("decoder", TemporalShiftSpec()),
            TemporalSite("logits", ExponentialAverageSpec()),
        ),
    )
)
BILINEAR = Architecture(
    NetworkSpec(StemSpec(8), (StageSpec("plain", 1, 12, 2, activation="silu"),), DecoderSpec("bilinear", 8))
)
BRANCHES = Architecture(
    NetworkSpec(
        stem=StemSpec(8, "relu", "space_to_depth", 2, 1),
        stages=(StageSpec("plain", 1, 8, 2), StageSpec("plain", 1, 12, 2)),
        context="pyramid_pooling",
        detail=DetailSpec(8, 1, stride=4),
        decoder=DecoderSpec("unet", 8, 2, logits="head"),
        temporal=(TemporalSite("skip2", ExponentialAverageSpec()), TemporalSite("logits", ExponentialAverageSpec())),
    )
)
ARCHITECTURES = {"everything": EVERYTHING, "bilinear": BILINEAR, "branches": BRANCHES}
QUICK = TimingProtocol("quick", 1, 0.0, 2, 0.0, 2, 4, 0.0, 0.02, 60.0)


def outputs(model: nn.Module, num_frames: int = 3) -> list[Tensor]:
    """Logits and state of every frame of a random clip, the state carried."""
    generator = torch.Generator().manual_seed(1)
    state: Sequence[Tensor] = model.initial_state(1, *SIZE_HW)  # type: ignore[operator]
    found: list[Tensor] = []
    with torch.no_grad():
        for _ in range(num_frames):
            frame_BCHW = torch.rand(1, 3, *SIZE_HW, generator=generator)
            logits_BKHW, state = model.step(frame_BCHW, state)  # type: ignore[operator]
            found += [logits_BKHW, *state]
    return found


def assert_same(one: nn.Module, other: nn.Module, tolerance: float = 1e-5) -> None:
    """Equal to `tolerance` of the outputs' size, and neither is silent."""
    for given, expected in zip(outputs(one), outputs(other), strict=True):
        assert given.shape == expected.shape
        assert expected.abs().max() > 1e-3
        assert (given - expected).abs().max() <= tolerance * max(1.0, float(expected.abs().max()))
