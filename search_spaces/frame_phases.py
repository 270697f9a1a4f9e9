"""The phases of anything that streams, a VideoSegmenter or not. Knows nothing of schedules."""

from typing import Any, cast

from torch import nn


def num_phases_of(model: nn.Module) -> int:
    """Length of the model's schedule in frames; a model that says nothing of phases has one."""
    return int(getattr(model, "num_phases", 1))


def phase_given(model: nn.Module, phase: int) -> tuple[int, ...]:
    """What `model.step` is given after frame and state: nothing where there is one phase, so that it need not know."""
    num_phases = num_phases_of(model)
    return (phase % num_phases,) if num_phases > 1 else ()


def distinct_phases(model: nn.Module) -> tuple[int, ...]:
    """For every phase the first one that computes the same: phases of a kind share one exported graph."""
    num_phases = num_phases_of(model)
    kinds = [cast("Any", model).phase_kind(phase) if num_phases > 1 else () for phase in range(num_phases)]
    return tuple(kinds.index(kind) for kind in kinds)
