"""The values a comparison is made of: steps, runs, arms. Knows nothing of files, recipes or records."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """A trial or a searcher's own work as it was told: what it cost and what it reached.

    `spent` is on the axis of equal budgets (training frames and measurements), `evaluations` is 1, or 0 where
    every stage was answered from the record. A complete candidate has `losses`, one an objective, all to be
    made small, and its `cost` (latency), which the hidden budgets bound.
    """

    spent: float
    evaluations: int
    losses: tuple[float, ...] | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One search with one seed, its steps in the order told. `name` is what messages call it."""

    name: str
    seed: int
    steps: tuple[Step, ...]
    state: str = "finished"


@dataclass(frozen=True, slots=True)
class Arm:
    """Runs that differ in their seed alone, by seed. `control`: they search at random."""

    name: str
    runs: tuple[Run, ...]
    control: bool = False
