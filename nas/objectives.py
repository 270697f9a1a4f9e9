"""Objectives, their directions and the hard constraints. Knows nothing of searchers or evaluators.

Everything is turned into losses: numbers to make small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from search_spaces.errors import InputError

Direction = Literal["max", "min"]

DIRECTIONS: Mapping[str, Direction] = {
    "miou": "max", "pixel_accuracy": "max", "dice": "max", "precision": "max", "recall": "max",
    "tc": "max", "vc8c": "max", "warp_flip": "min",
    "latency_ms": "min", "latency_worst_ms": "min", "latency_wall_min_ms": "min",
    "latency_wall_p50_ms": "min", "latency_wall_p90_ms": "min", "latency_wall_p99_ms": "min", "latency_jitter": "min",
    "macs_m": "min", "params_k": "min", "state_kb": "min", "train_loss": "min",
}  # fmt: skip
"""Metrics that can be an objective, and which way is better."""

LIMITS: Mapping[str, str] = {"tc": "tc_ceiling", "warp_flip": "warp_flip_floor"}
"""What the ground truth itself reaches: being steadier than the truth is no merit."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and which way is better."""

    name: str
    direction: Direction


def parse_objectives(names: Sequence[str]) -> tuple[Objective, ...]:
    """Objectives by metric name.

    Raises:
        InputError: none given, one is unknown, or one is given twice.
    """
    if not names:
        raise InputError(f"objectives: none given, at least one of {', '.join(DIRECTIONS)} allowed")
    for name in names:
        if name not in DIRECTIONS:
            raise InputError(f"objectives: {name!r} given; allowed: {', '.join(DIRECTIONS)}")
    if len(set(names)) < len(names):
        raise InputError(f"objectives: {', '.join(names)} given; each at most once allowed")
    return tuple(Objective(name, DIRECTIONS[name]) for name in names)


def value(objective: Objective, metrics: Mapping[str, float]) -> float:
    """The metric, counted only up to what the ground truth itself reaches.

    Raises:
        KeyError: the trial has no such metric.
    """
    found = metrics[objective.name]
    limit = metrics.get(LIMITS.get(objective.name, ""))
    if limit is None:
        return found
    return min(found, limit) if objective.direction == "max" else max(found, limit)


def losses(objectives: Sequence[Objective], metrics: Mapping[str, float]) -> tuple[float, ...]:
    """One number an objective, all to be made small. Raises KeyError as `value`."""
    return tuple(
        -value(objective, metrics) if objective.direction == "max" else value(objective, metrics)
        for objective in objectives
    )


def violated(constraints: Mapping[str, float], metrics: Mapping[str, float]) -> str | None:
    """The first upper bound that the metrics known so far break, as a sentence; None: they break none."""
    for name, bound in constraints.items():
        if name in metrics and metrics[name] > bound:
            return f"{name} {metrics[name]:.6g} is over the budget {bound:.6g}"
    return None
