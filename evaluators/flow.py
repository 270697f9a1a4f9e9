"""Optical flow for videos that come without exact motion, cached. Knows nothing of labels or networks.

DIS, medium preset (Kroeger et al., ECCV 2016), of OpenCV: no weights, deterministic on one thread. It scores;
it must never align features of a scored network, which would then agree with its own judge.

Legend: T frames, H/W pixels; a flow field is dx, dy in pixels.
"""

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray

from evaluators.datasets.base import Video
from search_spaces.errors import InputError, MissingExtraError

_METHOD = "dis-medium fb-0.01-0.5 v1"
"""Part of the cache key: change it whenever the code below would give other numbers."""

_FB_SLOPE, _FB_OFFSET_PX2 = 0.01, 0.5
"""Sundaram et al., ECCV 2010, eq. 5: seen if |b + f|^2 < 0.01 (|b|^2 + |f|^2) + 0.5."""

_DIGEST_BYTES = hashlib.sha256().digest_size
"""Every cache file ends with the SHA-256 of what comes before."""

_MIN_SIDE_PX = 16
"""Two patches of DIS (8 px); below, OpenCV refuses or reads noise."""


def with_flow(video: Video, cache_dir: Path) -> Video:
    """The video with flow_T2HW and visible_THW, from the cache or computed; unchanged if it has them already.

    The cache file is named by the content of the frames; a damaged one is computed again.

    Raises:
        MissingExtraError: OpenCV is not installed (its version is part of the key, so a hit needs it too).
        InputError: the frames are smaller than 16 pixels on a side, or the cache cannot be written.
    """
    if video.flow_T2HW is not None and video.visible_THW is not None:
        return video
    frames_THWC = np.ascontiguousarray(video.frames_TCHW.cpu().numpy().transpose(0, 2, 3, 1))
    num_frames, height, width, _ = frames_THWC.shape
    if min(height, width) < _MIN_SIDE_PX:
        raise InputError(
            f"video {video.name}: frames of {height}x{width} pixels given, optical flow needs at least "
            f"{_MIN_SIDE_PX}x{_MIN_SIDE_PX}"
        )
    path = cache_dir / f"{_content_key(frames_THWC, _opencv().__version__)}.npy"
    motion_T3HW = _read_cache(path, (num_frames, 3, height, width))
    if motion_T3HW is None:
        motion_T3HW = backward_motion(frames_THWC)
        _write_cache(path, motion_T3HW)
    motion = torch.from_numpy(motion_T3HW)
    return replace(video, flow_T2HW=motion[:, :2].contiguous(), visible_THW=motion[:, 2] > 0)


def backward_motion(frames_THWC: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Flow from every frame to the one before it, and whether that point was seen there.

    Returns:
        T3HW: dx, dy, seen (0 or 1); frame 0 is all zero.

    Raises:
        MissingExtraError: OpenCV is not installed.
    """
    cv2 = _opencv()
    num_frames, height, width, _ = frames_THWC.shape
    motion_T3HW = np.zeros((num_frames, 3, height, width), dtype=np.float16)
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    with _one_thread(cv2):
        grey = [cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY) for frame_HWC in frames_THWC]
        for now in range(1, num_frames):
            backward_HW2 = estimator.calc(grey[now], grey[now - 1], None)
            forward_HW2 = estimator.calc(grey[now - 1], grey[now], None)
            motion_T3HW[now, :2] = backward_HW2.transpose(2, 0, 1)
            motion_T3HW[now, 2] = _seen_before(cv2, backward_HW2, forward_HW2)
    return motion_T3HW


def _seen_before(
    cv2: ModuleType, backward_HW2: NDArray[np.float32], forward_HW2: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Forward-backward check: going back and forth ends near the start, and stays inside the picture."""
    height, width = backward_HW2.shape[:2]
    rows_HW, columns_HW = np.mgrid[:height, :width].astype(np.float32)
    source_x, source_y = columns_HW + backward_HW2[..., 0], rows_HW + backward_HW2[..., 1]
    inside = (source_x >= -0.5) & (source_x < width - 0.5) & (source_y >= -0.5) & (source_y < height - 0.5)
    linear, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    returned_HW2 = cv2.remap(forward_HW2, source_x, source_y, linear, borderMode=border)
    error_HW = ((backward_HW2 + returned_HW2) ** 2).sum(axis=2)
    length_HW = (backward_HW2**2).sum(axis=2) + (returned_HW2**2).sum(axis=2)
    seen: NDArray[np.bool_] = inside & (error_HW < _FB_SLOPE * length_HW + _FB_OFFSET_PX2)
    return seen


def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("opencv-python-headless", "flow", "optical flow") from None
    module: ModuleType = cv2
    return module


@contextmanager
def _one_thread(cv2: ModuleType) -> Iterator[None]:
    """DIS splits the picture by threads, and the result depends on the split."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _content_key(frames_THWC: NDArray[np.uint8], opencv_version: str) -> str:
    digest = hashlib.sha256(f"{_METHOD} opencv {opencv_version} {frames_THWC.shape}".encode())
    digest.update(frames_THWC.data)
    return digest.hexdigest()[:32]


def _read_cache(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16] | None:
    """The cached array, or None where there is none or it is damaged."""
    try:
        content = memoryview(path.read_bytes())
    except OSError:
        return None
    body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return None
    array: NDArray[np.float16] = np.load(io.BytesIO(body), allow_pickle=False)
    return array if array.shape == shape and array.dtype == np.float16 else None


def _write_cache(path: Path, array: NDArray[np.float16]) -> None:
    """Write under another name and rename, so that nobody ever reads half a file; its SHA-256 trails it."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    content.write(hashlib.sha256(content.getbuffer()).digest())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content.getbuffer())
            Path(partial).replace(path)
        finally:
            Path(partial).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"flow cache {path.parent}: cannot be written ({error.strerror})") from None
