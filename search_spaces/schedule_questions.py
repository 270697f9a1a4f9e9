"""What `video_cells` asks of the schedule. Knows nothing of modules or of what a schedule costs."""

from typing import Literal

from search_spaces.decisions import Choose
from search_spaces.network_spec import NetworkSpec
from search_spaces.schedule_rules import allowed_paths, allowed_periods
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec, ScheduleSpec

KEY_PERIODS = (2, 3, 4, 5, 8)
PROPAGATIONS: tuple[Literal["copy", "warp"], ...] = ("copy", "warp")
TRIGGERS: tuple[Literal["fixed", "learned"], ...] = ("fixed", "learned")
JOINS: tuple[Literal["concat", "attention"], ...] = ("concat", "attention")


def ask_schedule(choose: Choose, network: NetworkSpec) -> ScheduleSpec | None:
    """The questions of the schedule of a network that has none yet; what it cannot have is not offered."""
    periods, paths = allowed_periods(network), allowed_paths(network)
    offered = {"none": True, "keyframes": True, "clockwork": periods, "distributed": paths}
    kind = choose("network.schedule", tuple(name for name, possible in offered.items() if possible))
    if kind == "keyframes":
        period, propagate = choose("schedule.period", KEY_PERIODS), choose("schedule.propagate", PROPAGATIONS)
        return KeyframesSpec(period, propagate, choose("schedule.trigger", TRIGGERS))
    if kind == "clockwork":
        return ClockworkSpec(choose("schedule.periods", periods) if len(periods) > 1 else periods[0])
    if kind == "distributed":
        num_paths = choose("schedule.num_paths", paths) if len(paths) > 1 else paths[0]
        return DistributedSpec(num_paths, choose("schedule.join", JOINS))
    return None
