"""Reads one image or label file without trusting it. Knows nothing of sequences and layouts.

Legend: H/W pixels, C=3.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluators.datasets.base import IGNORE
from search_spaces.errors import InputError

Bytes = NDArray[np.uint8]

MAX_SIDE = 8192
"""Pixels of an image's side; checked in the header before anything is decoded."""

MAX_CLASSES = 254  # ids 0..253; 254 marks what is outside, 255 is IGNORE
_OUTSIDE = 254
# What Pillow raises for damaged files, over all decoders used here.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_IMAGE_MODES = ("RGB", "L", "P", "RGBA", "LA", "1", "CMYK", "YCbCr")
_LABEL_MODES = ("L", "P")


class ItemError(InputError):
    """One file is unusable: `path`, and what is wrong with it."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path, self.what = path, what


def size_of(path: Path) -> tuple[int, int]:
    """(height, width) from the header alone. Raises ItemError for unreadable or too large files."""
    try:
        with Image.open(path) as image:
            width, height = image.size
    except _DAMAGE as error:
        raise ItemError(path, f"cannot be read as an image ({_reason(error)})") from None
    if max(height, width) > MAX_SIDE:
        raise ItemError(path, f"is {width}x{height} pixels, sides of at most {MAX_SIDE} are allowed")
    return height, width


def read_image(path: Path) -> Image.Image:
    """A decoded RGB image, as stored (an EXIF orientation is not applied). Raises ItemError."""
    size_of(path)
    try:
        with Image.open(path) as image:
            mode = image.mode
            decoded = image.convert("RGB") if mode in _IMAGE_MODES else None
    except _DAMAGE as error:
        raise ItemError(path, f"is damaged or truncated ({_reason(error)})") from None
    if decoded is None:
        raise ItemError(path, f"has pixel mode {mode}; 8-bit RGB, grey or palette images are allowed")
    return decoded


def label_table(num_classes: int, ignore_label: int | None) -> Bytes:
    """What each file value means: a class, IGNORE, or outside."""
    table = np.full(256, _OUTSIDE, np.uint8)
    table[:num_classes] = np.arange(num_classes, dtype=np.uint8)
    if ignore_label is not None:
        table[ignore_label] = IGNORE
    return table


def read_label(path: Path, table_256: Bytes) -> Bytes:
    """HW labels with IGNORE where not scored.

    Raises:
        ItemError: unreadable, not 8-bit single-channel, or with values outside the classes (they are named).
    """
    size_of(path)
    try:
        with Image.open(path) as image:
            mode, depth = image.mode, _packed_depth(image)
            values = np.array(image) if mode in _LABEL_MODES and not depth else None
    except _DAMAGE as error:
        raise ItemError(path, f"is damaged or truncated ({_reason(error)})") from None
    if values is None:
        raise ItemError(path, f"has {_named(mode, depth)} labels; 8-bit single-channel or palette PNGs are allowed")
    labels: Bytes = table_256.take(values)
    if (labels == _OUTSIDE).any():
        given = ", ".join(str(value) for value in np.unique(values[labels == _OUTSIDE])[:8])
        allowed = [str(value) for value in range(256) if table_256[value] == IGNORE]
        top = int(np.flatnonzero(table_256 < _OUTSIDE).max())
        also = f" and {allowed[0]} (ignore)" if allowed else ""
        raise ItemError(path, f"has label {given}; 0..{top}{also} are allowed")
    return labels


def _packed_depth(image: Image.Image) -> str:
    """Name of a grey depth below 8 bits, whose values Pillow would stretch; empty otherwise."""
    tiles = getattr(image, "tile", None)
    raw = str(tiles[0][3]) if tiles else ""
    return raw if raw in ("L;2", "L;4") else ""


def _named(mode: str, depth: str) -> str:
    if mode.startswith("I"):
        return f"16-bit (mode {mode})"
    if depth:
        return f"{depth[-1]}-bit grey"
    return f"colour (mode {mode})" if mode in ("RGB", "RGBA", "LA", "CMYK") else f"mode {mode}"


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "not an image format that is known" if text.startswith("cannot identify") else text
