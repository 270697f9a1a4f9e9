"""Evaluators of cost: latency measured on the target, and what a trace counts. Know nothing of data or accuracy.

Networks have seeded random weights: what a dense network costs does not depend on what it has learnt.
"""

import importlib.metadata
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluators.job import Job, Outcome
from latency_tables.device import Target, cpu_model
from latency_tables.measurement import SEARCH, Failure, Measurement, TimingProtocol
from latency_tables.onnx_export import ExportError, export_phases, step_metadata
from latency_tables.parity import verify_step
from latency_tables.protocol import measure
from latency_tables.random_weights import build_random
from latency_tables.runtimes.base import Candidate
from latency_tables.runtimes.registry import load_runtime, runtime_info
from search_spaces.errors import InputError, MissingExtraError
from search_spaces.trace import num_macs, num_parameters, require_affordable, state_bytes


class MeasureError(RuntimeError):
    """A network could not be measured; the message is the reason."""


@dataclass(frozen=True, slots=True)
class LatencyEvaluator:
    """Exports, verifies and times networks of `num_classes` classes at `size_hw` pixels on `target`.

    `folder` is where exports live while they are timed. `seed` orders the rounds; a job's own seed draws the
    weights.
    """

    target: Target
    size_hw: tuple[int, int]
    num_classes: int
    folder: Path
    seed: int
    protocol: TimingProtocol = SEARCH
    fps: float | None = None

    @property
    def dataset(self) -> str:
        """Target, runtime version, processor, size, classes, protocol: change one and it is another measurement.

        `thiscpu` is wherever the process runs: a search resumed on another machine must not mix their figures.
        """
        package = runtime_info(self.target.runtime).package
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = "absent"
        what = f"{self.size_hw[0]}x{self.size_hw[1]} {self.num_classes} classes, {self.protocol.name}"
        return f"{self.target} {version} on {cpu_model()}, {what}"

    def __call__(self, job: Job) -> Outcome:
        """Measure one network.

        Raises:
            MeasureError: it cannot be exported, verified or timed.
            InputError: the target is not this machine, or its runtime is not installed.
        """
        (outcome,) = self.many([job])
        if outcome.error is not None:
            raise MeasureError(outcome.error)
        return outcome

    def many(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """Measure several networks interleaved; one outcome a job, a failed one carries its error.

        Raises:
            InputError: the target is not this machine, its runtime is not installed, or a job is no `measure`.
        """
        for job in jobs:
            if job.kind != "measure":
                raise InputError(f"job kind {job.kind!r} given, 'measure' allowed")
        load_runtime(self.target.runtime)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="exports-", dir=self.folder) as scratch:
            prepared = [self._prepare(job, Path(scratch, f"{index}.onnx")) for index, job in enumerate(jobs)]
            ready = [candidate for candidate in prepared if isinstance(candidate, Candidate)]
            measured = iter(measure(ready, self.target, self.protocol, seed=self.seed, fps=self.fps))
            return [
                _outcome(next(measured)) if isinstance(candidate, Candidate) else Outcome(error=candidate)
                for candidate in prepared
            ]

    def _prepare(self, job: Job, path: Path) -> Candidate | str:
        """What the worker needs of a network, or why there is none."""
        needs_onnx = runtime_info(self.target.runtime).needs_onnx
        try:
            # A network that cannot be built or traced is a failed candidate; a missing package fails them all.
            text = job.architecture.to_json()
            model = build_random(job.architecture, self.num_classes, seed=job.seed)
            paths: tuple[Path, ...] = ()
            if needs_onnx:
                facts = step_metadata(job.architecture, self.num_classes, self.size_hw)
                paths = export_phases(model, self.size_hw, path, facts)
                parity = verify_step(model, paths, self.size_hw, seed=job.seed, runtime=self.target.runtime)
                if not parity.ok:
                    return (
                        f"the exported network differs from torch by {parity.max_abs:.2g} "
                        f"({parity.relative:.2g} of its logits' range)"
                    )
        except MissingExtraError:
            raise
        except (ExportError, RuntimeError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return Candidate(self.size_hw, tuple(map(str, paths)), text, self.num_classes, job.seed)


def _outcome(result: Measurement | Failure) -> Outcome:
    return Outcome(error=result.reason) if isinstance(result, Failure) else Outcome(latency_metrics(result))


def latency_metrics(measurement: Measurement) -> Mapping[str, float]:
    """A measurement under the names of `evaluators.job.METRICS`."""
    return {
        "latency_ms": measurement.latency_ms,
        "latency_worst_ms": measurement.latency_worst_ms,
        "latency_halfwidth_ms": measurement.halfwidth_ms,
        "latency_wall_min_ms": measurement.wall_min_ms,
        "latency_wall_p50_ms": measurement.wall_p50_ms,
        "latency_wall_p90_ms": measurement.wall_p90_ms,
        "latency_wall_p99_ms": measurement.wall_p99_ms,
        "latency_jitter": measurement.jitter,
        "contended": float(measurement.contended),
        "state_kb": measurement.state_bytes / 1e3,
    }


@dataclass(frozen=True, slots=True)
class CostEvaluator:
    """Counts, from the trace of one step at `size_hw` pixels: no target, no noise, milliseconds to compute."""

    size_hw: tuple[int, int]
    num_classes: int

    @property
    def dataset(self) -> str:
        """Size and classes."""
        return f"{self.size_hw[0]}x{self.size_hw[1]} {self.num_classes} classes"

    def __call__(self, job: Job) -> Outcome:
        """`macs_m` (mean over the phases of a schedule), `params_k` and `state_kb` of a network.

        Raises:
            InputError: the job is no `cost`, or the architecture cannot be built or would exhaust memory.
        """
        if job.kind != "cost":
            raise InputError(f"job kind {job.kind!r} given, 'cost' allowed")
        require_affordable(job.architecture, self.size_hw, self.num_classes)
        return Outcome(
            {
                "macs_m": num_macs(job.architecture, self.size_hw, self.num_classes) / 1e6,
                "params_k": num_parameters(job.architecture, self.num_classes) / 1e3,
                "state_kb": state_bytes(job.architecture, self.size_hw, self.num_classes) / 1e3,
            }
        )
