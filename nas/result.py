"""What a search found, as values: recipe, trials, front. Knows nothing of files, engines or how it ran."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.objectives import losses, parse_objectives
from nas.pareto import front
from nas.recipe import Recipe
from nas.trial import Proposal, Trial
from search_spaces.architecture import Architecture


@dataclass(frozen=True)
class Result:
    """A search, finished or not. `trials` in the order asked; `front` is the Pareto front of the complete ones."""

    recipe: Recipe
    trials: tuple[Trial, ...]
    front: tuple[Trial, ...]
    folder: Path | None = None
    stopped: str = ""
    """Why the search ended, in words; empty for one that was only read."""
    interrupted: bool = False

    @property
    def candidates(self) -> tuple[Trial, ...]:
        """The trials that are candidates, a searcher's own work left out."""
        return tuple(trial for trial in self.trials if isinstance(trial.proposal, Proposal))

    def counts(self) -> dict[str, int]:
        """How many candidates are complete, infeasible, failed."""
        statuses = [trial.status for trial in self.candidates]
        return {status: statuses.count(status) for status in ("complete", "infeasible", "failed")}


def architecture_of(trial: Trial) -> Architecture:
    """The architecture of a trial, whatever it was."""
    return trial.proposal.architecture


def front_facts(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """front.json: a list of {trial, key, architecture, metrics}."""
    return [
        {
            "trial": trial.number,
            "key": architecture_of(trial).key,
            "architecture": json.loads(architecture_of(trial).to_json()),
            "metrics": dict(trial.metrics),
        }
        for trial in trials
    ]


def may_stand_on_front(trial: Trial, objectives: Sequence[str]) -> bool:
    """A complete candidate that has every objective; a searcher's own work never."""
    return (
        isinstance(trial.proposal, Proposal)
        and trial.status == "complete"
        and all(name in trial.metrics for name in objectives)
    )


def front_of(trials: Sequence[Trial], objectives: Sequence[str]) -> tuple[Trial, ...]:
    """The complete candidates that no other dominates, best first objective first; equal ones are all kept."""
    parsed = parse_objectives(objectives)
    found = [(losses(parsed, trial.metrics), trial) for trial in trials if may_stand_on_front(trial, objectives)]
    kept = [found[index] for index in front([point for point, _ in found])]
    return tuple(trial for _, trial in sorted(kept, key=lambda pair: (pair[0], pair[1].number)))
