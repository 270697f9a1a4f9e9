"""Renders moving layers into frames, labels and exact motion. Knows nothing of datasets, files or scenes.

Legend: T frames, H/W pixels, C=3 RGB; (x, y) an output pixel, (u, v) a point of a layer's texture.
A layer is a textured card with one affine pose a frame; layers are painted in order, the last one on top.
Only scalar math, elementwise float64 ufuncs and integer gathers: equal input gives equal bytes on any CPU
(no BLAS, no fused multiply-add). Cost: about 1 ms for a picture-filling layer at 180x240.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.datasets.base import IGNORE

Pose = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): the output pixel (x, y) shows u = a x + b y + c, v = d x + e y + f of the layer."""

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int32]
Packed = NDArray[np.uint32]

_BITS = 4  # coordinates are rounded to 1/16 pixel for the bilinear weights
_NO_LAYER = 255
MAX_LAYERS = 255


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A card. `mask_HW` None: a plane that fills the picture; its edge colours go on outside, as IGNORE."""

    texture_HWC: Bytes
    labels_HW: Bytes
    mask_HW: NDArray[np.bool_] | None
    poses: tuple[Pose, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """Frames with labels and motion; conventions of `flow` and `visible` as in `base.Video`."""

    frames_TCHW: Bytes
    labels_THW: Bytes
    flow_T2HW: NDArray[np.float16]
    visible_THW: NDArray[np.bool_]


def view(x: float, y: float, u: float, v: float, angle_rad: float = 0.0, scale: float = 1.0) -> Pose:
    """Pose that shows the layer's point (u, v) at the output pixel (x, y), turned, magnified by `scale`."""
    if not scale > 0:
        raise ValueError(f"scale must be positive, given {scale}")
    cos, sin = math.cos(angle_rad) / scale, math.sin(angle_rad) / scale
    return (cos, sin, u - cos * x - sin * y, -sin, cos, v + sin * x - cos * y)


def compose(outer: Pose, inner: Pose) -> Pose:
    """The pose p -> outer(inner(p))."""
    a, b, c, d, e, f = outer
    g, h, i, j, k, m = inner
    return (a * g + b * j, a * h + b * k, a * i + b * m + c, d * g + e * j, d * h + e * k, d * i + e * m + f)


def invert(pose: Pose) -> Pose:
    """The pose from layer coordinates back to output pixels. Raises ValueError for a flat pose."""
    a, b, c, d, e, f = pose
    det = a * e - b * d
    if abs(det) < 1e-12:
        raise ValueError(f"pose {pose} cannot be inverted")
    return (e / det, -b / det, (b * f - c * e) / det, -d / det, a / det, (c * d - a * f) / det)


def render(layers: Sequence[Layer], height: int, width: int) -> Rendered:
    """Paint `layers` (bottom first, equally many poses each) into T frames of height x width.

    Labels are nearest, colours bilinear. Flow is exact up to float16: the layer's pose of frame t-1 inverted
    after its pose of frame t. A pixel is visible when the point, rounded to a pixel, was inside the picture
    and the same layer was on top there.

    Raises:
        ValueError: no layers, too many, or numbers of poses that differ.
    """
    counts = {len(layer.poses) for layer in layers}
    if not 1 <= len(layers) <= MAX_LAYERS or len(counts) != 1:
        raise ValueError(f"1..{MAX_LAYERS} layers of equal length needed, given {len(layers)} of {sorted(counts)}")
    (num_frames,) = counts
    cards = [_Card(layer) for layer in layers]
    frames = np.zeros((num_frames, height, width), np.uint32)
    labels = np.full((num_frames, height, width), IGNORE, np.uint8)
    flow = np.zeros((num_frames, 2, height, width), np.float16)
    top = np.full((num_frames, height, width), _NO_LAYER, np.uint8)
    visible = np.zeros((num_frames, height, width), np.bool_)
    for t in range(num_frames):
        motion = np.zeros((2, height, width), np.float32)
        for index, card in enumerate(cards):
            card.paint(t, index, frames[t], labels[t], top[t], motion)
        if t:
            flow[t] = motion
            visible[t] = _seen_before(flow[t], top[t - 1], top[t])
    rgb = frames.view(np.uint8).reshape(num_frames, height, width, 4)[..., :3]
    return Rendered(np.ascontiguousarray(rgb.transpose(0, 3, 1, 2)), labels, flow, visible)


def _seen_before(flow_2HW: NDArray[np.float16], before_HW: Bytes, now_HW: Bytes) -> NDArray[np.bool_]:
    """Whether the rounded source pixel is inside and shows the same layer; float16 as consumers see it."""
    height, width = now_HW.shape
    x = np.floor(flow_2HW[0] + np.arange(width, dtype=np.float32) + np.float32(0.5)).astype(np.int32)
    y = np.floor(flow_2HW[1] + np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)).astype(np.int32)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    source = before_HW.reshape(-1).take(y * width + x, mode="clip")
    seen: NDArray[np.bool_] = inside & (source == now_HW) & (now_HW != _NO_LAYER)
    return seen


