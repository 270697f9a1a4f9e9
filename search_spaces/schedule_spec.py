"""The recorded form of a schedule: what of a network runs at which frame. Knows nothing of modules or networks.

A schedule repeats itself after `num_phases` frames: frame t of a sequence runs phase t modulo that. Every phase is a
graph of its own when the network is exported, and who runs it switches between them.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.door import STRICT


@dataclass(frozen=True, slots=True)
class ClockworkSpec:
    """Every stage has a period: it is computed anew every so many frames and gives its last output in between.

    Source: Shelhamer et al. 2016, arXiv:1608.03609 (fixed clock rates, section 4.2; the survey's 5.3.3).
    """

    __pydantic_config__: ClassVar = STRICT
    periods: Annotated[tuple[Literal[1, 2, 4], ...], Field(min_length=2, max_length=8)]
    kind: Literal["clockwork"] = "clockwork"

    def __post_init__(self) -> None:
        if list(self.periods) != sorted(self.periods):
            raise ValueError(f"schedule.periods {self.periods} given; a deeper stage has no shorter period")
        if set(self.periods) == {1}:
            raise ValueError("schedule.periods: all 1 given; that is a network without a schedule, leave schedule null")

    @property
    def num_phases(self) -> int:
        """Periods are powers of two, so the longest is a multiple of all."""
        return max(self.periods)

    @property
    def offsets(self) -> tuple[int, ...]:
        """The frame within its period at which each stage is computed.

        Staggered: the stages that have a clock take consecutive frames, in order, so that as few as possible share
        one whatever they cost, and each sees the new output of the one before it one frame later.
        """
        found = []
        clocked = 0
        for period in self.periods:
            found.append(clocked % period)
            clocked += period > 1
        return tuple(found)

    def phase_kind(self, phase: int) -> tuple[bool, ...]:
        """Which stages run."""
        return tuple(phase % period == offset for period, offset in zip(self.periods, self.offsets, strict=True))

    @property
    def warmup_frames(self) -> int:
        """Frames after a reset before every stage has seen a frame through the ones before it."""
        ready = 0
        for period, offset in zip(self.periods, self.offsets, strict=True):
            ready += (offset - ready) % period
        return ready


@dataclass(frozen=True, slots=True)
class KeyframesSpec:
    """The whole network runs every `period` frames; in between the class scores of the key frame are brought along.

    copy: as they are (the survey's 5.3.1). warp: along a motion between both frames that is learned with the network
    (DFF, Zhu et al. 2017, arXiv:1611.07715; the survey's 5.3.2).

    trigger learned: a predicted change calls the key frames (Li et al. 2018, arXiv:1804.00389), `period` is the
    interval that its threshold is fitted to, and the longest is `max_interval`. Whoever gives phases himself, as
    training and timing do, still counts them by `period`: that is the cost where the interval is as fitted.
    """

    __pydantic_config__: ClassVar = STRICT
    period: Annotated[int, Field(ge=2, le=8)]
    propagate: Literal["copy", "warp"] = "copy"
    trigger: Literal["fixed", "learned"] = "fixed"
    kind: Literal["keyframes"] = "keyframes"

    @property
    def num_phases(self) -> int:
        """One period."""
        return self.period

    def phase_kind(self, phase: int) -> int:
        """0 for a key frame, 1 for all others."""
        return min(phase, 1)

    @property
    def warmup_frames(self) -> int:
        """None: the first frame is a key frame."""
        return 0

    @property
    def max_interval(self) -> int:
        """Frames from a key frame to the next, at most; twice the typical where it is learned."""
        return self.period if self.trigger == "fixed" else 2 * self.period


@dataclass(frozen=True, slots=True)
class DistributedSpec:
    """The last stage is `num_paths` thin ones; a frame runs one of them and joins what the others last gave.

    Source: TDNet, Hu et al. 2020, arXiv:2004.01800 (the survey's 5.3.5).
    """

    __pydantic_config__: ClassVar = STRICT
    num_paths: Literal[2, 4]
    join: Literal["concat", "attention"] = "concat"
    kind: Literal["distributed"] = "distributed"

    @property
    def num_phases(self) -> int:
        """One frame a path."""
        return self.num_paths

    def phase_kind(self, phase: int) -> int:
        """The path that runs."""
        return phase

    @property
    def warmup_frames(self) -> int:
        """Frames before every path has run."""
        return self.num_paths - 1


ScheduleSpec = Annotated[ClockworkSpec | KeyframesSpec | DistributedSpec, Field(discriminator="kind")]
