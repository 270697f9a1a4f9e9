"""Statistics of timed runs. Knows nothing of torch: the worker of a runtime without it imports this."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

_T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t, 97.5 % quantile, 1 to 30 degrees of freedom; beyond that 1.96 is within 4 %."""


def p10(samples_ms: Samples) -> float:
    """The 10th percentile: near the floor that the machine sets, and, unlike the minimum, no single run."""
    return float(np.percentile(samples_ms, 10))


def halfwidth(per_round_ms: Sequence[float]) -> float:
    """Half-width of the 95 % interval of the mean over rounds (Student); infinite for a single round."""
    count = len(per_round_ms)
    if count < 2:
        return float("inf")
    quantile = _T_975[count - 2] if count - 2 < len(_T_975) else 1.96
    return float(quantile * np.std(per_round_ms, ddof=1) / np.sqrt(count))


def variation(per_round_ms: Sequence[float]) -> float:
    """Coefficient of variation over rounds; 0 for a single round."""
    if len(per_round_ms) < 2:
        return 0.0
    return float(np.std(per_round_ms, ddof=1) / np.mean(per_round_ms))


def phase_p10(samples_ms: Samples, num_phases: int) -> list[float]:
    """The p10 of each phase of a schedule; run k of a block is phase k modulo `num_phases`."""
    return [p10(samples_ms[phase::num_phases]) for phase in range(num_phases)]


def round_latencies(rounds_ms: Sequence[Samples], num_phases: int) -> list[float]:
    """Each round's latency: the mean over phases of their p10."""
    return [float(np.mean(phase_p10(samples, num_phases))) for samples in rounds_ms]


def is_steady(rounds_ms: Sequence[Samples], num_phases: int, relative: float) -> bool:
    """Whether the interval of the latency over rounds is within `relative` of its mean."""
    per_round = round_latencies(rounds_ms, num_phases)
    return halfwidth(per_round) <= relative * float(np.mean(per_round))
