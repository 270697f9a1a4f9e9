"""Datasets by name. Knows nothing of what is in them. A new dataset is one file and one line here."""

from collections.abc import Mapping
from pathlib import Path

from evaluators.datasets.base import VideoDataset
from evaluators.datasets.camvid import open_camvid
from evaluators.datasets.folder import open_folder
from evaluators.datasets.moving_shapes import DEFAULT_HW, MovingShapes
from search_spaces.errors import InputError

DATASETS: Mapping[str, tuple[str, str]] = {
    "moving_shapes": ("moving_shapes", "rendered shapes under a moving camera; needs no files"),
    "camvid": ("camvid:PATH", "CamVid in the SegNet layout, 11 classes; train stills become pseudo-video"),
    "folder": ("folder:PATH", "your own sequences: <sequence>/input, <sequence>/label and dataset.json"),
}
"""Name -> (how it is written, what it is)."""

MIN_SIDE, MAX_SIDE = 32, 4096


def open_dataset(spec: str, size_hw: tuple[int, int] | None = None) -> VideoDataset:
    """Open `moving_shapes`, `camvid:PATH` or `folder:PATH`; no frame is decoded yet.

    Args:
        spec: as users write it.
        size_hw: (height, width) to resize to; None keeps the dataset's own.

    Raises:
        InputError: unknown name, missing or superfluous path, bad size, or what the dataset itself refuses.
    """
    name, colon, path = spec.partition(":")
    if name not in DATASETS:
        allowed = ", ".join(form for form, _ in DATASETS.values())
        raise InputError(f"data {spec!r} is unknown; allowed: {allowed}")
    form = DATASETS[name][0]
    if (":" in form) != bool(path) or (colon and not path):
        raise InputError(f"data {spec!r} given; it is written {form}")
    if size_hw is not None and not all(MIN_SIDE <= side <= MAX_SIDE for side in size_hw):
        raise InputError(f"data {spec!r}: size {size_hw} given, sides of {MIN_SIDE}..{MAX_SIDE} pixels allowed")
    if name == "moving_shapes":
        return MovingShapes(size_hw or DEFAULT_HW)
    opened = (open_camvid if name == "camvid" else open_folder)(Path(path).expanduser(), size_hw)
    height, width = opened.info.size_hw
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"data {spec!r}: frames of {height}x{width} pixels given, sides of at least {MIN_SIDE} allowed; give a size"
        )
    return opened


def absolute_spec(spec: str) -> str:
    """`spec` with an absolute path: it means the same to a process with another working folder."""
    name, _, path = spec.partition(":")
    return f"{name}:{Path(path).expanduser().absolute()}" if path else spec
