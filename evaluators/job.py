"""What is asked of an evaluator and what comes back. Knows nothing of searchers, trials or Ray."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from search_spaces.architecture import Architecture

JobKind = Literal["cost", "measure", "train", "supernet", "prune"]
"""cost: traced MACs and parameters; measure: latency on the target; train: stand-alone training and scoring."""

EPOCHS_BEHIND = "epochs_behind"
"""Entry of a train job's payload; see Job."""

METRICS: Mapping[str, str] = {
    "miou": "mean intersection over union, 0..1, pooled over the split",
    "pixel_accuracy": "share of labelled pixels classified right",
    "dice": "mean Dice coefficient over classes",
    "precision": "mean precision over classes",
    "recall": "mean recall over classes",
    "tc": "temporal consistency: mIoU of the warped previous prediction with the current one",
    "tc_ceiling": "the ground truth's own tc on the same pixels",
    "warp_flip": "share of pixels whose label changes along the motion",
    "warp_flip_floor": "the ground truth's own warp_flip",
    "vc8c": "share of 8-frame-constant ground truth that is predicted constant and right",
    "latency_ms": "p10 of process CPU time per frame (one thread), mean over the schedule's phases",
    "latency_worst_ms": "latency of the dearest phase",
    "latency_wall_min_ms": "minimum wall time per frame",
    "latency_wall_p50_ms": "median wall time per frame",
    "latency_wall_p90_ms": "90th percentile of wall time per frame",
    "latency_wall_p99_ms": "99th percentile of wall time per frame",
    "latency_jitter": "(wall p99 - wall p50) / wall p50",
    "latency_halfwidth_ms": "half-width of the 95 % interval of latency_ms over rounds",
    "contended": "1 where the host was contended while measuring, else 0",
    "macs_m": "million multiply-accumulates per frame, of convolutions and matrix products",
    "params_k": "thousand parameters",
    "state_kb": "kilobytes of carried state",
    "frames_seen": "training frames seen",
    "train_loss": "training loss, mean of the last epoch",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work for an evaluator.

    `payload` holds JSON scalars that the kind needs; `init_from` is the identity of the job whose weights
    this one starts from, its lineage. `epochs` is the fidelity of the result. With EPOCHS_BEHIND in the payload, the
    weights come from the same architecture's own training for so many epochs, and only the rest is to be trained;
    without it, `epochs` are trained whatever they start from.
    """

    kind: JobKind
    architecture: Architecture
    payload: tuple[tuple[str, str | int | float | bool], ...] = ()
    epochs: int = 0
    seed: int = 0
    init_from: str | None = None

    def identity(self, dataset: str) -> str:
        """Name of the result: equal jobs on equal data have equal results. `dataset` names data and split.

        A measurement does not depend on how a network is trained, so its identity uses the network's key.
        """
        key = self.architecture.network_key if self.kind in ("cost", "measure") else self.architecture.key
        parts = [key, dataset, self.kind, self.epochs, self.seed, self.init_from, list(self.payload)]
        return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: metrics, or the reason of its failure; `artefact` is a path in the run folder."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    artefact: str | None = None


class Evaluator(Protocol):
    """A frozen dataclass with `__call__`: picklable, no hidden state. Raises on failure; never invents a number."""

    @property
    def dataset(self) -> str:
        """Names the data and split (or the target) that the result depends on: part of its identity."""

    def __call__(self, job: Job) -> Outcome:
        """Do the job. An exception is the job's failure, recorded with its reason."""


class BatchEvaluator(Evaluator, Protocol):
    """An evaluator that does several jobs in one go, so that they can be interleaved (latency)."""

    def many(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """One outcome a job, in order; a failed one carries its error."""
