"""Connected components of label maps, and which classes look like things. Knows nothing of rendering.

Legend: H/W pixels; a run is a stretch of equal labels in one row. No Python work per pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.datasets.base import IGNORE

Bytes = NDArray[np.uint8]
Index = NDArray[np.intp]

MIN_SIDE_PX = 4
MIN_AREA_SHARE, MAX_AREA_SHARE = 0.001, 0.08
"""Of the picture: smaller components are specks, larger ones surroundings."""

MIN_FILL = 0.4  # area over bounding box: a thing is compact
MAX_ASPECT = 4.0
MAX_ROUGHNESS = 1.6  # outline over that of the bounding box: 1 for convex shapes, foliage is ragged
MOVABLE_SHARE = 0.25
"""A class is movable when this share of its pixels lies in compact, small components.

Measured on CamVid train without the held-out drive (180x240): Bicyclist .72, SignSymbol .62, Pedestrian .47,
Car .39 (many are cut by the picture's edge or close) against Fence .23, Tree .15, and below .06 for the rest.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """A connected region (4-neighbours) of one class in its bounding box."""

    label: int
    top: int
    left: int
    mask_HW: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """All components of a label map: an id a pixel; per id its label, area, box (exclusive ends), outline."""

    ids_HW: Index
    label_N: Bytes
    area_N: Index
    box_N4: Index  # top, left, bottom, right
    outline_N: Index  # pixel edges between the region and anything else, the picture's border included

    def cut(self, number: int) -> Component:
        """One region with its mask."""
        top, left, bottom, right = (int(edge) for edge in self.box_N4[number])
        mask = self.ids_HW[top:bottom, left:right] == number
        return Component(int(self.label_N[number]), top, left, mask)

    def compact(self) -> NDArray[np.bool_]:
        """Which regions are small, compact, smooth, not stretched, and touch neither side of the picture."""
        height = self.box_N4[:, 2] - self.box_N4[:, 0]
        width = self.box_N4[:, 3] - self.box_N4[:, 1]
        share = self.area_N / self.ids_HW.size
        long, short = np.maximum(height, width), np.minimum(height, width)
        whole = (self.box_N4[:, 1] > 0) & (self.box_N4[:, 3] < self.ids_HW.shape[1])
        fits = (share >= MIN_AREA_SHARE) & (share <= MAX_AREA_SHARE) & (short >= MIN_SIDE_PX)
        shaped = (self.area_N >= MIN_FILL * height * width) & (long <= MAX_ASPECT * short)
        smooth = self.outline_N <= MAX_ROUGHNESS * 2 * (height + width)
        result: NDArray[np.bool_] = fits & shaped & smooth & whole & (self.label_N != IGNORE)
        return result


def regions(labels_HW: Bytes) -> Regions:
    """Label the connected components: runs are joined downwards, then roots found by pointer jumping.

    Each round at least halves the roots of a component that still has several, so the cost is bounded by
    O(runs log runs).
    """
    height, width = labels_HW.shape
    starts = np.ones((height, width), np.bool_)
    starts[:, 1:] = labels_HW[:, 1:] != labels_HW[:, :-1]
    run_HW = (np.cumsum(starts.reshape(-1)) - 1).reshape(height, width)
    # Two runs touch where equal labels lie above each other; one pixel of each overlap is enough.
    touch = (labels_HW[1:] == labels_HW[:-1]) & (starts[1:] | starts[:-1])
    root = _roots(int(run_HW[-1, -1]) + 1, run_HW[:-1][touch], run_HW[1:][touch])
    _, number = np.unique(root, return_inverse=True)
    ids = number.reshape(-1).astype(np.intp)[run_HW]
    row, column = np.nonzero(starts)
    length = np.diff(np.append(np.flatnonzero(starts.reshape(-1)), height * width))
    of_run = ids[row, column]
    count = int(of_run.max()) + 1
    box = np.empty((count, 4), np.intp)
    box[:, :2], box[:, 2:] = height + width, 0
    np.minimum.at(box[:, 0], of_run, row)
    np.minimum.at(box[:, 1], of_run, column)
    np.maximum.at(box[:, 2], of_run, row + 1)
    np.maximum.at(box[:, 3], of_run, column + length)
    area = np.zeros(count, np.intp)
    np.add.at(area, of_run, length)
    label = np.zeros(count, np.uint8)
    label[of_run] = labels_HW[row, column]
    return Regions(ids, label, area, box, _outlines(ids, count))


def _outlines(ids_HW: Index, count: int) -> Index:
    framed = np.pad(ids_HW, 1, constant_values=-1)
    total = np.zeros(count, np.intp)
    for one, other in ((framed[1:], framed[:-1]), (framed[:, 1:], framed[:, :-1])):
        edge = one != other
        for side in (one[edge], other[edge]):
            total += np.bincount(side[side >= 0], minlength=count)
    return total


def _roots(count: int, left: Index, right: Index) -> Index:
    """The smallest run each run is connected to."""
    root = np.arange(count)
    while True:
        low, high = np.minimum(root[left], root[right]), np.maximum(root[left], root[right])
        open_ = low != high
        if not open_.any():
            return root
        np.minimum.at(root, high[open_], low[open_])
        while True:
            jumped = root[root]
            if np.array_equal(jumped, root):
                break
            root = jumped


def movable_classes(found: Sequence[Regions], num_labels: int = 255) -> tuple[int, ...]:
    """Classes of which at least MOVABLE_SHARE of the pixels lie in compact, small components."""
    total, compact = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for one in found:
        np.add.at(total, one.label_N, one.area_N)
        keep = one.compact()
        np.add.at(compact, one.label_N[keep], one.area_N[keep])
    share = compact / np.maximum(total, 1)
    return tuple(int(label) for label in np.flatnonzero(share[:num_labels] >= MOVABLE_SHARE))
