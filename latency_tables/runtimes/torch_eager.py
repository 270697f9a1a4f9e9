"""PyTorch eager on the CPU, channels last. Knows nothing of ONNX or of the protocol."""

from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latency_tables import anchor
from latency_tables.random_weights import build_random
from latency_tables.runtimes.base import Candidate, FloatArray, StreamingStep
from search_spaces.architecture import Architecture
from search_spaces.frame_phases import num_phases_of, phase_given
from search_spaces.fuse import fuse_branches
from search_spaces.training_only import training_only_parts


class TorchStep:
    """A module in eval mode with its carried state."""

    def __init__(self, model: nn.Module, size_hw: tuple[int, int]) -> None:
        training = [name or "the network" for name, module in model.named_modules() if module.training]
        if training:
            raise ValueError(f"{training[0]} is in train mode; call eval() before measuring")
        dropped = training_only_parts(model)
        if dropped:
            raise ValueError(f"{dropped[0]} is there for training alone; measure the network without it")
        self._model: Any = cast("Any", model.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        self._size_hw = size_hw
        self._state: tuple[Tensor, ...] = ()
        self._frame = 0
        self.reset()

    @property
    def num_phases(self) -> int:
        """Length of the module's schedule."""
        return num_phases_of(self._model)

    @property
    def state_bytes(self) -> int:
        """Bytes of state carried from one frame to the next."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._state)

    @property
    def states(self) -> list[FloatArray]:
        """The state the next frame reads."""
        return [tensor.numpy() for tensor in self._state]

    def reset(self) -> None:
        """State back to zero, phase back to 0."""
        self._frame = 0
        self._state = self._model.initial_state(1, *self._size_hw)

    def step(self, frame_BCHW: FloatArray) -> FloatArray:
        """One frame; the logits_BKHW share the memory of torch's output."""
        with torch.inference_mode():
            frame = torch.from_numpy(frame_BCHW).contiguous(memory_format=torch.channels_last)
            logits_BKHW, self._state = self._model.step(frame, self._state, *phase_given(self._model, self._frame))
        self._frame += 1
        return cast("FloatArray", logits_BKHW.numpy())

    def synchronize(self) -> None:
        """Nothing to wait for on a CPU."""


class AnchorModule(nn.Module):
    """The anchor network of `latency_tables.anchor`, with the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
            for inputs, outputs, kernel, stride, groups in anchor.LAYERS
        )
        for conv, (inputs, outputs, kernel, _, groups) in zip(self.convs, anchor.LAYERS, strict=True):
            assert isinstance(conv, nn.Conv2d)
            conv.weight = nn.Parameter(torch.from_numpy(anchor.weights(inputs, outputs, kernel, groups)))

    def initial_state(self, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
        """It carries none."""
        return ()

    def step(self, frame_BCHW: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One frame: logits_BKHW at the frame's size."""
        feature = frame_BCHW
        for conv in self.convs[:-1]:
            feature = F.relu(conv(feature))
        logits = F.interpolate(self.convs[-1](feature), anchor.SIZE_HW, mode="bilinear", align_corners=False)
        return logits, state


class TorchEager:
    """Modules as they are but for branches that fuse into one convolution, float32."""

    def version(self) -> str:
        """The package's version."""
        return str(torch.__version__)

    def options(self, precision: str, threads: int) -> dict[str, str]:
        """What `load` sets."""
        return {
            "precision": precision,
            "num_threads": str(threads),
            "memory_format": "channels_last",
            "mode": "inference_mode",
        }

    def load(self, candidate: Candidate, precision: str, threads: int) -> StreamingStep:
        """Build `candidate.architecture` with its seeded weights.

        Raises:
            ValueError: no architecture is given, or the precision is not f32.
            InputError: the architecture cannot be built.
        """
        if precision != "f32":
            raise ValueError(f"precision {precision!r} given, f32 allowed")
        if candidate.architecture is None or candidate.num_classes is None:
            raise ValueError("architecture or num_classes: none given; torch measures an architecture, not a file")
        torch.set_num_threads(threads)
        architecture = Architecture.from_json(candidate.architecture)
        model = build_random(architecture, candidate.num_classes, seed=candidate.weights_seed)
        return TorchStep(fuse_branches(model), candidate.size_hw)

    def load_anchor(self, path: Path | None, threads: int) -> StreamingStep:
        """The anchor as a module; `path` is not needed."""
        torch.set_num_threads(threads)
        return TorchStep(AnchorModule().eval(), anchor.SIZE_HW)


RUNTIME = TorchEager()
