"""One seeded scene of moving shapes as layers: planes in parallax, objects, posts. Knows nothing of datasets.

Legend: pixels of the output picture; `unit` scales all lengths, 1 at 96x128. World coordinates are output
pixels of a camera at rest; a layer of depth factor 0 stays, of factor 1 moves as the camera does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluators.datasets.layers import Layer, Pose, Rendered, compose, render, view
from evaluators.datasets.photometry import degrade, drop_out
from evaluators.datasets.textures import OUTLINES, Colour, outline, skyline, textured

CLASSES = ("background", *OUTLINES)
_HUES: tuple[Colour, ...] = ((205, 80, 70), (80, 110, 200), (90, 175, 80), (200, 175, 70), (165, 85, 180))
_HUE_SHARE = 0.55  # the rest of an object's colour is random, so that colour alone does not tell the class


@dataclass(frozen=True, slots=True)
class _Stage:
    """What all layers of a scene share: the picture's size and the camera's path."""

    height: int
    width: int
    unit: float
    drift_T2: tuple[tuple[float, float], ...]  # camera position, pixels
    lens_T: tuple[Pose, ...]  # roll and zoom about the picture's centre

    def poses(self, path_T2: Sequence[tuple[float, float]], depth: float, card: "_Card") -> tuple[Pose, ...]:
        """Poses of a card whose centre follows `path_T2` in the world."""
        return tuple(
            compose(
                view(
                    x - depth * drift[0],
                    y - depth * drift[1],
                    card.u,
                    card.v,
                    card.angle + card.spin * t,
                    size,
                ),
                lens,
            )
            for t, ((x, y), drift, lens, size) in enumerate(
                zip(path_T2, self.drift_T2, self.lens_T, card.sizes_T, strict=True)
            )
        )


@dataclass(frozen=True, slots=True)
class _Card:
    """Centre of a texture and how it turns (radians, radians a frame) and grows."""

    u: float
    v: float
    sizes_T: tuple[float, ...]
    angle: float = 0.0
    spin: float = 0.0


def scene(rng: np.random.Generator, num_frames: int, height: int, width: int) -> Rendered:
    """Render one scene: frames with flicker, noise and drop-outs; labels and motion of the clean world."""
    stage = _stage(rng, num_frames, height, width)
    layers = _planes(rng, stage)
    depths = sorted(float(rng.uniform(0.6, 1.2)) for _ in range(int(rng.integers(4, 8))))
    layers += [_object(rng, stage, depth) for depth in depths]
    layers += [_post(rng, stage) for _ in range(int(rng.integers(0, 3)))]
    rendered = render(layers, height, width)
    _spoil(rendered, rng)
    return rendered


def _stage(rng: np.random.Generator, num_frames: int, height: int, width: int) -> _Stage:
    unit = min(height / 96.0, width / 128.0)
    speed_x, speed_y = float(rng.uniform(-2.0, 2.0)) * unit, float(rng.uniform(-0.4, 0.4)) * unit
    sway, phase = float(rng.uniform(0.5, 3.0)) * unit, float(rng.uniform(0.0, 6.28))
    roll, zoom = float(rng.uniform(0.0, 0.03)), float(rng.uniform(0.0, 0.06))
    drift, lens = [], []
    for t in range(num_frames):
        swing = math.sin(phase + 0.55 * t)
        drift.append((speed_x * (t - num_frames / 2) + sway * swing, speed_y * (t - num_frames / 2)))
        lens.append(
            view(
                width / 2,
                height / 2,
                width / 2,
                height / 2,
                roll * swing,
                1.0 + zoom * math.sin(phase + 0.3 * t),
            )
        )
    return _Stage(height, width, unit, tuple(drift), tuple(lens))


def _planes(rng: np.random.Generator, stage: _Stage) -> list[Layer]:
    """A far plane that hardly moves and the ground under a wavy horizon, both background."""
    height, width = math.ceil(stage.height * 1.5), math.ceil(stage.width * 1.9)
    layers: list[Layer] = []
    for depth, contrast in ((0.25, 25.0), (0.6, 45.0)):
        cell = (28.0 if depth < 0.5 else 12.0) * stage.unit
        texture = textured(rng, height, width, _muted(rng), contrast, cell)
        mask = None if not layers else skyline(rng, height, width, 30.0 * stage.unit)
        still = tuple(1.0 for _ in stage.drift_T2)
        path = [(stage.width / 2.0, stage.height / 2.0)] * len(stage.drift_T2)
        poses = stage.poses(path, depth, _Card(width / 2.0, height / 2.0, still))
        layers.append(Layer(texture, np.zeros((height, width), np.uint8), mask, poses))
    return layers


def _object(rng: np.random.Generator, stage: _Stage, depth: float) -> Layer:
    """A textured shape on a path of its own that stays near the picture."""
    label = int(rng.integers(1, len(CLASSES)))
    radius = float(rng.uniform(9.0, 19.0)) * stage.unit
    mask = outline(CLASSES[label], radius)
    side = len(mask)
    colour = _mixed(rng, _HUES[label - 1])
    texture = textured(rng, side, side, colour, 45.0, 7.0 * stage.unit)
    num_frames = len(stage.drift_T2)
    growth, phase = float(rng.uniform(0.0, 0.2)), float(rng.uniform(0.0, 6.28))
    sizes = tuple(1.0 + growth * math.sin(phase + 0.25 * t) for t in range(num_frames))
    card = _Card(
        (side - 1) / 2.0,
        (side - 1) / 2.0,
        sizes,
        float(rng.uniform(-0.5, 0.5)),
        float(rng.uniform(-0.06, 0.06)),
    )
    x, y = float(rng.uniform(0.0, stage.width)), float(rng.uniform(0.1, 0.95)) * stage.height
    speed_x, speed_y = float(rng.uniform(-3.0, 3.0)) * stage.unit, float(rng.uniform(-1.5, 1.5)) * stage.unit
    path = [(_bounce(x + speed_x * t, stage.width), _bounce(y + speed_y * t, stage.height)) for t in range(num_frames)]
    return Layer(texture, np.full((side, side), label, np.uint8), mask, stage.poses(path, depth, card))


def _post(rng: np.random.Generator, stage: _Stage) -> Layer:
    """A thin bar close to the camera: background that hides what passes behind it."""
    height, width = stage.height * 2, max(3, round(float(rng.uniform(5.0, 10.0)) * stage.unit))
    texture = textured(rng, height, width, _muted(rng), 40.0, 6.0 * stage.unit)
    x = float(rng.uniform(0.1, 0.9)) * stage.width
    path = [(x, stage.height / 2.0)] * len(stage.drift_T2)
    card = _Card((width - 1) / 2.0, (height - 1) / 2.0, tuple(1.0 for _ in path))
    mask = np.ones((height, width), np.bool_)
    return Layer(texture, np.zeros((height, width), np.uint8), mask, stage.poses(path, 1.8, card))


def _bounce(position: float, length: int) -> float:
    """Reflect a position at both ends of 0..length."""
    return length - abs(position % (2.0 * length) - length)


def _muted(rng: np.random.Generator) -> Colour:
    grey = float(rng.uniform(60.0, 190.0))
    red, green, blue = (grey + float(shift) for shift in rng.uniform(-30.0, 30.0, 3))
    return red, green, blue


def _mixed(rng: np.random.Generator, hue: Colour) -> Colour:
    other = rng.uniform(20.0, 235.0, 3)
    red, green, blue = (
        _HUE_SHARE * own + (1.0 - _HUE_SHARE) * float(random) for own, random in zip(hue, other, strict=True)
    )
    return red, green, blue


def _spoil(rendered: Rendered, rng: np.random.Generator) -> None:
    """Flicker and noise; later frames lose the picture, all of it or a rectangle: memory pays there."""
    num_frames, _, height, width = rendered.frames_TCHW.shape
    gains = [float(rng.uniform(0.8, 1.2)) for _ in range(num_frames)]
    sigmas = [float(rng.uniform(4.0, 14.0))] * num_frames
    degrade(rendered.frames_TCHW, gains, sigmas, rng)
    for t in range(2, num_frames):
        fate = rng.random()
        if fate < 0.07:
            drop_out(rendered.frames_TCHW[t], rng)
        elif fate < 0.27:
            top, left = int(rng.integers(0, height // 2)), int(rng.integers(0, width // 2))
            part = rendered.frames_TCHW[t, :, top : top + height // 2, left : left + width // 2]
            drop_out(part, rng)
