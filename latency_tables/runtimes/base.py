"""What a runtime must offer to be measured. Knows nothing of any runtime, of the protocol or of torch.

Shapes: frame_BCHW float32, RGB, 0..1; logits_BKHW float32; B is 1.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A streaming network to measure at `size_hw` pixels.

    Runtimes that take a file read `onnx_path`; torch builds `architecture` (canonical JSON) with `num_classes`
    classes and weights drawn from `weights_seed`.
    """

    size_hw: tuple[int, int]
    onnx_path: str | None = None
    architecture: str | None = None
    num_classes: int | None = None
    weights_seed: int = 0

    def to_plain(self) -> dict[str, Any]:
        """JSON values, for the worker's request."""
        return {
            "size_hw": list(self.size_hw),
            "onnx_path": self.onnx_path,
            "architecture": self.architecture,
            "num_classes": self.num_classes,
            "weights_seed": self.weights_seed,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Candidate":
        """What `to_plain` wrote."""
        height, width = plain["size_hw"]
        return cls(**{**plain, "size_hw": (int(height), int(width))})


class StreamingStep(Protocol):
    """A loaded network that carries its state from frame to frame."""

    @property
    def num_phases(self) -> int:
        """Length of the refresh schedule: frame t runs phase t modulo this; 1 without a schedule."""

    @property
    def state_bytes(self) -> int:
        """Bytes of state carried from one frame to the next."""

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
