"""A network with a schedule built, fed noise and stepped frame by frame, for the tests of schedules."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, NetworkSpec
from search_spaces.network import VideoSegmenter
from search_spaces.schedule_spec import ScheduleSpec
from tests.search_spaces import small_networks
from tests.search_spaces.network_kinds import BASE


def built(architecture: Architecture) -> VideoSegmenter:
    """In evaluation, with statistics and motions as after training."""
    model = small_networks.built(architecture)
    if model.keyframes is not None and model.keyframes.warps:
        nn.init.normal_(model.keyframes.motion[-1].weight, std=0.3)  # type: ignore[arg-type]
    return model


def clip_of(batch: int, frames: int, size_hw: tuple[int, int]) -> Tensor:
    """Noise: [B, T, 3, H, W]."""
    return torch.rand(batch, frames, 3, *size_hw, generator=torch.Generator().manual_seed(1))


def scheduled(schedule: ScheduleSpec, spec: NetworkSpec = BASE) -> Architecture:
    """`spec` with this schedule."""
    return Architecture(replace(spec, schedule=schedule))


def steps(model: VideoSegmenter, clip_BTCHW: Tensor) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
    """(logits_BTKHW, the state after every frame)."""
    state = model.initial_state(clip_BTCHW.shape[0], *clip_BTCHW.shape[-2:])
    found, states = [], []
    for t, frame in enumerate(clip_BTCHW.unbind(1)):
        logits, state = model.step(frame, state, t)
        found.append(logits)
        states.append(state)
    return torch.stack(found, 1), states
