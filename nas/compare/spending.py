"""What the trials of a journal cost, on the axis of equal budgets. Knows nothing of searchers, curves or files.

The axis counts training frames seen plus the number of measurements; supernet and pruning works count like
trainings. A stage that was answered from the record costs nothing, for nothing was done. A training that does not
say its frames (it failed, at a point nobody recorded) is charged its whole length, so that failing is never
cheap. Where no training of any search says its frames (tables and toys have none), epochs are counted instead.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evaluators.job import JobKind
from nas.records import Asked, Record, StageDone, Told

TRAINING: tuple[JobKind, ...] = ("train", "supernet", "prune")


@dataclass(frozen=True, slots=True)
class Training:
    """A training that was done; `frames` where it says them."""

    kind: JobKind
    epochs: int
    frames: float | None


@dataclass(frozen=True, slots=True)
class Spending:
    """What one trial or work cost; `anew`: at least one of its stages was not answered from the record."""

    trial: int
    trainings: tuple[Training, ...]
    measurements: int
    anew: bool


Rates = Mapping[JobKind, float]
"""Training frames an epoch, by the kind of job."""


def spendings(records: Iterable[Record], epochs: int) -> list[Spending]:
    """What every told trial cost, in the order told. `epochs` is the recipe's, for trials that name none."""
    lengths: dict[int, int] = {}
    stages: dict[int, list[StageDone]] = {}
    found = []
    for record in records:
        if isinstance(record, Asked):
            own = record.proposal().epochs
            lengths[record.trial] = epochs if own is None else own
        elif isinstance(record, StageDone):
            stages.setdefault(record.trial, []).append(record)
        elif isinstance(record, Told):
            done = [stage for stage in stages.get(record.trial, []) if stage.reused is None]
            trainings = tuple(
                Training(stage.stage, lengths[record.trial], stage.metrics.get("frames_seen"))
                for stage in done
                if stage.stage in TRAINING
            )
            measurements = sum(stage.stage == "measure" for stage in done)
            found.append(Spending(record.trial, trainings, measurements, bool(done)))
    return found


def frame_rates(found: Iterable[Spending]) -> Rates | None:
    """The most frames an epoch that any training of a kind says; None: none says its frames."""
    said = [training for spending in found for training in spending.trainings if training.frames is not None]
    if not said:
        return None
    rates: dict[JobKind, float] = {}
    for training in said:
        if training.epochs > 0 and training.frames is not None:
            rates[training.kind] = max(rates.get(training.kind, 0.0), training.frames / training.epochs)
    return rates


def price(spending: Spending, rates: Rates | None) -> float:
    """Frames (without `rates`: epochs) and measurements of a trial, as one number."""
    return spending.measurements + sum(_length(training, rates) for training in spending.trainings)


def _length(training: Training, rates: Rates | None) -> float:
    if rates is None:
        return training.epochs
    if training.frames is not None:
        return training.frames
    # A kind that never succeeded is charged like the dearest that did.
    return training.epochs * rates.get(training.kind, max(rates.values(), default=0.0))
