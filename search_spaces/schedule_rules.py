"""Which schedules a network can have. Knows nothing of modules; what it refuses is never asked for."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Literal

from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec

if TYPE_CHECKING:
    from search_spaces.network_spec import NetworkSpec

Period = Literal[1, 2, 4]
PERIODS: tuple[Period, ...] = (1, 2, 4)
PATHS: tuple[Literal[2, 4], ...] = (2, 4)


def schedule_refusal(network: "NetworkSpec") -> str | None:
    """What is wrong with the network's schedule, if anything is."""
    schedule = network.schedule
    detail = network.detail
    if schedule is not None and detail is not None and (detail.stem is not None or detail.exchange != "none"):
        return f"schedule {schedule.kind!r} given with a detail branch that has a stem or an exchange; leave it null"
    if isinstance(schedule, ClockworkSpec):
        return _periods_refusal(schedule.periods, network)
    if isinstance(schedule, DistributedSpec):
        return _paths_refusal(schedule.num_paths, network)
    return None


def _periods_refusal(periods: Sequence[int], network: "NetworkSpec") -> str | None:
    """A longer period than that of what a stage is given only pays where someone else reads what it is given.

    Else the stage before would be computed for nobody at some frames; and a network whose head reads nothing that
    every frame brings anew would be keyframes spelt otherwise.
    """
    if len(periods) != len(network.stages):
        return f"schedule.periods {tuple(periods)} given; this network has {len(network.stages)} stages"
    before = 1
    for index, period in enumerate(periods):
        if period > before and index not in network.read_indices:
            giver = "the stem" if index == 0 else f"stage {index - 1}"
            return (
                f"schedule.periods {tuple(periods)} given; stage {index} may have a longer period than {giver} only "
                f"where the decoder or the detail branch reads {giver} too"
            )
        before = period
    return None


def _paths_refusal(num_paths: int, network: "NetworkSpec") -> str | None:
    if len(network.stages) < 2:
        return "schedule 'distributed' given; it divides the last of at least 2 stages, this network has 1"
    last, in_channels = network.stages[-1], network.stages[-2].channels
    if last.channels % num_paths:
        return f"schedule.num_paths {num_paths} given; the last stage's {last.channels} channels are no multiple of it"
    refusal = replace(last, channels=last.channels // num_paths).refusal(in_channels)
    return None if refusal is None else f"schedule.num_paths {num_paths} given; a path is {refusal}"


def heads_refusal(network: "NetworkSpec", *, auxiliary: bool, boundary: bool) -> str | None:
    """What is wrong with training heads on a network with this schedule: they need a feature of every frame."""
    if boundary and isinstance(network.schedule, KeyframesSpec):
        return "training.boundary given; with keyframes there is no decoder feature of every frame, leave it false"
    if auxiliary and network.refresh_periods[max(0, len(network.stages) - 2)] > 1:
        return "training.auxiliary given; the schedule computes the stage before the last not at every frame"
    return None


def allowed_periods(network: "NetworkSpec") -> tuple[tuple[Period, ...], ...]:
    """Every clockwork that this network can have."""
    found = []
    for periods in product(PERIODS, repeat=len(network.stages)):
        rising = list(periods) == sorted(periods) and max(periods) > 1
        if rising and _periods_refusal(periods, network) is None:
            found.append(periods)
    return tuple(found)


def allowed_paths(network: "NetworkSpec") -> tuple[Literal[2, 4], ...]:
    """Into how many paths this network's last stage can be divided."""
    return tuple(num_paths for num_paths in PATHS if _paths_refusal(num_paths, network) is None)
