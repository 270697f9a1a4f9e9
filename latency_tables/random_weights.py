"""Seeded random weights that behave like trained ones. Knows nothing of runtimes, files or the protocol."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture
from search_spaces.frame_phases import num_phases_of, phase_given
from search_spaces.network import VideoSegmenter, build

CALIBRATION_HW = (320, 320)
"""Large, so that at stride 32 of a halved frame the map still meets the taps of a dilated kernel. On a smaller map
only its centre tap counts; channels whose centre weight is near zero look dead, and on larger frames their batch
norms amplify them until logits reach 1e5."""

_CALIBRATION_FRAMES = 2
_GAMMA_RANGE = (0.75, 1.25)
_BETA_STD = 0.1

Module = TypeVar("Module", bound=nn.Module)


def build_random(architecture: Architecture, num_classes: int, *, seed: int) -> VideoSegmenter:
    """The network in eval mode, the same weights for the same seed, whatever torch's random state.

    Raises:
        InputError: the architecture cannot be built.
    """
    return randomized(lambda: build(architecture, num_classes), seed=seed)


def randomized(make: Callable[[], Module], *, seed: int, calibration_hw: tuple[int, int] = CALIBRATION_HW) -> Module:
    """What `make` builds, `enliven`ed; the same weights for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return enliven(make(), calibration_hw)


@torch.no_grad()
def enliven(model: Module, calibration_hw: tuple[int, int] = CALIBRATION_HW) -> Module:
    """Batch norms as after training, drawn from torch's current random state; `model` itself, in eval mode.

    Fresh batch norms normalize nothing, so that the signal of a deep network dies out (and with it what a
    comparison of two runtimes can see, and, below 1e-38, the speed of a CPU). Here their statistics are
    taken from random frames and their affine parameters are drawn; of a network with a schedule from one cycle of
    its phases, after as many frames as it takes until nothing it keeps is zero any more.
    `calibration_hw` is the size of those frames. `model` has the `step` and `initial_state` of a VideoSegmenter.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.uniform_(*_GAMMA_RANGE)
        norm.bias.normal_(0.0, _BETA_STD)
        norm.momentum = None  # cumulative average: one pass gives the statistics themselves
    frames_BCHW: Tensor = torch.rand(_CALIBRATION_FRAMES, 3, *calibration_hw)
    model.train()
    streaming = cast("Any", model)
    state = streaming.initial_state(_CALIBRATION_FRAMES, *calibration_hw)
    num_warmup = getattr(model, "warmup_frames", 0)
    for number in range(num_warmup + num_phases_of(model)):
        if number == num_warmup:
            for norm in norms:
                norm.reset_running_stats()
        _, state = streaming.step(frames_BCHW, state, *phase_given(model, number))
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()
