"""What a searcher says and hears. Knows nothing of evaluators, engines or files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from search_spaces.architecture import Architecture
from search_spaces.decisions import Genotype

TrialStatus = Literal["complete", "infeasible", "failed"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate: becomes a trial. `parent` is the trial whose weights training starts from, if any."""

    genotype: Genotype
    architecture: Architecture
    parent: int | None = None
    epochs: int | None = None
    """Fidelity; None means the recipe's. With the same architecture's trial of fewer epochs as `parent`, training goes
    on from there, and only the epochs that are missing are trained."""


@dataclass(frozen=True, slots=True)
class Work:
    """A job that a searcher needs done (a slice of supernet training, a pruning step); no candidate of its own."""

    kind: Literal["supernet", "prune"]
    architecture: Architecture
    payload: tuple[tuple[str, str | int | float | bool], ...] = ()
    epochs: int = 1
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A proposal or work and what became of it. `number` counts asks: 0, 1, 2, ..."""

    number: int
    proposal: Proposal | Work
    status: TrialStatus
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    artefact: str | None = None


class Searcher(Protocol):
    """Decides; never trains, never measures. The same seed and the same tells give the same asks."""

    def ask(self) -> Proposal | Work | None:
        """The next candidate or work; None: nothing to propose until the next tell."""

    def tell(self, trial: Trial) -> None:
        """Hear of a finished trial: complete, infeasible (a hard constraint is broken) or failed."""
