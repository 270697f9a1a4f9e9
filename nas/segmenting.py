"""A model over a video file or a folder of frames, into an overlay. Knows nothing of the command line."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.streamer import Streamer, UInt8Array
from search_spaces.errors import InputError

ALPHA = 0.5
DEFAULT_FPS = 25.0
"""Of an overlay video where the input does not say its rate."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a frame cost, in wall milliseconds, from pixels to labels; reading and writing are not counted."""

    num_frames: int
    size_hw: tuple[int, int]
    first_ms: float
    p50_ms: float
    p90_ms: float
    max_ms: float


def segment(model_dir: Path, source: Path, out: Path) -> Cost:
    """Segment `source` frame by frame and write the overlay to `out` (.mp4 or .mkv, or a folder of pictures).

    Raises:
        InputError: a bad model folder, no frames, a damaged one, or `out` cannot be written.
    """
    from evaluators.pictures import overlay
    from evaluators.video_io import FrameWriter, frame_rate, read_frames

    if out.exists() and out.resolve() == source.resolve():
        raise InputError(f"{out}: is the video to segment, which the overlay would replace; give another --out")
    streamer = Streamer(model_dir)
    frames: Iterator[UInt8Array] = read_frames(source)
    first = next(frames)  # before the output is opened: nothing is created for an input that cannot be read
    fps = frame_rate(source) or streamer.config.dataset.fps or DEFAULT_FPS
    times_ms: list[float] = []
    with FrameWriter(out, fps) as writer:
        for frame_HWC in itertools.chain([first], frames):
            started_s = time.perf_counter()
            labels_HW = streamer.step(frame_HWC)
            times_ms.append(1e3 * (time.perf_counter() - started_s))
            writer.write(overlay(frame_HWC, labels_HW, streamer.config.palette, ALPHA))
    p50_ms, p90_ms = (float(value) for value in np.percentile(times_ms, (50, 90)))
    height, width = first.shape[:2]
    return Cost(len(times_ms), (height, width), times_ms[0], p50_ms, p90_ms, max(times_ms))
