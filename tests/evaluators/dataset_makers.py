"""Writes small datasets for tests, and damages their files. Knows nothing of the tests."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

HW = (48, 64)


def write_pair(image: Path, label: Path | None, value: int = 1, size_hw=HW, seed: int = 0) -> None:
    """An image of noise, and a label of zeros with a block of `value`."""
    rng = np.random.default_rng(seed)
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8)).save(image)
    if label is not None:
        labels = np.zeros(size_hw, np.uint8)
        labels[10:20, 10:30] = value
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(label)


def make_camvid(root: Path) -> Path:
    """Two drives of stills in train (one with a gap), a 15 fps clip in val."""
    names = {
        "train": [f"0006R0_f{n:05d}" for n in range(30, 180, 30)]
        + [f"0016E5_{n:05d}" for n in (30, 60, 91, 120, 900, 930, 960)],
        "val": [f"0016E5_{n:05d}" for n in range(500, 512, 2)],
    }
    for split, stems in names.items():
        for seed, stem in enumerate(stems, 100 * len(split)):
            write_pair(root / split / f"{stem}.png", root / f"{split}annot" / f"{stem}.png", 11, seed=seed)
        lines = [f"{split}/{stem}.png {split}annot/{stem}.png\n" for stem in stems]
        (root / f"{split}.txt").write_text("".join(lines))
    return root


def make_folder(root: Path, **changes) -> Path:
    """Three train sequences of which one is smaller, one val sequence; frame 1 of `b` has no label."""
    for seed, (name, size_hw) in enumerate({"a": HW, "b": HW, "small": (40, 50), "v": HW}.items()):
        for t in range(6):
            label = None if (name, t) == ("b", 1) else root / name / "label" / f"{t}.png"
            write_pair(root / name / "input" / f"{t}.jpg", label, size_hw=size_hw, seed=10 * seed + t)
    document = {
        "classes": ["ground", "thing"],
        "ignore_label": 255,
        "fps": 25,
        "splits": {"train": ["a", "b", "small"], "val": ["v"]},
    }
    (root / "dataset.json").write_text(json.dumps(document | changes))
    return root


def break_label(path: Path, how: str) -> None:
    labels = np.array(Image.open(path))
    if how == "value":
        labels[0, 0] = 77
        Image.fromarray(labels).save(path)
    elif how == "16-bit":
        Image.fromarray(labels.astype(np.uint16)).save(path)
    elif how == "colour":
        Image.fromarray(np.stack([labels] * 3, -1)).save(path)
    elif how == "4-bit":
        path.write_bytes(four_bit_png(labels))
    elif how == "size":
        Image.fromarray(labels[:-4]).save(path)
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:60])
    elif how == "garbage":
        path.write_bytes(b"no image at all")
    elif how == "empty":
        path.write_bytes(b"")


def four_bit_png(labels: np.ndarray) -> bytes:
    """A grey PNG of depth 4, whose values Pillow would multiply by 17."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = labels.shape
    packed = (labels[:, ::2] << 4 | labels[:, 1::2]).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
