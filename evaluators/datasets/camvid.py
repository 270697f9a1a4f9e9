"""CamVid in the SegNet layout: lists of image and label pairs. Knows nothing of training.

`train.txt`, `val.txt` (and `test.txt` where present) hold an image and a label path a line; labels 0..10 are
classes, 11 is void. The number in a file name is the frame of a 30 fps video (Brostow et al., 2008, 2009):
drives are cut into sequences where it jumps. Train stills lie 1 s apart, too far for video: `sparse` is set.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluators.datasets.base import CheckReport, DatasetInfo, Problem, Video
from evaluators.datasets.checking import check_layout
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
from search_spaces.errors import InputError

NAME = "camvid"
SOURCE_FPS = 30.0
VOID = 11
CLASSES = (
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "SignSymbol",
    "Fence",
    "Car",
    "Pedestrian",
    "Bicyclist",
)
PALETTE = (
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (60, 40, 222),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)
SELECT = ("0006R0",)
"""A drive of its own in train; the drive of val is in train too, so val says little about a new street."""

MAX_LIST_BYTES = 16 * 2**20
_NAME = re.compile(r"(?P<drive>.+)_f?(?P<frame>\d{1,12})")
_FOREIGN_ROOT = "/SegNet/CamVid/"  # how the original lists begin


@dataclass(frozen=True, slots=True)
class CamVid:
    """Reads what `open_camvid` found; items are decoded once a process."""

    layout: Layout

    @property
    def info(self) -> DatasetInfo:
        """The facts, from the lists and one image header."""
        return self.layout.info

    def videos(self, split: str) -> Sequence[Video]:
        """One video a sequence without gap, e.g. train's 0016E5/1, 0016E5/2, ... Raises InputError."""
        return decode_split(self.layout, split)

    def check(self) -> CheckReport:
        """Read every file once."""
        return check_layout(self.layout)


def open_camvid(root: Path, size_hw: tuple[int, int] | None) -> CamVid:
    """Read the lists. `size_hw` None keeps the size of the first train image.

    Raises:
        InputError: no such folder, no train list, a bad line, or no readable train image.
    """
    if not root.is_dir():
        raise InputError(f"{NAME}: folder {root} does not exist; give a CamVid folder with train.txt")
    spec, root = f"{NAME}:{root}", root.resolve()
    lists = [root / f"{split}.txt" for split in ("train", "val", "test") if (root / f"{split}.txt").is_file()]
    if not lists or lists[0].stem != "train":
        raise InputError(f"{root}: train.txt is missing; one 'image label' pair of relative paths a line is needed")
    strips: list[Strip] = []
    faults: list[Fault] = []
    for document in lists:
        _read_list(root, document, strips, faults)
    _refuse_shared(strips)
    size_hw = size_hw or first_size(strip for strip in strips if strip.split == "train")
    if size_hw is None:
        raise InputError(f"{lists[0]}: no image of the list can be read")
    info = DatasetInfo(
        spec=spec,
        classes=CLASSES,
        palette=PALETTE,
        size_hw=size_hw,
        splits=tuple(document.stem for document in lists),
        fingerprint=fingerprint(root, strips, lists, size_hw),
        sparse=True,
        select=SELECT if any(_drive_of(strip) in SELECT for strip in strips if strip.split == "train") else (),
    )
    return CamVid(Layout(root, info, VOID, tuple(strips), tuple(faults)))


def _refuse_shared(strips: Sequence[Strip]) -> None:
    """Raises InputError for an image that two splits list: what is scored must not be trained on."""
    owner: dict[Path, str] = {}
    for strip in strips:
        for item in strip.items:
            if owner.setdefault(item.image, strip.split) != strip.split:
                raise InputError(
                    f"{item.image}: is listed in {owner[item.image]}.txt and {strip.split}.txt; one split is allowed"
                )


def _drive_of(strip: Strip) -> str:
    return strip.name.partition("/")[0]


def _read_list(root: Path, document: Path, strips: list[Strip], faults: list[Fault]) -> None:
    """Append the strips and faults of one list."""
    if document.stat().st_size > MAX_LIST_BYTES:
        raise InputError(f"{document}: {document.stat().st_size} bytes given, at most {MAX_LIST_BYTES} allowed")
    drives: dict[str, dict[int, Item]] = {}
    for number, line in enumerate(document.read_text(errors="replace").splitlines(), 1):
        if line.strip():
            drive, frame, item = _read_line(root, f"{document}:{number}", line)
            if frame in drives.setdefault(drive, {}):
                raise InputError(f"{document}:{number}: frame {frame} of {drive} is listed twice")
            drives[drive][frame] = item
    if not drives:
        raise InputError(f"{document}: the list is empty; one 'image label' pair of relative paths a line is needed")
    split = document.stem
    for drive, items in drives.items():
        strips.extend(_cut(split, drive, items, faults))
    faults.extend(_unpaired(root, split, [item for items in drives.values() for item in items.values()]))


def _read_line(root: Path, where: str, line: str) -> tuple[str, int, Item]:
    parts = line.split()
    if len(parts) != 2:
        raise InputError(f"{where}: {len(parts)} fields given, an image and a label path are needed")
    parts = [part.removeprefix(_FOREIGN_ROOT) for part in parts]
    image, label = root / parts[0], root / parts[1]
    for path in (image, label):
        if any(Path(part).is_absolute() for part in parts) or not inside(root, path):
            raise InputError(f"{where}: path {path} leaves the dataset's folder {root}")
    match = _NAME.fullmatch(image.stem)
    if match is None:
        raise InputError(f"{where}: image name {image.name} given, DRIVE_FRAME (as 0006R0_f00930.jpg) is needed")
    return match["drive"], int(match["frame"]), Item(image, label)


def _cut(split: str, drive: str, items: dict[int, Item], faults: list[Fault]) -> list[Strip]:
    """Strips without gap; a drive with gaps becomes drive/1, drive/2, ..."""
    frames = sorted(items)
    step, runs = consecutive_runs(frames)
    strips = []
    for index, run in enumerate(runs, 1):
        numbers = frames[run]
        name = drive if len(runs) == 1 else f"{drive}/{index}"
        fps = SOURCE_FPS / step if len(numbers) > 1 else None
        strips.append(Strip(split, name, tuple(items[number] for number in numbers), fps))
        if index > 1:
            what = f"gap after frame {frames[run.start - 1]}: the next is {numbers[0]}, the usual step {step}"
            faults.append(Fault(split, Problem(f"{split}/{name}", what), serious=False, fatal=False))
    return strips


def _unpaired(root: Path, split: str, items: Sequence[Item]) -> list[Fault]:
    """Listed files that are missing, and files of the split's folders that no list line names."""
    faults = []
    for item in items:
        assert item.label is not None
        if not item.image.is_file():
            faults.append(_fatal(split, item.label, f"has no image: {item.image.name} is missing"))
        if not item.label.is_file():
            faults.append(_fatal(split, item.image, f"has no label: {item.label} is missing"))
    listed = {item.image for item in items} | {item.label for item in items if item.label is not None}
    for path in sorted(entry for folder in {path.parent for path in listed} for entry in folder.glob("*")):
        if path not in listed and path.is_file() and path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            what = f"is not in {split}.txt and is not read"
            faults.append(Fault(split, Problem(str(path), what), serious=True, fatal=False))
    return faults


def _fatal(split: str, path: Path, what: str) -> Fault:
    return Fault(split, Problem(str(path), what), serious=True, fatal=True)
