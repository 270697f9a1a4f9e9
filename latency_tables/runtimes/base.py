"""What a runtime must offer to be measured. Knows nothing of any runtime, of the protocol or of torch.

Shapes: frame_BCHW float32, RGB, 0..1; logits_BKHW float32; B is 1.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A streaming network to measure at `size_hw` pixels.

    Runtimes that take files read `onnx_paths`, one a phase of the schedule (a file may serve several); torch builds
    `architecture` (canonical JSON) with `num_classes` classes and weights drawn from `weights_seed`.
    """

    size_hw: tuple[int, int]
    onnx_paths: tuple[str, ...] = ()
    architecture: str | None = None
    num_classes: int | None = None
    weights_seed: int = 0

    def to_plain(self) -> dict[str, Any]:
        """JSON values, for the worker's request."""
        return {
            "size_hw": list(self.size_hw),
            "onnx_paths": list(self.onnx_paths),
            "architecture": self.architecture,
            "num_classes": self.num_classes,
            "weights_seed": self.weights_seed,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Candidate":
        """What `to_plain` wrote."""
        height, width = plain["size_hw"]
        paths = tuple(plain["onnx_paths"])
        return cls(**{**plain, "size_hw": (int(height), int(width)), "onnx_paths": paths})


FRAME, LOGITS, STATE, NEXT = "frame", "logits", "state_", "next_state_"
"""Names in an exported file: states are numbered, and every next state has the number of its state."""


def state_names(inputs: Collection[str], outputs: Collection[str]) -> list[str]:
    """The states of an exported step, in order.

    Raises:
        ValueError: these are not the inputs and outputs of a streaming step.
    """
    states = sorted((n for n in inputs if n.startswith(STATE)), key=lambda n: int(n[len(STATE) :]))
    if set(inputs) != {FRAME, *states} or set(outputs) != {LOGITS, *map(successor, states)}:
        raise ValueError(
            f"inputs {sorted(inputs)} and outputs {sorted(outputs)} given; a streaming step has "
            f"{FRAME}, {STATE}0..n and {LOGITS}, {NEXT}0..n"
        )
    return states


def successor(state: str) -> str:
    """The output that is the next value of a state."""
    return f"{NEXT}{state[len(STATE) :]}"


def require_alike(phases: Sequence[object]) -> None:
    """All phases of a schedule take and give the same shapes. Raises ValueError naming the first that does not."""
    for number, shapes in enumerate(phases):
        if shapes != phases[0]:
            raise ValueError(f"phase {number} takes and gives {shapes}, phase 0 {phases[0]}; one network's are alike")


class StreamingStep(Protocol):
    """A loaded network that carries its state from frame to frame."""

    @property
    def num_phases(self) -> int:
        """Length of the refresh schedule: frame t runs phase t modulo this; 1 without a schedule."""

    @property
    def state_bytes(self) -> int:
        """Bytes of state carried from one frame to the next."""

    @property
    def states(self) -> list[FloatArray]:
        """The state the next frame reads, in order; may be overwritten by the next step."""

    def reset(self) -> None:
        """State back to zero, phase back to 0."""

    def step(self, frame_BCHW: FloatArray) -> FloatArray:
        """One frame. The logits_BKHW returned may be overwritten by the next step."""

    def synchronize(self) -> None:
        """Return when the device has finished; nothing to do on a CPU."""


class Runtime(Protocol):
    """One way of running a network. A module of this package offers one as `RUNTIME`."""

    def version(self) -> str:
        """The runtime's version: part of what is measured."""

    def options(self, precision: str, threads: int) -> dict[str, str]:
        """Every setting that shapes the result, for the record."""

    def load(self, candidate: Candidate, precision: str, threads: int) -> StreamingStep:
        """Load a candidate. Raises on failure; the message is the candidate's reason."""

    def load_anchor(self, path: Path | None, threads: int) -> StreamingStep:
        """The fixed anchor network: from `path` where the runtime takes a file."""
