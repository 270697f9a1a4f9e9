"""A searcher that proposes what it is given and an evaluator that keeps its jobs: shared by tests of the loop."""

from dataclasses import dataclass, field

from evaluators.job import Job, Outcome
from nas.trial import Proposal, Trial, Work
from search_spaces.decisions import replay
from search_spaces.toy import ToySpace

SPACE = ToySpace()
POINT = {"depth": 0, "node0.op": 0}


@dataclass
class Listed:
    """Proposes what it is given, remembers what it is told."""

    left: list[Proposal | Work | None]
    told: list[Trial] = field(default_factory=list)

    def ask(self) -> Proposal | Work | None:
        return self.left.pop(0) if self.left else None

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)


def proposal(parent: int | None = None, epochs: int | None = None, **changes: int) -> Proposal:
    genotype = {**POINT, **{name.replace("_", "."): index for name, index in changes.items()}}
    return Proposal(genotype, replay(SPACE, genotype), parent, epochs)


@dataclass(frozen=True)
class Recorder:
    """An evaluator that keeps the jobs it was given."""

    jobs: list[Job] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=lambda: {"miou": 0.5})
    dataset: str = "recorder"

    def __call__(self, job: Job) -> Outcome:
        self.jobs.append(job)
        return Outcome(self.metrics, artefact=f"checkpoints/{len(self.jobs)}")
