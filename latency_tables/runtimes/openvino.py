"""OpenVINO on the CPU, from an exported file. Knows nothing of torch, of architectures or of the protocol.

float32 is asked for by name: on processors with bfloat16 units OpenVINO computes in that precision by default.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import properties

from latency_tables.runtimes.base import (
    FRAME,
    LOGITS,
    Candidate,
    FloatArray,
    StreamingStep,
    require_alike,
    state_names,
    successor,
)
from latency_tables.runtimes.signal_stack import signal_stack_kept


class OpenVinoStep:
    """An infer request for every phase of the schedule, and the state that they hand on to each other.

    Phases may share a compiled network. OpenVINO drops inputs that a phase does not read, such as the state that it
    replaces; all together read all.
    """

    def __init__(self, compiled_phases: Sequence[Any]) -> None:
        given = [_shapes(compiled.inputs) for compiled in compiled_phases]
        require_alike([_shapes(compiled.outputs) for compiled in compiled_phases])
        inputs = {name: shape for shapes in given for name, shape in shapes.items()}
        require_alike([{**inputs, **shapes} for shapes in given])
        states = state_names(inputs, _shapes(compiled_phases[0].outputs))
        self._given = [frozenset(shapes) for shapes in given]
        self.frame_shape_BCHW = inputs[FRAME]
        self.num_phases = len(compiled_phases)
        self._requests = [compiled.create_infer_request() for compiled in compiled_phases]
        self._names = tuple((name, successor(name)) for name in states)
        self._state = {name: np.zeros(inputs[name], np.float32) for name in states}
        self._phase = 0

    @property
    def state_bytes(self) -> int:
        """Bytes of state carried from one frame to the next."""
        return sum(state.nbytes for state in self._state.values())

    @property
    def states(self) -> list[FloatArray]:
        """The state the next frame reads."""
        return list(self._state.values())

    def reset(self) -> None:
        """State back to zero, phase back to 0."""
        self._phase = 0
        for state in self._state.values():
            state.fill(0.0)

    def step(self, frame_BCHW: FloatArray) -> FloatArray:
        """One frame; the logits_BKHW are overwritten by the next.

        Raises:
            ValueError: the frame's shape or type is not what the graph takes.
        """
        if frame_BCHW.shape != self.frame_shape_BCHW or frame_BCHW.dtype != np.float32:
            raise ValueError(
                f"frame {frame_BCHW.dtype} {frame_BCHW.shape} given, float32 {self.frame_shape_BCHW} needed"
            )
        request, names = self._requests[self._phase], self._given[self._phase]
        self._phase = (self._phase + 1) % self.num_phases
        inputs = {FRAME: np.ascontiguousarray(frame_BCHW), **self._state}
        request.infer({name: array for name, array in inputs.items() if name in names}, share_inputs=True)
        for name, following in self._names:
            # Copied: the request's own buffer is written again while the next frame reads its state.
            self._state[name][...] = request.get_tensor(following).data
        logits_BKHW: FloatArray = request.get_tensor(LOGITS).data
        return logits_BKHW

    def synchronize(self) -> None:
        """Nothing to wait for on a CPU."""


class OpenVinoRuntime:
    """One stream of `threads` threads, tuned for latency, in float32."""

    def version(self) -> str:
        """The package's version."""
        return str(ov.__version__)

    def options(self, precision: str, threads: int) -> dict[str, str]:
        """What `compiled` sets."""
        return {
            "device": "CPU",
            "precision": precision,
            "inference_num_threads": str(threads),
            "num_streams": "1",
            "performance_hint": "latency",
        }

    def load(self, candidate: Candidate, precision: str, threads: int) -> StreamingStep:
        """Load `candidate.onnx_paths`.

        Raises:
            ValueError: no file is given, one is not a streaming step, or it has another size.
        """
        if precision != "f32":
            raise ValueError(f"precision {precision!r} given, f32 allowed")
        if not candidate.onnx_paths:
            raise ValueError("onnx_paths: none given, an exported network is needed")
        networks = {path: compiled(Path(path), threads) for path in dict.fromkeys(candidate.onnx_paths)}
        step = OpenVinoStep([networks[path] for path in candidate.onnx_paths])
        if step.frame_shape_BCHW[2:] != candidate.size_hw:
            raise ValueError(f"size {candidate.size_hw} asked, the file takes {step.frame_shape_BCHW[2:]}")
        return step

    def load_anchor(self, path: Path | None, threads: int) -> StreamingStep:
        """The anchor network's file."""
        if path is None:
            raise ValueError("the anchor network's file is missing")
        return OpenVinoStep([compiled(path, threads)])


def compiled(path: Path, threads: int) -> Any:
    """The file compiled for the CPU."""
    core = ov.Core()
    options = {
        properties.hint.inference_precision: ov.Type.f32,
        properties.hint.performance_mode: properties.hint.PerformanceMode.LATENCY,
        properties.inference_num_threads: threads,
        properties.num_streams: 1,
    }
    with signal_stack_kept():
        # From bytes: a file cannot then refer to other files beside it.
        return core.compile_model(core.read_model(path.read_bytes()), "CPU", options)


def _shapes(ports: Any) -> dict[str, tuple[int, ...]]:
    """Of inputs or outputs, by name."""
    return {port.any_name: _static_shape(port) for port in ports}


def _static_shape(port: Any) -> tuple[int, ...]:
    if port.element_type != ov.Type.f32 or port.partial_shape.is_dynamic:
        raise ValueError(
            f"{port.any_name} is {port.element_type} {port.partial_shape}; float32 of a fixed shape needed"
        )
    return tuple(int(side) for side in port.shape)


RUNTIME = OpenVinoRuntime()
