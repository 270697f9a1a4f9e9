"""How a search got better, trial by trial: best objective and hypervolume. Knows nothing of plots."""

from nas.objectives import DIRECTIONS, losses, parse_objectives
from nas.pareto import hypervolume_2d
from nas.result import Result


def best_so_far(result: Result) -> list[float | None]:
    """After each candidate, the best first objective among the complete ones; None while there is none."""
    objective = result.recipe.objectives[0]
    better = max if DIRECTIONS[objective] == "max" else min
    best: float | None = None
    found = []
    for trial in result.candidates:
        if trial.status == "complete" and objective in trial.metrics:
            value = trial.metrics[objective]
            best = value if best is None else better(best, value)
        found.append(best)
    return found


def volume_so_far(result: Result) -> list[float | None]:
    """After each candidate, the hypervolume of the complete ones; all None unless there are two objectives.

    The reference point is the worst value of each objective among all of them, so that the last figure is
    comparable with the ones before it, and with no other search.
    """
    names = result.recipe.objectives
    if len(names) != 2:
        return [None] * len(result.candidates)
    objectives = parse_objectives(names)
    points = [
        losses(objectives, trial.metrics)
        if trial.status == "complete" and all(name in trial.metrics for name in names)
        else None
        for trial in result.candidates
    ]
    known = [point for point in points if point is not None]
    if not known:
        return [None] * len(points)
    reference = (max(point[0] for point in known), max(point[1] for point in known))
    return [
        hypervolume_2d([point for point in points[:end] if point is not None], reference)
        for end in range(1, len(points) + 1)
    ]