class _Card:
    """A layer with its texture packed four bytes to a pixel and its labels framed by one empty cell."""

    def __init__(self, layer: Layer) -> None:
        self.poses = layer.poses
        self.plane = layer.mask_HW is None
        self.height, self.width = layer.labels_HW.shape
        # One more row and column so that the right and lower neighbours always exist (with weight zero).
        packed = np.zeros((self.height + 1, self.width + 1, 4), np.uint8)
        packed[:-1, :-1, :3] = layer.texture_HWC
        self.packed = packed.reshape(-1).view(np.uint32)
        facts = np.full((self.height + 2, self.width + 2), IGNORE, np.uint16)
        mask = np.ones_like(layer.labels_HW, np.uint16) if layer.mask_HW is None else layer.mask_HW
        facts[1:-1, 1:-1] = layer.labels_HW + (mask.astype(np.uint16) << 8)
        self.facts = facts.reshape(-1)

    def paint(
        self,
        t: int,
        index: int,
        frame_HW: Packed,
        labels_HW: Bytes,
        top_HW: Bytes,
        motion_2HW: NDArray[np.float32],
    ) -> None:
        """Draw the card's pose `t` into the picture, with its motion since t-1."""
        box = self._box(self.poses[t], *labels_HW.shape)
        if box is None:
            return
        rows, columns = box
        x = np.arange(columns.start, columns.stop, dtype=np.float64)
        y = np.arange(rows.start, rows.stop, dtype=np.float64)
        a, b, c, d, e, f = self.poses[t]
        u, v = _fixed(a * x, b * y + c), _fixed(d * x, e * y + f)
        facts = self.facts.take(self._nearest(u, v))
        on = (facts >> 8).astype(np.bool_)
        where = np.True_ if self.plane else on
        np.copyto(frame_HW[box], self._bilinear(u, v), where=where)
        np.copyto(labels_HW[box], facts.astype(np.uint8), where=where)
        np.copyto(top_HW[box], np.uint8(index), where=on)
        if t:
            a, b, c, d, e, f = compose(invert(self.poses[t - 1]), self.poses[t])
            shift_x = (a - 1.0) * x + (b * y + c)[:, None]
            shift_y = d * x + ((e - 1.0) * y + f)[:, None]
            np.copyto(motion_2HW[0][box], shift_x, where=where, casting="same_kind")
            np.copyto(motion_2HW[1][box], shift_y, where=where, casting="same_kind")

    def _box(self, pose: Pose, height: int, width: int) -> tuple[slice, slice] | None:
        """The part of the picture the card can touch, None where it is outside."""
        if self.plane:
            return slice(0, height), slice(0, width)
        a, b, c, d, e, f = invert(pose)
        corners = [(u, v) for u in (-1.0, float(self.width)) for v in (-1.0, float(self.height))]
        xs = [a * u + b * v + c for u, v in corners]
        ys = [d * u + e * v + f for u, v in corners]
        left, right = max(0, math.floor(min(xs))), min(width, math.ceil(max(xs)) + 1)
        upper, lower = max(0, math.floor(min(ys))), min(height, math.ceil(max(ys)) + 1)
        return (slice(upper, lower), slice(left, right)) if left < right and upper < lower else None

    def _nearest(self, u: Ints, v: Ints) -> Ints:
        """Index into `facts`; points off the card fall on its empty frame."""
        half = 1 << (_BITS - 1)
        column = np.clip((u + half) >> _BITS, -1, self.width)
        row = np.clip((v + half) >> _BITS, -1, self.height)
        index: Ints = (row + 1) * np.int32(self.width + 2) + (column + 1)
        return index

    def _bilinear(self, u: Ints, v: Ints) -> Packed:
        """Colours at 1/16 pixel, two channels at a time in the halves of a 32-bit word."""
        u = np.clip(u, 0, (self.width - 1) << _BITS)
        v = np.clip(v, 0, (self.height - 1) << _BITS)
        stride = self.width + 1
        base = (v >> _BITS) * np.int32(stride) + (u >> _BITS)
        right, below = (u & 15).astype(np.uint32), (v & 15).astype(np.uint32)
        w11 = right * below
        w01, w10 = right * np.uint32(16) - w11, below * np.uint32(16) - w11
        w00 = np.uint32(256) - w01 - w10 - w11
        even = np.full(u.shape, 0x00800080, np.uint32)  # one half, to round instead of truncate
        odd = even.copy()
        for offset, weight in ((0, w00), (1, w01), (stride, w10), (stride + 1, w11)):
            colour = self.packed.take(base + np.int32(offset))
            even += (colour & np.uint32(0x00FF00FF)) * weight
            odd += ((colour >> np.uint32(8)) & np.uint32(0x00FF00FF)) * weight
        blended: Packed = ((even >> np.uint32(8)) & np.uint32(0x00FF00FF)) | (odd & np.uint32(0xFF00FF00))
        return blended


def _fixed(along_W: NDArray[np.float64], down_H: NDArray[np.float64]) -> Ints:
    """Sum of a row and a column as integers of 1/16 pixel, bounded so that they cannot overflow."""
    scaled = (along_W * 16.0)[None, :] + (down_H * 16.0 + 0.5)[:, None]
    return np.floor(np.clip(scaled, -1e8, 1e8, out=scaled), out=scaled).astype(np.int32)
