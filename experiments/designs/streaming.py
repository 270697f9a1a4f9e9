"""The model contract around a network of single frames. Knows nothing of the network within, of data or of devices.

Legend: B batch, T frames, N = B * T, C channels, K classes, H/W pixels.
"""

import torch
from torch import Tensor, nn

from experiments.designs.common import Design, resize
from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.exponential_average import ExponentialAverage
from search_spaces.cells.specs import ExponentialAverageSpec
from search_spaces.network import MEAN_RGB, MIN_SIDE, STD_RGB


class Streamed(nn.Module):
    """A known design as a video network: frames RGB 0..1, normalized inside; logits at the frames' size.

    `average` puts our learned exponential average on the class scores, before they are resized: there a state is
    smallest, and in eval mode it means the same for every design.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, design: Design, *, average: bool) -> None:
        super().__init__()
        self.num_classes = design.num_classes
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD_RGB).view(1, 3, 1, 1), persistent=False)
        self.design = design
        self.cell: TemporalCell | None = None
        if average:
            self.cell = ExponentialAverage(design.num_classes, ExponentialAverageSpec())

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """Zeros for frames of this size.

        Raises:
            ValueError: a side is under 32 pixels.
        """
        if min(height, width) < MIN_SIDE:
            raise ValueError(f"frame size {height}x{width} given; each side must be at least {MIN_SIDE}")
        if self.cell is None:
            return ()
        stride = self.design.stride
        return self.cell.initial_state(batch, -(-height // stride), -(-width // stride))

    def step(self, frame_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: (frame, state) -> (logits_BKHW, next state). What is exported and timed."""
        scores = self._scores(frame_BCHW)
        if self.cell is not None:
            scores, state = self.cell.step(scores, state)
        return resize(scores, frame_BCHW), state

    def forward(self, clip_BTCHW: Tensor) -> Tensor:
        """A clip from its first frame on: logits_BTKHW."""
        return self.roll(clip_BTCHW, self.initial_state(clip_BTCHW.shape[0], *clip_BTCHW.shape[-2:]))[0]

    def roll(self, clip_BTCHW: Tensor, state: State, phase: int = 0) -> tuple[Tensor, State]:
        """A clip that goes on from `state`: (logits_BTKHW, next state). Frames run as one batch, the cell in time."""
        shape = clip_BTCHW.shape[:2]
        frames_NCHW = clip_BTCHW.flatten(0, 1)
        scores = self._scores(frames_NCHW)
        if self.cell is not None:
            averaged, state = self.cell.scan(scores.view(*shape, *scores.shape[1:]), state)
            scores = averaged.flatten(0, 1)
        logits_NKHW = resize(scores, frames_NCHW)
        return logits_NKHW.view(*shape, *logits_NKHW.shape[1:]), state

    def _scores(self, frames_NCHW: Tensor) -> Tensor:
        return self.design.scores((frames_NCHW - self.mean) / self.std)
