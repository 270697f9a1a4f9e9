"""A trained network over a video, one frame at a time. Knows nothing of files other than the model folder's.

Legend: H/W pixels of the frame, h/w pixels the network works at, C=3 RGB, K classes, B=1.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.model_folder import read_model
from search_spaces.change_gate import gate_of, phase_at
from search_spaces.errors import InputError

MIN_SIDE, MAX_SIDE = 32, 8192

UInt8Array = npt.NDArray[np.uint8]


class Streamer:
    """Segments a video frame by frame: `step` carries the state and the phase, `reset` starts a new video.

    Frames are brought to the size the network was trained at (or `size_hw`), and the class scores back to the
    frame's own size. A frame of another size than the one before starts a new video.
    """

    def __init__(self, model_dir: str | Path, size_hw: tuple[int, int] | None = None) -> None:
        """Read a model folder. Raises InputError where it is damaged or none."""
        model = read_model(Path(model_dir))
        self.config = model.config
        self.size_hw = size_hw or model.config.size
        self._network = model.network
        self._gate = gate_of(model.network)
        self._state: tuple[Tensor, ...] | None = None
        self._frame_hw: tuple[int, int] | None = None
        self._num_seen = 0

    def reset(self) -> None:
        """Forget the past: call it at the start of another video, at a cut and at a gap."""
        self._state = None
        self._num_seen = 0

    def step(self, frame_HWC: UInt8Array) -> UInt8Array:
        """One RGB frame, uint8 H x W x 3 -> labels, uint8 H x W.

        Raises:
            InputError: another type or shape, or a side outside 32..8192 pixels.
        """
        frame_hw = _checked_size(frame_HWC)
        if frame_hw != self._frame_hw:
            self.reset()
            self._frame_hw = frame_hw
        with torch.inference_mode():
            frame_BCHW = torch.from_numpy(np.array(frame_HWC)).permute(2, 0, 1)[None].float() / 255
            if frame_hw != self.size_hw:
                frame_BCHW = F.interpolate(
                    frame_BCHW, self.size_hw, mode="bilinear", align_corners=False, antialias=True
                )
            if self._state is None:
                self._state = self._network.initial_state(1, *self.size_hw)
            phase = phase_at(self._gate, self._num_seen, self._state)
            logits_BKhw, self._state = self._network.step(frame_BCHW, self._state, phase)
            self._num_seen += 1
            logits_BKhw = self._network.upsample(logits_BKhw, *self.size_hw)
            if frame_hw != self.size_hw:
                logits_BKhw = F.interpolate(logits_BKhw, frame_hw, mode="bilinear", align_corners=False)
            labels: UInt8Array = logits_BKhw[0].argmax(0).to(torch.uint8).numpy()
        return labels


def _checked_size(frame_HWC: UInt8Array) -> tuple[int, int]:
    if frame_HWC.dtype != np.uint8 or frame_HWC.ndim != 3 or frame_HWC.shape[2] != 3:
        raise InputError(f"frame: {frame_HWC.dtype} {frame_HWC.shape} given; uint8 (height, width, 3) needed")
    height, width = int(frame_HWC.shape[0]), int(frame_HWC.shape[1])
    if min(height, width) < MIN_SIDE or max(height, width) > MAX_SIDE:
        raise InputError(f"frame: {height}x{width} given; sides of {MIN_SIDE}..{MAX_SIDE} pixels allowed")
    return height, width
