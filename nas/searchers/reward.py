"""One number from several objectives, for searchers that need one. Knows nothing of searchers.

Accuracy is the mean of the objectives to be made large; costs are those to be made small, each with a target.

soft, hard: MnasNet, Tan et al. 2019, arXiv:1807.11626, equation 2: accuracy * prod (cost / target) ** w, with
w = -0.07 on both sides (soft), or 0 up to the target and -1 above it (hard).
absolute: TuNAS, Bender et al. 2020, arXiv:2008.06120, equation 3: accuracy + beta * sum |cost / target - 1|,
beta < 0. It draws the search to the target from both sides, where soft trades accuracy against cost.
Differs: both papers have one cost.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from nas.objectives import Objective, value

RewardName = Literal["soft", "hard", "absolute"]

SOFT_EXPONENT = -0.07
HARD_EXPONENT = -1.0


def split(objectives: Sequence[Objective], metrics: Mapping[str, float]) -> tuple[float, tuple[float, ...]]:
    """(accuracy, costs) of a complete trial. With no objective to be made large, accuracy is 1."""
    high = [value(objective, metrics) for objective in objectives if objective.direction == "max"]
    low = tuple(value(objective, metrics) for objective in objectives if objective.direction == "min")
    return (sum(high) / len(high) if high else 1.0), low


def reward(name: RewardName, accuracy: float, costs: Sequence[float], targets: Sequence[float], beta: float) -> float:
    """The reward; `targets` has one positive number a cost. `beta` is for absolute alone.

    With a cost or target of 0 (a floor that is reached), the ratio counts as 1.
    """
    ratios = [
        cost / target if cost > 0.0 and target > 0.0 else 1.0 for cost, target in zip(costs, targets, strict=True)
    ]
    if name == "absolute":
        return accuracy + beta * sum(abs(ratio - 1.0) for ratio in ratios)
    result = accuracy
    for ratio in ratios:
        if name == "soft":
            result *= ratio**SOFT_EXPONENT
        elif ratio > 1.0:
            result *= ratio**HARD_EXPONENT
    return result
