"""Small networks of two stages and how they are run, for the tests of cells and networks."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from search_spaces.architecture import (
    Architecture,
    DecoderSpec,
    NetworkSpec,
    StageSpec,
    StemSpec,
)
from search_spaces.network import VideoSegmenter, build

NUM_CLASSES = 5
TOLERANCE = 1e-4
"""Of float32 sums in another order: the contract of the model."""


def network(**changes: object) -> Architecture:
    """Two stages and skips, with these changes."""
    spec = NetworkSpec(
        stem=StemSpec(8),
        stages=(StageSpec("plain", 1, 8, 2), StageSpec("residual", 1, 16, 2)),
        decoder=DecoderSpec("skip_add", 16),
    )
    return Architecture(replace(spec, **changes))  # type: ignore[arg-type]


def built(architecture: Architecture, seed: int = 0) -> VideoSegmenter:
    """In evaluation, with statistics as after training: neither 0 nor 1."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build(architecture, NUM_CLASSES)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def clip_of(frames: int, height: int, width: int) -> Tensor:
    """Noise: [2, T, 3, H, W]."""
    return torch.rand(2, frames, 3, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def largest_difference(model: VideoSegmenter, clip_BTCHW: Tensor) -> float:
    """Of a clip in one go and frame by frame."""
    whole = model(clip_BTCHW)
    state = model.initial_state(clip_BTCHW.shape[0], *clip_BTCHW.shape[-2:])
    assert all(not tensor.any() for tensor in state)
    worst = 0.0
    for t in range(clip_BTCHW.shape[1]):
        logits, following = model.step(clip_BTCHW[:, t], state, t)
        logits = model.upsample(logits, *clip_BTCHW.shape[-2:])
        assert [s.shape for s in following] == [s.shape for s in state]
        state = following
        worst = max(worst, float((logits - whole[:, t]).abs().max()))
    return worst
