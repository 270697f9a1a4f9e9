"""The evaluator of the toy space: a formula instead of a training. Knows nothing of data or networks."""

from dataclasses import dataclass

from evaluators.job import Job, Outcome
from search_spaces.toy import toy_metrics


@dataclass(frozen=True, slots=True)
class ToyEvaluator:
    """Deterministic metrics of a toy point, for tests and demonstrations of searchers."""

    @property
    def dataset(self) -> str:
        """The formula's version."""
        return "toy landscape 1"

    def __call__(self, job: Job) -> Outcome:
        """`miou` and `latency_ms` of the point."""
        return Outcome(toy_metrics(job.architecture))
