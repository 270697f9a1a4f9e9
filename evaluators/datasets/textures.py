"""Procedural textures and outlines for rendered scenes. Knows nothing of motion, labels or datasets.

Legend: H/W pixels, C=3. Elementwise math on values of a seeded generator only: equal input gives equal bytes.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Colour = tuple[float, float, float]


def value_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> Floats:
    """Smooth noise in 0..1: a random lattice of pitch `cell` pixels, interpolated with smoothstep weights."""
    rows = np.arange(height, dtype=np.float64) / cell
    columns = np.arange(width, dtype=np.float64) / cell
    lattice = rng.random((int(height / cell) + 2, int(width / cell) + 2))
    row, column = rows.astype(np.intp), columns.astype(np.intp)
    down, along = _smooth(rows - row)[:, None], _smooth(columns - column)[None, :]
    upper = lattice[row][:, column] * (1.0 - along) + lattice[row][:, column + 1] * along
    lower = lattice[row + 1][:, column] * (1.0 - along) + lattice[row + 1][:, column + 1] * along
    noise: Floats = upper * (1.0 - down) + lower * down
    return noise


def _smooth(x: Floats) -> Floats:
    return x * x * (3.0 - 2.0 * x)


def textured(rng: np.random.Generator, height: int, width: int, colour: Colour, contrast: float, cell: float) -> Bytes:
    """HWC texture: `colour` (0..255) under noise of `contrast` grey levels, often with stripes."""
    grain = value_noise(rng, height, width, cell) * 0.65 + value_noise(rng, height, width, cell / 3.0) * 0.35
    pattern = grain - 0.5
    if rng.random() < 0.5:
        slope_x, slope_y = float(rng.uniform(-1.0, 1.0)), float(rng.uniform(-1.0, 1.0))
        x = np.arange(width, dtype=np.float64)[None, :] * (slope_x / cell)
        y = np.arange(height, dtype=np.float64)[:, None] * (slope_y / cell)
        phase = x + y + pattern
        pattern = pattern * 0.5 + np.abs(phase - np.floor(phase) - 0.5) - 0.25
    tint = rng.uniform(0.6, 1.4, 3)
    channels = [
        np.clip(level + pattern * (2.0 * contrast * gain), 0.0, 255.0) for level, gain in zip(colour, tint, strict=True)
    ]
    return np.stack(channels, axis=-1).astype(np.uint8)


def skyline(rng: np.random.Generator, height: int, width: int, cell: float) -> Mask:
    """Mask of everything below a wavy horizon that runs through the upper half."""
    profile = value_noise(rng, 1, width, cell)[0] * (0.3 * height) + 0.25 * height
    mask: Mask = np.arange(height, dtype=np.float64)[:, None] >= profile[None, :]
    return mask


def _disc(x: Floats, y: Floats) -> Mask:
    return x * x + y * y <= 1.0


def _box(x: Floats, y: Floats) -> Mask:
    return (np.abs(x) <= 0.95) & (np.abs(y) <= 0.7)


def _triangle(x: Floats, y: Floats) -> Mask:
    return (y <= 0.8) & (np.abs(x) * 1.75 <= y + 0.95)


def _ring(x: Floats, y: Floats) -> Mask:
    radius = x * x + y * y
    return (radius <= 1.0) & (radius >= 0.25)


def _cross(x: Floats, y: Floats) -> Mask:
    return (np.minimum(np.abs(x), np.abs(y)) <= 0.3) & (np.maximum(np.abs(x), np.abs(y)) <= 1.0)


OUTLINES: Mapping[str, Callable[[Floats, Floats], Mask]] = {
    "disc": _disc,
    "box": _box,
    "triangle": _triangle,
    "ring": _ring,
    "cross": _cross,
}
"""Name -> whether points of the square -1..1 (x to the right, y down) belong to the shape."""


def outline(name: str, radius: float) -> Mask:
    """Square mask of the shape `name` with the given radius in pixels."""
    side = 2 * math.ceil(radius) + 1
    offset = (np.arange(side, dtype=np.float64) - (side - 1) / 2.0) / radius
    return OUTLINES[name](offset[None, :] + np.zeros((side, 1)), offset[:, None] + np.zeros((1, side)))
