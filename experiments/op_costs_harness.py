"""How a part of the cost table is built, streamed and counted: the frame it stands in. Knows no part.

Legend: B batch, C channels, H/W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latency_tables.random_weights import randomized
from search_spaces.cells.base import State, TemporalCell
from search_spaces.ops.dense import conv_bn
from search_spaces.trace import step_calls

CHANNELS = 64
SIZE_HW = (45, 60)
"""1/8 of 360 x 480, as in the tables this one confirms or corrects."""

FRAME_HW = (360, 480)
SEED = 0
DENSE = "convolution/dense/3x3"
"""What all others are a ratio to."""


@dataclass(frozen=True, slots=True)
class Part:
    """A row: what it is of, its name and variant, how it is made for C channels, and the row that is not its own.

    What is timed stands between a convolution that lifts the frame to C channels and the output, or on the frame
    itself (8 times as large) where `on_frame`; latency, multiply-accumulates and parameters of `base` are subtracted.
    """

    group: str
    name: str
    variant: str
    make: Callable[[], nn.Module | None]
    base: "Part | None"
    on_frame: bool = False
    writes_frame: bool = False

    @property
    def key(self) -> str:
        """Names the row; no two parts share one."""
        return "/".join(filter(None, (self.group, self.name, self.variant)))

    @property
    def large(self) -> bool:
        """Whether it reads or writes whole frames."""
        return self.on_frame or self.writes_frame

    @property
    def size_hw(self) -> tuple[int, int]:
        """Of the frames that it is timed on."""
        return FRAME_HW if self.on_frame else SIZE_HW


NOTHING = Part("base", "nothing", "", lambda: None, None)
FRAME = Part("base", "frame", "", lambda: None, None, on_frame=True)


class Centred(nn.Module):
    """A frame less its mean: what every network begins with, so that an export is never empty."""

    def forward(self, frame_BCHW: Tensor) -> Tensor:
        """Frame to frame."""
        return frame_BCHW - 0.45


class Streamed(nn.Module):
    """A part as a network of a video: frames [B,3,H,W] to features [B,C,H,W], with the part's state if it has one."""

    def __init__(self, part: nn.Module | None, *, on_frame: bool) -> None:
        super().__init__()
        self.lift = Centred() if on_frame else conv_bn(3, CHANNELS, 1)
        self.part = part

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The cell's; none for what is no cell."""
        return self.part.initial_state(batch, height, width) if isinstance(self.part, TemporalCell) else ()

    def step(self, frame_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """(frame, state) -> (feature, next state)."""
        feature = self.lift(frame_BCHW)
        if isinstance(self.part, TemporalCell):
            return self.part.step(feature, state)
        return (feature if self.part is None else self.part(feature)), state


def streamed(part: Part) -> Streamed:
    """The part with seeded weights, in eval mode."""
    return randomized(lambda: Streamed(part.make(), on_frame=part.on_frame), seed=SEED, calibration_hw=part.size_hw)


def counts(part: Part) -> dict[str, float]:
    """Millions of multiply-accumulates, thousands of parameters and of bytes of state, of the part alone."""
    own = _whole(part)
    rest = (0, 0, 0) if part.base is None else _whole(part.base)
    macs, parameters, state_bytes = (mine - others for mine, others in zip(own, rest, strict=True))
    return {"macs_m": macs / 1e6, "params_k": parameters / 1e3, "state_kb": state_bytes / 1e3}


def _whole(part: Part) -> tuple[int, int, int]:
    """Multiply-accumulates, parameters, bytes of state of all that is timed for a part."""
    with torch.device("meta"):
        model = Streamed(part.make(), on_frame=part.on_frame).eval()
        state = model.initial_state(1, *part.size_hw)
    return (
        sum(call.macs for call in step_calls(model, part.size_hw)),
        sum(parameter.numel() for parameter in model.parameters()),
        sum(tensor.numel() * tensor.element_size() for tensor in state),
    )
