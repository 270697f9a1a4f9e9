"""The reference point of a hypervolume as a user writes it: NAME=VALUE,... Knows nothing of runs or folders."""

import math
from collections.abc import Sequence

from nas.objectives import Objective
from search_spaces.errors import InputError


def parse_reference(text: str, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Losses, in the order of `objectives`, of `miou=0.1,latency_ms=50` in any order.

    Raises:
        InputError: an objective is missing, unknown or given twice, or its value is no finite number.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    values = {name.strip(): _number(value) for name, _, value in pairs}
    names = [objective.name for objective in objectives]
    if len(pairs) != len(names) or set(values) != set(names) or not all(map(math.isfinite, values.values())):
        wanted = ",".join(f"{name}=NUMBER" for name in names)
        raise InputError(f"--reference: {text!r} given; allowed: a value for each objective, as in {wanted}")
    return tuple(_signed(objective, values[objective.name]) for objective in objectives)


def reference_values(reference: Sequence[float], objectives: Sequence[Objective]) -> dict[str, float]:
    """The losses of a reference point as values of the objectives."""
    return {objective.name: _signed(objective, loss) for objective, loss in zip(objectives, reference, strict=True)}


def reference_text(reference: Sequence[float], objectives: Sequence[Objective]) -> str:
    """As `parse_reference` reads it, to the last digit."""
    return ",".join(f"{name}={value!r}" for name, value in reference_values(reference, objectives).items())


def _signed(objective: Objective, value: float) -> float:
    """From a value to a loss and back; 0 stays without a sign."""
    return -value + 0.0 if objective.direction == "max" else value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
