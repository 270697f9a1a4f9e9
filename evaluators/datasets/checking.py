"""Reads every item of a dataset once and lists what is wrong with it. Knows nothing of layouts."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evaluators.datasets.base import IGNORE, CheckReport, DatasetInfo, Problem, VideoDataset
from evaluators.datasets.files import Bytes, ItemError, label_table
from evaluators.datasets.strips import Item, Layout, Strip, differs, read_item


@dataclass(slots=True)
class _Tally:
    """What is counted while reading."""

    frames: int = 0
    labelled: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    sequences: list[tuple[str, str, int, float | None]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def add_labels(self, labels: Bytes, where: str) -> None:
        """Count one labelled frame."""
        self.labelled += 1
        counts = np.bincount(labels.reshape(-1), minlength=256)
        for label in np.flatnonzero(counts):
            self.pixels[int(label)] += int(counts[label])
        if counts[IGNORE] == labels.size:
            self.notes.append(Problem(where, "every pixel is ignored; the frame is fed but scores nothing"))

    def report(self, info: DatasetInfo) -> CheckReport:
        """The tally as a report; shares are of labelled pixels, ignored ones left out."""
        ignored = self.pixels[IGNORE]
        total = sum(self.pixels.values())
        scored = max(total - ignored, 1)
        for label, name in enumerate(info.classes):
            if total and not self.pixels[label]:
                self.notes.append(Problem(info.spec, f"class {label} ({name}) has no pixel in any split"))
        return CheckReport(
            spec=info.spec,
            num_frames=self.frames,
            num_labelled=self.labelled,
            sizes=tuple(sorted(self.sizes.items())),
            sequences=tuple(self.sequences),
            class_shares=tuple((name, self.pixels[label] / scored) for label, name in enumerate(info.classes)),
            ignore_share=ignored / max(total, 1),
            problems=tuple(self.problems),
            notes=tuple(self.notes),
        )


def check_layout(layout: Layout) -> CheckReport:
    """Every file of every strip, at its own size; faults of the layout first."""
    tally = _Tally()
    for fault in layout.faults:
        (tally.problems if fault.serious else tally.notes).append(fault.problem)
    table = label_table(len(layout.info.classes), layout.ignore_label)
    for strip in layout.strips:
        _check_strip(strip, table, tally)
    return tally.report(layout.info)


def _check_strip(strip: Strip, table_256: Bytes, tally: _Tally) -> None:
    tally.sequences.append((strip.split, strip.name, len(strip.items), strip.fps))
    first: tuple[tuple[int, int], Path] | None = None
    labelled = tally.labelled
    for item in strip.items:
        tally.frames += 1
        size = _check_item(item, table_256, tally)
        if size is None:
            continue
        tally.sizes[size] += 1
        first = first or (size, item.image)
        if size != first[0]:
            tally.problems.append(Problem(str(item.image), differs(size, *first)))
    if tally.labelled == labelled:
        tally.problems.append(Problem(f"{strip.split}/{strip.name}", "no frame has a usable label"))


def _check_item(item: Item, table_256: Bytes, tally: _Tally) -> tuple[int, int] | None:
    """Size of a readable frame; a frame whose label is unusable counts as unlabelled."""
    try:
        image_HWC, labels_HW = read_item(item, table_256, None)
    except ItemError as error:
        tally.problems.append(Problem(str(error.path), error.what))
        if item.label is None or error.path != item.label:
            return None
        image_HWC, labels_HW = read_item(Item(item.image, None), table_256, None)
    if labels_HW is not None:
        tally.add_labels(labels_HW, str(item.label))
    return image_HWC.shape[0], image_HWC.shape[1]


def check_videos(dataset: VideoDataset) -> CheckReport:
    """The same report for a dataset that renders its videos instead of reading files."""
    tally = _Tally()
    for split in dataset.info.splits:
        for video in dataset.videos(split):
            count, height, width = video.labels_THW.shape
            tally.frames += count
            tally.sizes[(height, width)] += count
            tally.sequences.append((split, video.name, count, video.fps))
            for t in np.flatnonzero(video.labelled_T.numpy()):
                tally.add_labels(video.labels_THW[int(t)].numpy(), f"{split}/{video.name} frame {t}")
    return tally.report(dataset.info)
