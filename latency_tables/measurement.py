"""What a measurement is and how it is condensed from timed runs. Knows nothing of processes or of runtimes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from latency_tables.stats import Samples, halfwidth, phase_p10, round_latencies, variation
from search_spaces.door import STRICT

MAX_WALL_CPU_RATIO = 1.1
MAX_ANCHOR_CV = 0.05
"""Beyond either the host was contended: DESIGN section 6."""


@dataclass(frozen=True, slots=True)
class TimingProtocol:
    """How long and how often a candidate is timed.

    In every round each candidate and the anchor run one block, in random order, of at least `block_runs` runs
    a phase and `block_s` seconds. A candidate is done after `min_rounds` rounds and `min_runs` runs a phase, as
    soon as the 95 % interval of its latency over rounds is within `steady` of it or `max_s` seconds were timed.
    A worker that is silent for `silence_s` seconds is stopped.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    warmup_runs: int
    warmup_s: float
    block_runs: int
    block_s: float
    min_rounds: int
    min_runs: int
    max_s: float
    steady: float
    silence_s: float

    def __post_init__(self) -> None:
        if self.min_rounds < 2 or self.min_runs < 1 or self.warmup_runs < 1 or self.block_runs < 1:
            raise ValueError("a protocol has at least 2 rounds and 1 run; an interval needs two rounds")


SEARCH = TimingProtocol("search", 3, 0.1, 10, 0.08, 5, 50, 1.0, 0.02, 120.0)
"""About a second a candidate: 50 runs give p10 and CPU time within 1.6 % on a loaded host (latency.md 2c)."""

FINAL = TimingProtocol("final", 3, 0.3, 50, 0.3, 10, 500, 10.0, 0.01, 600.0)
"""For finalists: a 99th percentile needs 500 runs at least."""


@dataclass(frozen=True, slots=True)
class PhaseTimes:
    """One phase of the refresh schedule: milliseconds a frame."""

    __pydantic_config__: ClassVar = STRICT
    n: int
    wall_min_ms: float
    wall_p10_ms: float
    wall_p50_ms: float
    wall_p90_ms: float
    wall_p99_ms: float
    cpu_min_ms: float
    cpu_p10_ms: float
    cpu_p50_ms: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a candidate costs on a target; wall and CPU figures are over all runs, phases pooled.

    `latency_ms` is the mean over phases and `latency_worst_ms` the dearest phase of: p10 of process CPU time
    with one thread, p10 of wall time with more. `deadline_miss_rate` is the share of frames that took longer
    than a frame lasts, where a frame rate was given.
    """

    __pydantic_config__: ClassVar = STRICT
    n: int
    latency_ms: float
    latency_worst_ms: float
    halfwidth_ms: float
    wall_min_ms: float
    wall_p10_ms: float
    wall_p50_ms: float
    wall_p90_ms: float
    wall_p99_ms: float
    cpu_min_ms: float
    cpu_p10_ms: float
    cpu_p50_ms: float
    jitter: float
    wall_cpu_ratio: float
    anchor_ms: float
    anchor_cv: float
    contended: bool
    load_average: float
    state_bytes: int
    phases: tuple[PhaseTimes, ...]
    deadline_miss_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a candidate has no measurement. Never a number."""

    __pydantic_config__: ClassVar = STRICT
    reason: str


@dataclass(frozen=True, slots=True)
class Rounds:
    """The timed runs of one network, a pair of arrays in milliseconds a round; phases alternate within each."""

    wall_ms: Sequence[Samples]
    cpu_ms: Sequence[Samples]
    num_phases: int
    state_bytes: int

    def judged(self, threads: int) -> Sequence[Samples]:
        """CPU time with one thread, wall time with more: with one, waiting for a core is not the network's."""
        return self.cpu_ms if threads == 1 else self.wall_ms


def summarize(
    candidate: Rounds, anchor: Rounds, *, threads: int, load_average: float, fps: float | None = None
) -> Measurement:
    """Condense the runs of a candidate, timed beside the anchor. Every round has at least one run a phase."""
    phases = tuple(
        _phase_times(
            np.concatenate([samples[phase :: candidate.num_phases] for samples in candidate.wall_ms]),
            np.concatenate([samples[phase :: candidate.num_phases] for samples in candidate.cpu_ms]),
        )
        for phase in range(candidate.num_phases)
    )
    wall, cpu = np.concatenate(candidate.wall_ms), np.concatenate(candidate.cpu_ms)
    pooled = _phase_times(wall, cpu)
    # A block holds whole cycles of the schedule, so the pooled array alternates as its blocks do.
    latencies = phase_p10(np.concatenate(candidate.judged(threads)), candidate.num_phases)
    anchor_rounds = round_latencies(anchor.judged(threads), 1)
    ratio = pooled.wall_p50_ms / pooled.cpu_p50_ms if pooled.cpu_p50_ms > 0 else float("inf")
    anchor_cv = variation(anchor_rounds)
    return Measurement(
        n=pooled.n,
        latency_ms=float(np.mean(latencies)),
        latency_worst_ms=max(latencies),
        halfwidth_ms=halfwidth(round_latencies(candidate.judged(threads), candidate.num_phases)),
        wall_min_ms=pooled.wall_min_ms,
        wall_p10_ms=pooled.wall_p10_ms,
        wall_p50_ms=pooled.wall_p50_ms,
        wall_p90_ms=pooled.wall_p90_ms,
        wall_p99_ms=pooled.wall_p99_ms,
        cpu_min_ms=pooled.cpu_min_ms,
        cpu_p10_ms=pooled.cpu_p10_ms,
        cpu_p50_ms=pooled.cpu_p50_ms,
        jitter=(pooled.wall_p99_ms - pooled.wall_p50_ms) / pooled.wall_p50_ms,
        wall_cpu_ratio=ratio,
        anchor_ms=float(np.mean(anchor_rounds)),
        anchor_cv=anchor_cv,
        contended=(threads == 1 and ratio > MAX_WALL_CPU_RATIO) or anchor_cv > MAX_ANCHOR_CV,
        load_average=load_average,
        state_bytes=candidate.state_bytes,
        phases=phases,
        deadline_miss_rate=None if fps is None else float(np.mean(wall > 1e3 / fps)),
    )


def _phase_times(wall_ms: Samples, cpu_ms: Samples) -> PhaseTimes:
    wall = [float(value) for value in np.percentile(wall_ms, (0, 10, 50, 90, 99))]
    cpu = [float(value) for value in np.percentile(cpu_ms, (0, 10, 50))]
    return PhaseTimes(len(wall_ms), *wall, *cpu)
