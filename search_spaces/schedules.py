"""Schedules by kind: where each comes from and what a typical one costs. Knows nothing of devices or of training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from search_spaces.architecture import Architecture
from search_spaces.presets import preset
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec, ScheduleSpec
from search_spaces.trace import num_parameters, phase_macs, state_bytes

REFERENCE_PRESET, REFERENCE_HW, REFERENCE_CLASSES = "plain_small", (360, 480), 12
"""What the cost of a schedule is stated on: it has none by itself."""


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """A schedule that fits the reference network, what runs when, its origin and the survey's section on it."""

    typical: ScheduleSpec
    summary: str
    source: str
    survey: str


SCHEDULES: Mapping[str, ScheduleEntry] = {
    "keyframes": ScheduleEntry(
        KeyframesSpec(4, "warp"),
        "the whole network every few frames, its class scores copied or warped in between",
        "Zhu et al. 2017, DFF, arXiv:1611.07715",
        "5.3.2",
    ),
    "learned_keyframes": ScheduleEntry(
        KeyframesSpec(4, "warp", "learned"),
        "keyframes called by a predicted change; the cost is of the interval that the threshold is fitted to, "
        "the mean depends on the video",
        "Li et al. 2018, arXiv:1804.00389; Mahasseni et al. 2017",
        "5.3.2",
    ),
    "clockwork": ScheduleEntry(
        ClockworkSpec((1, 2, 2, 2)),
        "deep stages every 2 or 4 frames, staggered, their last output in between",
        "Shelhamer et al. 2016, arXiv:1608.03609",
        "5.3.3",
    ),
    "distributed": ScheduleEntry(
        DistributedSpec(2),
        "the last stage as thin paths that run in turn, their last groups joined",
        "Hu et al. 2020, TDNet, arXiv:2004.01800",
        "5.3.5",
    ),
}


@dataclass(frozen=True, slots=True)
class ScheduleCost:
    """Of the reference network with a schedule: `macs` is the mean over its phases, `worst_macs` the dearest one."""

    parameters: int
    macs: int
    worst_macs: int
    state_bytes: int


def schedule_cost(schedule: ScheduleSpec | None) -> ScheduleCost:
    """The cost of the reference network with this schedule, counted on the meta device.

    Raises:
        ValueError: the reference network cannot have it.
    """
    network = replace(preset(REFERENCE_PRESET).architecture.video, schedule=schedule)
    given = Architecture(network), REFERENCE_HW, REFERENCE_CLASSES
    macs = phase_macs(*given)
    return ScheduleCost(
        num_parameters(given[0], REFERENCE_CLASSES), round(sum(macs) / len(macs)), max(macs), state_bytes(*given)
    )
