"""Frames in and out: folders of pictures and video files. Knows nothing of networks or datasets.

Legend: H/W pixels, C=3 RGB; every frame is a numpy uint8 HWC array.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

from evaluators.pictures import (
    PICTURE_SUFFIXES,
    Frame,
    natural_key,
    one_line,
    read_picture,
    require_size,
)
from search_spaces.errors import InputError, MissingExtraError

VIDEO_FORMATS = {".mp4": "mp4", ".mkv": "matroska"}
"""Suffixes that can be written, and FFmpeg's names of the containers; reading leaves the choice to FFmpeg."""

_READ_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,mxf,flv,asf,ogg,ivf,gif",
}
"""Containers only: FFmpeg would also follow play lists to other files and hosts, and show text as video."""

_MAX_RATE_DENOMINATOR = 65_535
"""MPEG-4 part 2 stores the time base in 16 bits."""


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of a folder of pictures (in natural order), of one picture, or of a video file.

    Nothing is read before the first frame is asked for; frames are decoded one at a time. A video that merely
    ends early, which Matroska allows, yields the frames that it has.

    Raises:
        InputError: nothing there, no frame in it, a damaged file, frames of different sizes or too large.
        MissingExtraError: a video file, and PyAV is not installed.
    """
    first_shape: tuple[int, ...] | None = None
    for source, frame_HWC in _sources(path):
        if first_shape is None:
            first_shape = frame_HWC.shape
        elif frame_HWC.shape != first_shape:
            given, wanted = _size(frame_HWC.shape), _size(first_shape)
            raise InputError(f"{source}: frame of {given} pixels given, {wanted} (as the first frame) needed")
        yield frame_HWC
    if first_shape is None:
        raise InputError(f"{path}: no frame in it; a video file or {', '.join(PICTURE_SUFFIXES)} are read")


def frame_rate(path: Path) -> float | None:
    """Frames per second that a video file states; None for pictures, and where the file does not say.

    Raises:
        InputError, MissingExtraError: as `read_frames`.
    """
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        return None
    with _open_video(path) as (_, stream):
        rate = stream.average_rate or stream.guessed_rate
        return float(rate) if rate else None


def _sources(path: Path) -> Iterator[tuple[Path, Frame]]:
    if path.is_dir():
        pictures = [p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file()]
        for picture in sorted(pictures, key=natural_key):
            yield picture, read_picture(picture)
    elif path.suffix.lower() in PICTURE_SUFFIXES:
        yield path, read_picture(path)
    else:
        yield from ((path, frame_HWC) for frame_HWC in _read_video(path))


def _read_video(path: Path) -> Iterator[Frame]:
    with _open_video(path) as (container, stream):
        for frame in container.decode(stream):
            require_size(path, frame.height, frame.width)
            yield frame.to_ndarray(format="rgb24")


@contextmanager
def _open_video(path: Path) -> Iterator[tuple[Any, Any]]:
    """PyAV's container and its first video stream; errors of FFmpeg inside the block become InputError."""
    av = _pyav("reading video files")
    if not path.is_file():
        raise InputError(f"{path}: does not exist")
    try:
        with av.open(str(path), mode="r", options=_READ_OPTIONS, metadata_errors="replace") as container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                raise InputError(f"{path}: has no video stream that can be decoded")
            stream = container.streams.video[0]
            require_size(path, stream.height, stream.width)
            # Report damage instead of inventing the damaged part of the picture.
            stream.codec_context.options = {"err_detect": "explode"}
            yield container, stream
    except av.FFmpegError as error:
        raise InputError(f"{path}: cannot be read as a video ({one_line(error)})") from None


def _pyav(purpose: str) -> ModuleType:
    try:
        import av
    except ImportError:
        raise MissingExtraError("av", "video", purpose) from None
    module: ModuleType = av
    return module


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"


class FrameWriter:
    """Write frames to a video file (.mp4, .mkv) or, where the path has no suffix, to a folder of PNGs.

    A context manager. The video appears under its name only when the block ends well; it is H.264 where this
    FFmpeg has the encoder, else MPEG-4 part 2. Frames with an odd side lose no pixel: the last column or row
    is repeated, since the encoders halve the colour planes.

    Raises (on entering):
        InputError: another suffix, a folder that is not empty, or a place that cannot be written.
        MissingExtraError: a video file, and PyAV is not installed.
    """

    def __init__(self, path: Path, fps: float) -> None:
        if not fps > 0:
            raise InputError(f"{path}: frame rate {fps} given, more than 0 is needed")
        if path.suffix and path.suffix.lower() not in VIDEO_FORMATS:
            allowed = ", ".join(VIDEO_FORMATS)
            raise InputError(f"{path}: suffix {path.suffix} given; {allowed} or none (a folder) allowed")
        self._path = path
        self._fps = fps
        self._partial = path.with_name(f"{path.name}.partial")
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] | None = None
        self._num_written = 0

    def __enter__(self) -> Self:
        """Open the file or make the folder."""
        try:
            if not self._path.suffix:
                self._path.mkdir(parents=True, exist_ok=True)
                if any(self._path.iterdir()):
                    raise InputError(f"{self._path}: the folder is not empty; give a new one")
                return self
            self._path.parent.mkdir(parents=True, exist_ok=True)
            av = _pyav("writing video files")
            container_format = VIDEO_FORMATS[self._path.suffix.lower()]
            self._container = av.open(str(self._partial), mode="w", format=container_format)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written ({one_line(error)})") from None
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        rate = Fraction(self._fps).limit_denominator(_MAX_RATE_DENOMINATOR)
        self._stream = self._container.add_stream(codec, rate=rate)
        return self

    def write(self, frame_HWC: Frame) -> None:
        """Append one frame; all have the size of the first.

        Raises:
            ValueError: not uint8 HWC, or another size than before.
            InputError: the frame is too large, or the place is full.
        """
        if frame_HWC.dtype != np.uint8 or frame_HWC.ndim != 3 or frame_HWC.shape[2] != 3:
            raise ValueError(f"frame of {frame_HWC.dtype} {frame_HWC.shape} given, uint8 (H, W, 3) needed")
        if self._shape not in (None, frame_HWC.shape):
            raise ValueError(f"frame of shape {frame_HWC.shape} given after frames of {self._shape}")
        require_size(self._path, *frame_HWC.shape[:2])
        self._shape = frame_HWC.shape
        try:
            if self._stream is None:
                Image.fromarray(frame_HWC).save(self._path / f"{self._num_written:06d}.png")
            else:
                self._encode(frame_HWC)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written ({one_line(error)})") from None
        self._num_written += 1

    def _encode(self, frame_HWC: Frame) -> None:
        av = _pyav("writing video files")
        height, width = frame_HWC.shape[:2]
        even_HWC = np.pad(frame_HWC, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._num_written == 0:
            self._stream.height, self._stream.width = even_HWC.shape[:2]
            self._stream.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(even_HWC, format="rgb24")
        self._container.mux(self._stream.encode(picture))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the video; on an error, or without a frame, leave none behind."""
        if self._container is None:
            return
        try:
            if kind is None and self._num_written:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            if kind is None and self._num_written:
                self._partial.replace(self._path)
        except OSError as failure:
            raise InputError(f"{self._path}: cannot be written ({one_line(failure)})") from None
        finally:
            self._partial.unlink(missing_ok=True)
