"""Does an exported step compute what torch computes, over frames with carried state? Knows nothing of timing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from latency_tables.runtimes.base import Candidate, FloatArray, StreamingStep
from latency_tables.runtimes.registry import load_runtime
from search_spaces.change_gate import gate_of
from search_spaces.door import STRICT
from search_spaces.frame_phases import num_phases_of, phase_given

_GRID_HW = (9, 12)
_NOISE = 0.02
_FLOOR = 1e-6
"""Outputs that vary less than this are compared as if they varied by this."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the two roll-outs are apart: `relative` is `max_abs` over the range of torch's logits.

    Where key frames are learned, it is the difference of what calls them if that is larger: no logits show it.
    """

    __pydantic_config__: ClassVar = STRICT
    max_abs: float
    logit_range: float
    relative: float
    ok: bool


def random_frames(size_hw: tuple[int, int], num_frames: int, *, seed: int) -> list[FloatArray]:
    """Frames [1,3,H,W] in 0..1: smooth random fields with a little noise, as pictures are.

    White noise would judge the wrong thing: where a network resizes by 3/4, float32 knows a coordinate of 1000
    to 6e-5 of a pixel, and between two pixels of white noise that is already a difference of 1e-3 in the logits.
    """
    rng = np.random.default_rng(seed)
    rows, columns = _ramps(size_hw[0], _GRID_HW[0]), _ramps(size_hw[1], _GRID_HW[1])
    frames = []
    for _ in range(num_frames):
        field = rows @ rng.random((1, 3, *_GRID_HW), dtype=np.float32) @ columns.T
        noise = rng.random((1, 3, *size_hw), dtype=np.float32)
        frames.append(((1 - _NOISE) * field + _NOISE * noise).astype(np.float32))
    return frames


def _ramps(length: int, points: int) -> FloatArray:
    """[length, points]: weights of linear interpolation from `points` values to `length` pixels."""
    where = np.linspace(0, points - 1, length)
    return np.stack([np.interp(where, np.arange(points), row) for row in np.eye(points)], 1).astype(np.float32)


def verify_step(
    model: nn.Module,
    path: Path | Sequence[Path],
    size_hw: tuple[int, int],
    *,
    num_frames: int = 6,
    seed: int,
    tolerance: float = 1e-4,
    runtime: str = "onnxruntime",
) -> Parity:
    """Run `model` and the file at `path` side by side, each on its own carried state.

    With a schedule `path` is the file of every phase (`export_phases`), and there are two cycles of it at least.
    `ok`: every logit is finite and the largest difference is at most `tolerance` times the logits' range.
    A wrong state shows in the frames that follow it.

    Raises:
        MissingExtraError: the runtime is absent.
        ValueError: the file is not a streaming step of this size.
    """
    paths = (str(path),) if isinstance(path, Path) else tuple(map(str, path))
    num_phases = num_phases_of(model)
    if len(paths) != num_phases:
        raise ValueError(f"{len(paths)} files given for a network of {num_phases} phases; one a phase is needed")
    step = load_runtime(runtime).load(Candidate(size_hw, paths), "f32", 1)
    frames = random_frames(size_hw, max(num_frames, 2 * num_phases if num_phases > 1 else 1), seed=seed)
    return compare(model, step, frames, tolerance=tolerance)


def compare(model: nn.Module, step: StreamingStep, frames: list[FloatArray], *, tolerance: float) -> Parity:
    """Torch's roll-out over `frames` against a loaded step's."""
    state: tuple[Tensor, ...] = cast("Any", model).initial_state(1, *frames[0].shape[2:])
    step.reset()
    differences, lows, highs, calls = [], [], [], [0.0]
    learned = gate_of(model) is not None
    with torch.inference_mode():
        for number, frame_BCHW in enumerate(frames):
            logits, state = cast("Any", model).step(torch.from_numpy(frame_BCHW), state, *phase_given(model, number))
            expected_BKHW = logits.numpy()
            given_BKHW = step.step(frame_BCHW)
            if given_BKHW.shape != expected_BKHW.shape:
                raise ValueError(f"logits {given_BKHW.shape} given, torch says {expected_BKHW.shape}")
            differences.append(float(np.max(np.abs(given_BKHW - expected_BKHW))))
            lows.append(float(expected_BKHW.min()))
            highs.append(float(expected_BKHW.max()))
            if learned:
                calls.append(float(np.max(np.abs(step.states[-1] - state[-1].numpy()))))
    max_abs, logit_range = float(np.max(differences)), float(np.max(highs) - np.min(lows))
    if not np.isfinite([max_abs, logit_range, *calls]).all():
        return Parity(float("inf"), logit_range, float("inf"), ok=False)
    relative = max(max_abs / max(logit_range, _FLOOR), *calls)
    return Parity(max_abs, logit_range, relative, ok=relative <= tolerance)
