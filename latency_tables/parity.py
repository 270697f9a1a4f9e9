"""Does an exported step compute what torch computes, over frames with carried state? Knows nothing of timing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from latency_tables.runtimes.base import Candidate, FloatArray, StreamingStep
from latency_tables.runtimes.registry import load_runtime
from search_spaces.door import STRICT

_FLOOR = 1e-6
"""Outputs that vary less than this are compared as if they varied by this."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the two roll-outs are apart: `relative` is `max_abs` over the range of torch's logits."""

    __pydantic_config__: ClassVar = STRICT
    max_abs: float
    logit_range: float
    relative: float
    ok: bool


def random_frames(size_hw: tuple[int, int], num_frames: int, *, seed: int) -> list[FloatArray]:
    """Frames [1,3,H,W], uniform in 0..1."""
    rng = np.random.default_rng(seed)
    return [rng.random((1, 3, *size_hw), dtype=np.float32) for _ in range(num_frames)]


def verify_step(
    model: nn.Module,
    path: Path,
    size_hw: tuple[int, int],
    *,
    num_frames: int = 6,
    seed: int,
    tolerance: float = 1e-4,
    runtime: str = "onnxruntime",
) -> Parity:
    """Run `model` and the file at `path` side by side, each on its own carried state.

    `ok`: every logit is finite and the largest difference is at most `tolerance` times the logits' range.
    A wrong state shows in the frames that follow it.

    Raises:
        MissingExtraError: the runtime is absent.
        ValueError: the file is not a streaming step of this size.
    """
    step = load_runtime(runtime).load(Candidate(size_hw, str(path)), "f32", 1)
    return compare(model, step, random_frames(size_hw, num_frames, seed=seed), tolerance=tolerance)


def compare(model: nn.Module, step: StreamingStep, frames: list[FloatArray], *, tolerance: float) -> Parity:
    """Torch's roll-out over `frames` against a loaded step's."""
    state: tuple[Tensor, ...] = cast("Any", model).initial_state(1, *frames[0].shape[2:])
    step.reset()
    differences, lows, highs = [], [], []
    with torch.inference_mode():
        for frame_BCHW in frames:
            logits, state = cast("Any", model).step(torch.from_numpy(frame_BCHW), state)
            expected_BKHW = logits.numpy()
            given_BKHW = step.step(frame_BCHW)
            if given_BKHW.shape != expected_BKHW.shape:
                raise ValueError(f"logits {given_BKHW.shape} given, torch says {expected_BKHW.shape}")
            differences.append(float(np.max(np.abs(given_BKHW - expected_BKHW))))
            lows.append(float(expected_BKHW.min()))
            highs.append(float(expected_BKHW.max()))
    max_abs, logit_range = float(np.max(differences)), float(np.max(highs) - np.min(lows))
    if not np.isfinite([max_abs, logit_range]).all():
        return Parity(float("inf"), logit_range, float("inf"), ok=False)
    relative = max_abs / max(logit_range, _FLOOR)
    return Parity(max_abs, logit_range, relative, ok=relative <= tolerance)
