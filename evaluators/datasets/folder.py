"""A user's own folder of frames and labels with a dataset.json. Knows nothing of training.

`<sequence>/input/*.{jpg,jpeg,png}` are frames, `<sequence>/label/*.png` labels of the same stem, both in
natural order. Frames without a label file are fed and not scored. Sequences may differ in size: without an
explicit size all are resized to that of the first train sequence. Frame numbers that jump cut a sequence into
name/1, name/2.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from evaluators.datasets.base import CheckReport, DatasetInfo, Problem, Video
from evaluators.datasets.checking import check_layout
from evaluators.datasets.files import MAX_CLASSES
from evaluators.datasets.strips import (
    Fault,
    Item,
    Layout,
    Strip,
    consecutive_runs,
    decode_split,
    fingerprint,
    first_size,
    inside,
)
from search_spaces.door import STRICT, read_json
from search_spaces.errors import InputError

NAME = "folder"
DOCUMENT = "dataset.json"
MAX_FRAMES = 1_000_000
"""Of one sequence; listing stops there."""

SPARSE_BELOW_FPS = 4.0
"""Labels a quarter of a second apart, copied forward, score below 60 % mIoU on CamVid val: too far apart."""

_IMAGES, _LABELS = (".jpg", ".jpeg", ".png"), (".png",)
_Word = Annotated[str, Field(min_length=1, max_length=128)]


@dataclass(frozen=True, slots=True)
class FolderDocument:
    """dataset.json. `select` names train sequences to hold out for selection."""

    __pydantic_config__: ClassVar = STRICT
    classes: Annotated[tuple[_Word, ...], Field(min_length=2, max_length=MAX_CLASSES)]
    splits: Annotated[dict[_Word, Annotated[tuple[_Word, ...], Field(min_length=1)]], Field(max_length=16)]
    ignore_label: Annotated[int, Field(ge=0, le=255)] | None = 255
    fps: Annotated[float, Field(gt=0, le=10_000)] | None = None
    select: tuple[_Word, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Folder:
    """Reads what `open_folder` found; items are decoded once a process."""

    layout: Layout

    @property
    def info(self) -> DatasetInfo:
        """The facts, from dataset.json, the file names and one image header."""
        return self.layout.info

    def videos(self, split: str) -> Sequence[Video]:
        """One video a sequence without gap. Raises InputError naming the file."""
        return decode_split(self.layout, split)

    def check(self) -> CheckReport:
        """Read every file once."""
        return check_layout(self.layout)


def open_folder(root: Path, size_hw: tuple[int, int] | None) -> Folder:
    """Read dataset.json and list the files.

    Raises:
        InputError: no such folder, a bad dataset.json, or no readable train image.
    """
    if not root.is_dir():
        raise InputError(f"{NAME}: folder {root} does not exist; give a folder with {DOCUMENT}")
    spec, root = f"{NAME}:{root}", root.resolve()
    document = read_json(FolderDocument, root / DOCUMENT)
    _validate(document, root / DOCUMENT)
    strips: list[Strip] = []
    faults: list[Fault] = []
    for split, names in document.splits.items():
        for name in names:
            _list_sequence(root, split, name, document.fps, strips, faults)
    train = [strip for strip in strips if strip.split == "train"]
    size_hw = size_hw or first_size(train)
    if size_hw is None or not train:
        raise InputError(f"{root / DOCUMENT}: no image of split train can be read")
    slow = document.fps is not None and document.fps < SPARSE_BELOW_FPS
    info = DatasetInfo(
        spec=spec,
        classes=document.classes,
        palette=palette(len(document.classes)),
        size_hw=size_hw,
        splits=tuple(document.splits),
        fingerprint=fingerprint(root, strips, [root / DOCUMENT], size_hw),
        sparse=slow or max(len(strip.items) for strip in train) == 1,
        select=document.select,
        fps=document.fps,
    )
    return Folder(Layout(root, info, document.ignore_label, tuple(strips), tuple(faults)))


def palette(num_classes: int) -> tuple[tuple[int, int, int], ...]:
    """Colours that stay apart: bits of the class id spread over the top bits of channels (as PASCAL VOC)."""
    colours = []
    for label in range(num_classes):
        channels = [sum(((label >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)]
        colours.append((channels[0], channels[1], channels[2]))
    return tuple(colours)


def _validate(document: FolderDocument, path: Path) -> None:
    """What the types cannot say. Raises InputError naming the field."""
    if len(set(document.classes)) != len(document.classes):
        raise InputError(f"{path}: field classes: names must differ, given {list(document.classes)}")
    if "train" not in document.splits:
        raise InputError(f"{path}: field splits: given {sorted(document.splits)}; a split 'train' is needed")
    owner: dict[str, str] = {}
    for split, names in document.splits.items():
        for name in names:
            if name in (".", "..") or re.search(r"[/\\\0]", name):
                raise InputError(f"{path}: field splits.{split}: given {name!r}; the name of a folder is allowed")
            if owner.setdefault(name, split) != split or names.count(name) > 1:
                raise InputError(f"{path}: field splits.{split}: sequence {name!r} is already in {owner[name]}")
    for name in document.select:
        if owner.get(name) != "train":
            raise InputError(f"{path}: field select: given {name!r}; sequences of split train are allowed")
    if set(document.select) >= set(document.splits["train"]):
        raise InputError(f"{path}: field select: given every train sequence; one must be left to train on")


def _list_sequence(
    root: Path, split: str, name: str, fps: float | None, strips: list[Strip], faults: list[Fault]
) -> None:
    """Append the strips and faults of one sequence."""
    folder = root / name
    images = _by_stem(root, split, folder / "input", _IMAGES, faults)
    labels = _by_stem(root, split, folder / "label", _LABELS, faults)
    if not images:
        faults.append(_fault(split, folder / "input", "has no image; .jpg, .jpeg and .png are read"))
        return
    for stem in sorted(labels.keys() - images.keys()):
        faults.append(_fault(split, labels[stem], f"has no image of the same name in {folder / 'input'}"))
    stems = sorted(images, key=_natural)
    missing = [stem for stem in stems if stem not in labels]
    if 2 * len(missing) < len(stems):
        # Mostly labelled: a single missing mask is more likely lost than left out.
        for stem in missing:
            faults.append(_fault(split, images[stem], "has no label; it is fed and not scored", fatal=False))
    runs = _runs(stems)
    for index, run in enumerate(runs, 1):
        part = name if len(runs) == 1 else f"{name}/{index}"
        items = tuple(Item(images[stem], labels.get(stem)) for stem in stems[run])
        strips.append(Strip(split, part, items, fps))
        if index > 1:
            what = f"gap after frame {stems[run.start - 1]}: the next is {stems[run.start]}"
            faults.append(Fault(split, Problem(f"{split}/{part}", what), serious=False, fatal=False))


def _by_stem(root: Path, split: str, folder: Path, suffixes: tuple[str, ...], faults: list[Fault]) -> dict[str, Path]:
    """Files of a folder by stem; paths that leave `root` and doubles are faults."""
    found: dict[str, Path] = {}
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    if len(entries) > MAX_FRAMES:
        raise InputError(f"{folder}: {len(entries)} files given, at most {MAX_FRAMES} allowed")
    for path in entries:
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if not inside(root, path):
            faults.append(_fault(split, path, f"is a link that leaves the dataset's folder {root}"))
        elif path.stem in found:
            faults.append(_fault(split, path, f"is a second file for the frame of {found[path.stem].name}"))
        else:
            found[path.stem] = path
    return found


def _fault(split: str, path: Path, what: str, fatal: bool = True) -> Fault:
    return Fault(split, Problem(str(path), what), serious=True, fatal=fatal)


def _natural(stem: str) -> tuple[tuple[int, str], ...]:
    """Sort key in which frame 10 comes after frame 9 without leading zeros."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", stem))


def _runs(stems: Sequence[str]) -> list[slice]:
    """Runs without gap by the last number in the names; one run where the names carry no rising numbers."""
    matches = [re.fullmatch(r"(.*?)(\d{1,18})\D*", stem) for stem in stems]
    numbers = [int(match[2]) for match in matches if match is not None]
    same_prefix = len({match[1] for match in matches if match is not None}) == 1
    rising = all(before < after for before, after in pairwise(numbers))
    if len(numbers) != len(stems) or not same_prefix or not rising:
        return [slice(0, len(stems))]
    return consecutive_runs(numbers)[1]
