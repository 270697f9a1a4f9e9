"""Rank statistics with seed noise, for the pages of experiments. Knows nothing of networks or files.

Legend: A architectures (or options), S seeds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}..{self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviation of the true scores of architectures, and of one architecture's scores over seeds."""

    architectures: float
    seeds: float

    @property
    def ratio(self) -> float:
        """How much architectures differ, in units of what seeds do."""
        return self.architectures / self.seeds


def spread(scores_AS: Floats) -> Spread:
    """One-way random effects: the variance of the means holds a share of the seeds' variance, which is taken off."""
    num_seeds = scores_AS.shape[1]
    seeds = float(scores_AS.var(axis=1, ddof=1).mean())
    means = float(scores_AS.mean(axis=1).var(ddof=1))
    return Spread(max(0.0, means - seeds / num_seeds) ** 0.5, seeds**0.5)


def tau(one: Floats, other: Floats) -> float:
    """Kendall's tau b."""
    return float(kendalltau(one, other).statistic)


def cross_seed_tau(cheap_AS: Floats, full_AS: Floats) -> float:
    """Mean tau of one seed at the cheap fidelity to another seed at the full one: what a search is given."""
    pairs = list(permutations(range(full_AS.shape[1]), 2))
    return float(np.mean([tau(cheap_AS[:, i], full_AS[:, j]) for i, j in pairs]))


def bootstrap(statistic: Callable[[NDArray[np.int64]], float], count: int, *, seed: int, draws: int = 1000) -> Interval:
    """`statistic` of all indices, and its spread when `count` indices are drawn with replacement."""
    rng = np.random.default_rng(seed)
    found = [statistic(rng.integers(count, size=count)) for _ in range(draws)]
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return Interval(statistic(np.arange(count)), float(low), float(high))
