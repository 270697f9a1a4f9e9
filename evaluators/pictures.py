"""Single pictures: reading, tinting with labels, laying out in a sheet. Knows nothing of videos or networks.

Legend: H/W pixels, C=3 RGB; a frame is a numpy uint8 HWC array.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, UnidentifiedImageError

from evaluators.datasets.base import IGNORE
from search_spaces.errors import InputError

Frame = NDArray[np.uint8]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_PIXELS = 1 << 26
"""Of one frame or contact sheet (8192 x 8192): larger input is refused before it is decoded."""

_EIGHT_BIT_MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr")


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sorting key in which frame2 comes before frame10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return tuple((0, int(part), part) if part[0] in "0123456789" else (1, 0, part) for part in parts)


def read_picture(path: Path) -> Frame:
    """Read one 8-bit picture as RGB, pixels as they are stored (an orientation tag is not applied).

    Raises:
        InputError: absent, damaged, larger than MAX_PIXELS, or not of 8 bits per channel.
    """
    try:
        with Image.open(path) as picture:
            require_size(path, picture.height, picture.width)
            if picture.mode not in _EIGHT_BIT_MODES:
                raise InputError(f"{path}: picture of mode {picture.mode} given, 8 bits per channel are needed")
            return np.asarray(picture.convert("RGB"))
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist") from None
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({one_line(error)})") from None


def require_size(path: Path, height: int, width: int) -> None:
    """Refuse a frame of no pixels or more than MAX_PIXELS with an InputError naming the file."""
    if not 0 < height * width <= MAX_PIXELS:
        raise InputError(f"{path}: frame of {height}x{width} pixels given, 1 to {MAX_PIXELS} pixels allowed")


def one_line(error: BaseException) -> str:
    """A library's message as part of a sentence: one line, 200 characters at most."""
    return " ".join(str(error).split())[:200]


def overlay(
    frame_HWC: Frame, labels_HW: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]], alpha: float
) -> Frame:
    """Tint every pixel with the colour of its label: (1 - alpha) frame + alpha colour; IGNORE stays as it is.

    Raises:
        ValueError: sizes differ, alpha is outside 0..1, or a label has no colour.
    """
    if frame_HWC.shape[:2] != labels_HW.shape:
        raise ValueError(f"frame {frame_HWC.shape} and labels {labels_HW.shape} differ in size")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha} given, 0 to 1 allowed")
    known_HW = labels_HW != IGNORE
    if bool((labels_HW[known_HW] >= len(palette)).any()):
        raise ValueError(f"label {labels_HW[known_HW].max()} given, the palette has {len(palette)} colours")
    colours = np.zeros((256, 3), dtype=np.float32)
    colours[: len(palette)] = palette
    weight_HW1 = np.where(known_HW, np.float32(alpha), np.float32(0))[..., None]
    mixed_HWC = frame_HWC * (1 - weight_HW1) + colours[labels_HW] * weight_HW1
    tinted_HWC: Frame = np.rint(mixed_HWC).astype(np.uint8)
    return tinted_HWC


def contact_sheet(rows: Sequence[Sequence[tuple[str, Frame]]]) -> Image.Image:
    """Lay captioned pictures out in rows: each cell as large as the largest picture, its caption above it.

    Raises:
        ValueError: no picture, or more than MAX_PIXELS in all.
    """
    cells = [cell for row in rows for cell in row]
    if not cells:
        raise ValueError("a contact sheet needs at least one picture")
    gap, caption = 4, 14  # pixels; Pillow's default font is 11 high
    cell_height = max(frame.shape[0] for _, frame in cells) + caption + gap
    cell_width = max(frame.shape[1] for _, frame in cells) + gap
    height, width = len(rows) * cell_height + gap, max(len(row) for row in rows) * cell_width + gap
    if height * width > MAX_PIXELS:
        raise ValueError(f"contact sheet of {height}x{width} pixels, at most {MAX_PIXELS} pixels allowed")
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        for column, (text, frame_HWC) in enumerate(row):
            left, top = gap + column * cell_width, gap + number * cell_height
            draw.text((left, top), text, fill="black")
            sheet.paste(Image.fromarray(frame_HWC), (left, top + caption))
    return sheet
