"""Strips of image and label files become videos. Knows nothing of how a dataset lays its files out.

Legend: T frames, H/W pixels, C=3.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from statistics import median_low

import numpy as np
import torch
from PIL import Image

from evaluators.datasets.base import IGNORE, DatasetInfo, Problem, Video
from evaluators.datasets.files import Bytes, ItemError, label_table, read_image, read_label, size_of
from search_spaces.errors import InputError

MAX_SPLIT_BYTES = 4 * 2**30
"""Decoded uint8 frames and labels of one split held in memory; beyond it a smaller size must be asked for."""


@dataclass(frozen=True, slots=True)
class Item:
    """One frame; `label` None: fed but not scored."""

    image: Path
    label: Path | None


@dataclass(frozen=True, slots=True)
class Strip:
    """Consecutive frames at a constant step: becomes one Video."""

    split: str
    name: str
    items: tuple[Item, ...]
    fps: float | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something about the layout itself: listed by `check` as a problem if serious, else as a note.

    A fatal one makes `videos(split)` raise.
    """

    split: str
    problem: Problem
    serious: bool
    fatal: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a dataset's items lie. Equal by root and facts (the fingerprint stands for the items)."""

    root: Path
    info: DatasetInfo
    ignore_label: int | None
    strips: tuple[Strip, ...] = field(compare=False)
    faults: tuple[Fault, ...] = field(compare=False, default=())

    def strips_of(self, split: str) -> tuple[Strip, ...]:
        """The strips of a split. Raises InputError for an unknown split or a fatal fault of this one."""
        if split not in self.info.splits:
            allowed = ", ".join(self.info.splits)
            raise InputError(f"{self.info.spec}: split {split!r} is unknown; allowed: {allowed}")
        for fault in self.faults:
            if fault.fatal and fault.split == split:
                raise InputError(f"{fault.problem.path}: {fault.problem.what}")
        return tuple(strip for strip in self.strips if strip.split == split)


def read_item(item: Item, table_256: Bytes, size_hw: tuple[int, int] | None) -> tuple[Bytes, Bytes | None]:
    """HWC image and HW labels (None without a label file), at their own size or resized to `size_hw`.

    Images are resized with Pillow's bilinear filter (area-weighted when shrinking), labels to the nearest.
    """
    image = read_image(item.image)
    labels = None if item.label is None else read_label(item.label, table_256)
    if labels is not None and labels.shape != (image.height, image.width):
        assert item.label is not None
        raise ItemError(
            item.label,
            f"is {labels.shape[1]}x{labels.shape[0]} pixels, its image {item.image.name} "
            f"{image.width}x{image.height}; equal sizes are needed",
        )
    if size_hw is not None and size_hw != (image.height, image.width):
        box = (size_hw[1], size_hw[0])
        image = image.resize(box, Image.Resampling.BILINEAR)
        if labels is not None:
            labels = np.array(Image.fromarray(labels).resize(box, Image.Resampling.NEAREST))
    return np.array(image), labels


@lru_cache(maxsize=4)
def decode_split(layout: Layout, split: str) -> tuple[Video, ...]:
    """Decode a split at `layout.info.size_hw`; the last four splits are kept in the process as uint8.

    Raises:
        InputError: unknown split, damaged items, or more than MAX_SPLIT_BYTES.
    """
    strips = layout.strips_of(split)
    height, width = layout.info.size_hw
    needed = sum(len(strip.items) for strip in strips) * height * width * 4
    if needed > MAX_SPLIT_BYTES:
        raise InputError(
            f"{layout.info.spec}: split {split} takes {needed / 2**30:.1f} GiB at {height}x{width}, at most "
            f"{MAX_SPLIT_BYTES / 2**30:.1f} GiB are allowed; give a smaller size"
        )
    table = label_table(len(layout.info.classes), layout.ignore_label)
    return tuple(_decode(strip, table, (height, width)) for strip in strips)


def _decode(strip: Strip, table_256: Bytes, size_hw: tuple[int, int]) -> Video:
    count = len(strip.items)
    frames = torch.empty((count, 3, *size_hw), dtype=torch.uint8)
    labels = torch.full((count, *size_hw), IGNORE, dtype=torch.uint8)
    labelled = torch.zeros(count, dtype=torch.bool)
    first = size_of(strip.items[0].image)
    for t, item in enumerate(strip.items):
        size = size_of(item.image)
        if size != first:
            raise ItemError(item.image, differs(size, first, strip.items[0].image))
        image_HWC, labels_HW = read_item(item, table_256, size_hw)
        frames[t] = torch.from_numpy(image_HWC).permute(2, 0, 1)
        if labels_HW is not None:
            labels[t] = torch.from_numpy(labels_HW)
            labelled[t] = True
    return Video(strip.name, frames, labels, labelled, strip.fps)


def differs(size: tuple[int, int], first: tuple[int, int], where: Path) -> str:
    """The sentence for a frame whose size is not that of its sequence."""
    return f"is {size[1]}x{size[0]} pixels, the sequence began with {first[1]}x{first[0]} ({where.name})"


def first_size(strips: Iterable[Strip]) -> tuple[int, int] | None:
    """(height, width) of the first readable image, None if there is none."""
    for strip in strips:
        for item in strip.items:
            try:
                return size_of(item.image)
            except ItemError:
                continue
    return None


def fingerprint(root: Path, strips: Sequence[Strip], documents: Sequence[Path], size_hw: tuple[int, int]) -> str:
    """Hash of the documents' content, every item's relative name and byte count, and the size.

    Pixels are not read: opening a dataset must stay cheap in every worker, and edits that keep each file's
    length are rarer than copies, which is why times of change are left out.
    """
    digest = hashlib.sha256(repr(size_hw).encode())
    for document in documents:
        digest.update(document.name.encode() + b"\0" + document.read_bytes() + b"\0")
    for strip in strips:
        digest.update(f"{strip.split}\0{strip.name}\0{strip.fps}\0".encode())
        for path in (path for item in strip.items for path in (item.image, item.label) if path is not None):
            length = path.stat().st_size if path.is_file() else -1
            digest.update(f"{path.relative_to(root).as_posix()}\0{length}\0".encode())
    return digest.hexdigest()[:24]


def consecutive_runs(numbers: Sequence[int]) -> tuple[int, list[slice]]:
    """Cut rising frame numbers where they jump: (usual step, runs of that step).

    The usual step is the lower median of the differences; a tenth of it is tolerated as the camera's jitter.
    """
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps:
        return 1, [slice(0, len(numbers))]
    usual = median_low(steps)
    cuts = [index + 1 for index, step in enumerate(steps) if abs(step - usual) > usual // 10]
    edges = [0, *cuts, len(numbers)]
    return usual, [slice(start, stop) for start, stop in pairwise(edges)]


def inside(root: Path, path: Path) -> bool:
    """Whether `path`, its links followed, lies in the resolved folder `root`."""
    return path.resolve().is_relative_to(root)
