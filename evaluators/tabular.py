"""Evaluators that read a recorded benchmark instead of training or measuring. Know nothing of searchers or datasets.

Noise is replayed: of several recorded seeds, a training gives the metrics of one, drawn by (key, epochs, seed).
Shares of one (`miou` and its like) that a table gives in percent are divided by 100: a column in which any value
is over 1 is in percent.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from evaluators.job import METRICS, Job, Outcome
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.recorded_csv import CsvTable, Row
from search_spaces.recorded_table import RecordedNetwork, RecordedTable, open_table

SHARES = frozenset(METRICS) & {
    "miou", "pixel_accuracy", "dice", "precision", "recall", "tc", "tc_ceiling", "warp_flip", "warp_flip_floor", "vc8c",
}  # fmt: skip
"""Metrics that lie in 0..1."""

COSTS = frozenset(
    {"contended", "macs_m", "params_k", "state_kb", *(name for name in METRICS if name.startswith("latency"))}
)
"""Metrics that do not depend on training: what the stage `measure` reports."""

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Record:
    """What is recorded of one network: its costs, and by epochs the metrics of each seed (0: unstated epochs)."""

    name: str
    costs: Metrics
    trainings: Mapping[int, tuple[Metrics, ...]]


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A recorded benchmark under the names of METRICS. `epochs`: what may be asked for; empty: any number."""

    table: RecordedTable
    records: Mapping[str, Record]
    epochs: tuple[int, ...]

    @property
    def fingerprint(self) -> str:
        """Names what the results depend on: the files' contents and the options."""
        files = [self.table.networks, *([self.table.trainings] if self.table.trainings else [])]
        text = "|".join([*(file.sha256 for file in files), self.table.spec.partition("?")[2]])
        return f"recorded {hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def reports(self, metric: str) -> bool:
        """Whether every network has `metric`."""
        one = next(iter(self.records.values()))
        return metric in one.costs or any(metric in seeds[0] for seeds in one.trainings.values())

    def record(self, architecture: Architecture) -> Record:
        """Raises InputError: this network is not recorded."""
        found = self.records.get(architecture.key)
        if found is None:
            raise InputError(f"{self.table.spec}: network {architecture.key[:12]} is not recorded")
        return found

    def measured(self, architecture: Architecture) -> Metrics:
        """Its costs. Raises InputError: this network is not recorded."""
        return self.record(architecture).costs

    def trained(self, architecture: Architecture, epochs: int, seed: int) -> Metrics:
        """The metrics of one recorded seed of a training of `epochs`.

        Raises:
            InputError: this network, or this number of epochs of it, is not recorded.
        """
        record = self.record(architecture)
        seeds = record.trainings.get(epochs if self.epochs else 0)
        if seeds is None:
            allowed = ", ".join(map(str, record.trainings))
            raise InputError(f"{self.table.spec}: network {record.name}: {epochs} epochs given; recorded: {allowed}")
        digest = hashlib.sha256(f"{architecture.key} {epochs} {seed}".encode()).digest()
        return seeds[int.from_bytes(digest[:8]) % len(seeds)]

    def truth(self, architecture: Architecture) -> Metrics:
        """What a network is worth: the mean over its seeds at the most epochs, and its costs."""
        record = self.record(architecture)
        seeds = record.trainings[max(record.trainings)]
        means = {name: sum(metrics[name] for metrics in seeds) / len(seeds) for name in seeds[0]}
        return {**record.costs, **means}


@dataclass(frozen=True, slots=True)
class TabularEvaluator:
    """Answers `measure` and `train` jobs from the table that `spec` (`tabular:PATH[?options]`) names."""

    spec: str

    @property
    def dataset(self) -> str:
        """The table's contents and options, wherever it lies."""
        return open_benchmark(self.spec).fingerprint

    def __call__(self, job: Job) -> Outcome:
        """The recorded metrics.

        Raises:
            InputError: the job is no `measure` or `train`, or the network or its epochs are not recorded.
        """
        benchmark = open_benchmark(self.spec)
        if job.kind == "measure":
            return Outcome(benchmark.measured(job.architecture))
        if job.kind == "train":
            return Outcome(benchmark.trained(job.architecture, job.epochs, job.seed))
        raise InputError(f"job kind {job.kind!r} given, 'measure' and 'train' allowed")


def open_benchmark(spec: str) -> Benchmark:
    """The benchmark that `spec` names, read once a process.

    Raises:
        InputError: what `open_table` raises, an unknown metric, no accuracy, or a value that is no number.
    """
    return _benchmark(open_table(spec))


@lru_cache(maxsize=4)
def _benchmark(table: RecordedTable) -> Benchmark:
    for name in (*table.metrics, *table.training_metrics):
        if name not in METRICS:
            raise InputError(f"{table.spec!r}: option {name!r} given; allowed: a metric ({', '.join(METRICS)})")
    if table.trainings is None and "miou" not in table.metrics and not table.fidelities:
        raise InputError(f"{table.spec!r}: no accuracy named; give miou=COLUMN or epochs=EPOCHS:COLUMN,...")
    networks = (*table.members, *table.foreign)
    read = _wide_records if table.trainings is None else _folder_records
    records = {
        network.member.architecture.key: record for network, record in zip(networks, read(table, networks), strict=True)
    }
    return Benchmark(table, records, tuple(table.fidelities))


def _wide_records(table: RecordedTable, networks: tuple[RecordedNetwork, ...]) -> Iterable[Record]:
    csv, rows = table.networks, [network.row for network in networks]
    values = {name: _column(csv, rows, name, column) for name, column in table.metrics.items()}
    scale = _scale("miou", [csv.number(row, column) for column in table.fidelities.values() for row in rows])
    for index, network in enumerate(networks):
        found = {name: column[index] for name, column in values.items()}
        other = {name: value for name, value in found.items() if name not in COSTS}
        trainings = {
            epochs: ({**other, "miou": csv.number(network.row, column) / scale},)
            for epochs, column in table.fidelities.items()
        }
        costs = {name: value for name, value in found.items() if name in COSTS}
        yield Record(network.member.name, costs, trainings or {0: (other,)})


def _folder_records(table: RecordedTable, networks: tuple[RecordedNetwork, ...]) -> Iterable[Record]:
    csv, trainings = table.networks, table.trainings
    assert trainings is not None
    rows = [network.row for network in networks]
    costs = {name: _column(csv, rows, name, column) for name, column in table.metrics.items()}
    columns = {name: name for name in trainings.columns if name in METRICS} | dict(table.training_metrics)
    if "miou" not in columns:
        raise InputError(f"{trainings.path}: column 'miou' is missing; it has {', '.join(trainings.columns)}")
    runs = [row for network in networks for seeds in network.trainings.values() for row in seeds]
    values = {name: _column(trainings, runs, name, column) for name, column in columns.items()}
    of_line = {row.line: {name: column[index] for name, column in values.items()} for index, row in enumerate(runs)}
    for index, network in enumerate(networks):
        by_epochs = {epochs: tuple(of_line[row.line] for row in seeds) for epochs, seeds in network.trainings.items()}
        yield Record(network.member.name, {name: column[index] for name, column in costs.items()}, by_epochs)


def _column(table: CsvTable, rows: list[Row], metric: str, column: str) -> list[float]:
    values = [table.number(row, column) for row in rows]
    scale = _scale(metric, values)
    return [value / scale for value in values]


def _scale(metric: str, values: list[float]) -> float:
    """What brings a column of `metric` to its own unit."""
    return 100.0 if metric in SHARES and any(value > 1.0 for value in values) else 1.0
