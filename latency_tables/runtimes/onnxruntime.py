"""ONNX Runtime on the CPU. Knows nothing of torch, of architectures or of the protocol.

Inputs and outputs are bound to numpy buffers that live as long as the session: logits are written where the
user reads them and the new state where the next frame reads it (two sets, swapped), so that a frame allocates
nothing. A feed dictionary, the simpler way, was timed beside it and costs the same (16.2 ms both, 0.3 M
parameters at 360 x 480), so what is measured here holds for users of either.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

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


class OnnxStep:
    """A session for every phase of the schedule, and the state that they hand on to each other.

    Phases may share a session.
    """

    def __init__(self, sessions: Sequence[Any]) -> None:
        require_alike([_shapes(session) for session in sessions])
        inputs, outputs = _shapes(sessions[0])
        states = state_names(inputs, outputs)
        for name in states:
            if inputs[name] != outputs[successor(name)]:
                raise ValueError(f"{name} is {inputs[name]} but {successor(name)} is {outputs[successor(name)]}")
        self.frame_shape_BCHW = inputs[FRAME]
        self.num_phases = len(sessions)
        self._sessions = sessions
        self._logits = np.zeros(outputs[LOGITS], np.float32)
        self._states = [[np.zeros(inputs[name], np.float32) for name in states] for _ in range(2)]
        self._bindings = [[self._bind(session, states, source) for source in range(2)] for session in sessions]
        self._source = 0
        self._phase = 0

    def _bind(self, session: Any, states: list[str], source: int) -> Any:
        """A binding that reads the states of set `source` and writes the other set."""
        binding = session.io_binding()
        _bind_output(binding, LOGITS, self._logits)
        for index, name in enumerate(states):
            _bind_input(binding, name, self._states[source][index])
            _bind_output(binding, successor(name), self._states[1 - source][index])
        return binding

    @property
    def state_bytes(self) -> int:
        """Bytes of state carried from one frame to the next."""
        return sum(state.nbytes for state in self._states[0])

    @property
    def states(self) -> list[FloatArray]:
        """The state the next frame reads."""
        return self._states[self._source]

    def reset(self) -> None:
        """State back to zero, phase back to 0."""
        self._phase = 0
        for state in self._states[self._source]:
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
        frame = np.ascontiguousarray(frame_BCHW)
        binding = self._bindings[self._phase][self._source]
        _bind_input(binding, FRAME, frame)
        self._sessions[self._phase].run_with_iobinding(binding)
        self._source = 1 - self._source
        self._phase = (self._phase + 1) % self.num_phases
        return self._logits

    def synchronize(self) -> None:
        """Nothing to wait for on a CPU."""


class OnnxRuntime:
    """Sessions with one inter-op thread, no spinning and every graph optimization."""

    def version(self) -> str:
        """The package's version."""
        return str(ort.__version__)

    def options(self, precision: str, threads: int) -> dict[str, str]:
        """What `session_options` sets."""
        return {
            "provider": "CPUExecutionProvider",
            "precision": precision,
            "intra_op_num_threads": str(threads),
            "inter_op_num_threads": "1",
            "allow_spinning": "0",
            "graph_optimization_level": "all",
            "transfer": "io_binding",
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
        sessions = {path: open_session(Path(path), threads) for path in dict.fromkeys(candidate.onnx_paths)}
        step = OnnxStep([sessions[path] for path in candidate.onnx_paths])
        if step.frame_shape_BCHW[2:] != candidate.size_hw:
            raise ValueError(f"size {candidate.size_hw} asked, the file takes {step.frame_shape_BCHW[2:]}")
        return step

    def load_anchor(self, path: Path | None, threads: int) -> StreamingStep:
        """The anchor network's file."""
        if path is None:
            raise ValueError("the anchor network's file is missing")
        return OnnxStep([open_session(path, threads)])


def open_session(path: Path, threads: int, options: Any = None) -> Any:
    """An inference session on the CPU; external data is read from nowhere but the file itself.

    `options` are those of `session_options(threads)`, with whatever the caller added.
    """
    # From bytes: a file cannot then refer to other files beside it.
    return ort.InferenceSession(
        path.read_bytes(), options or session_options(threads), providers=["CPUExecutionProvider"]
    )


def session_options(threads: int) -> Any:
    """The settings of every session that is timed."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # A spinning pool starves whatever else runs, and itself when the host is shared (onnxruntime #11841).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


Shapes = dict[str, tuple[int, ...]]


def _shapes(session: Any) -> tuple[Shapes, Shapes]:
    """Of inputs and outputs, by name."""
    inputs = {node.name: _static_shape(node) for node in session.get_inputs()}
    return inputs, {node.name: _static_shape(node) for node in session.get_outputs()}


def _static_shape(node: Any) -> tuple[int, ...]:
    if node.type != "tensor(float)" or not all(isinstance(side, int) and side > 0 for side in node.shape):
        raise ValueError(f"{node.name} is {node.type} {node.shape}; float32 of a fixed shape is needed")
    shape = tuple(int(side) for side in node.shape)
    if math.prod(shape) > 2**31:
        raise ValueError(f"{node.name} is {shape}: too large")
    return shape


def _bind_input(binding: Any, name: str, array: FloatArray) -> None:
    binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)


def _bind_output(binding: Any, name: str, array: FloatArray) -> None:
    binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)


RUNTIME = OnnxRuntime()
