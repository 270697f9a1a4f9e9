"""A rough latency from a trace, to choose what is worth a measurement. Ranks nothing and is shown nowhere.

Least squares over the counts that a trace has, per group of operations, fitted to networks that were measured.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import Architecture
from search_spaces.trace import op_calls

Floats = NDArray[np.float64]
GROUPS = ("conv", "grid_sampler", "resize", "bmm")
"""Groups by a part of the operation's name; what fits none is one group more."""

RIDGE = 1e-3


def features(architecture: Architecture, size_hw: tuple[int, int], num_classes: int) -> Floats:
    """Calls, and millions of multiply-accumulates and of values written by group; the mean over phases."""
    num_phases = architecture.video.num_phases
    found = np.zeros(2 + 2 * (len(GROUPS) + 1))
    found[0] = 1.0
    for phase in range(num_phases):
        for call in op_calls(architecture, size_hw, num_classes, phase):
            group = next((i for i, name in enumerate(GROUPS) if name in call.kind), len(GROUPS))
            written = call.out_channels * call.out_hw[0] * call.out_hw[1]
            found[1] += 1e-2 / num_phases
            found[2 + 2 * group] += call.macs / 1e6 / num_phases
            found[3 + 2 * group] += written / 1e6 / num_phases
    return found


def fit(known: Sequence[tuple[Floats, float]]) -> Floats:
    """Weights that give the latencies, each counted relative to its size."""
    features_NF = np.stack([row / latency_ms for row, latency_ms in known])
    gram = features_NF.T @ features_NF
    weights: Floats = np.linalg.solve(gram + RIDGE * np.eye(len(gram)), features_NF.sum(0))
    return weights
