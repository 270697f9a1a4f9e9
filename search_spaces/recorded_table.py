"""`tabular:PATH[?options]` becomes recorded networks and their rows. Knows nothing of metrics' meaning or searching.

PATH is one CSV with a row a network (`.csv` or `.csv.gz`), or a folder with `networks.csv` and `trainings.csv`.
Options are joined by `&`: `decisions=A,B` (columns), `epochs=12:COLUMN,200:COLUMN` (of a folder: `epochs=5,20`),
`dataset=NAME`, `min_latency_ms=X` (faster rows are left out), and METRIC=COLUMN for any metric.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar

from search_spaces.architecture import Architecture, PointSpec
from search_spaces.door import STRICT, parse_json
from search_spaces.errors import InputError
from search_spaces.recorded import Member, RecordedSpace
from search_spaces.recorded_csv import CsvTable, Row, read_csv
from search_spaces.recorded_layouts import layout_of

PREFIX = "tabular:"
NETWORKS, TRAININGS = "networks.csv", "trainings.csv"
_GENERAL = ("decisions", "epochs", "dataset", "min_latency_ms")


@dataclass(frozen=True, slots=True)
class RecordedNetwork:
    """A network with its row of the table, and its trainings' rows by epochs (of a folder)."""

    member: Member
    row: Row
    trainings: Mapping[int, tuple[Row, ...]]


@dataclass(frozen=True, eq=False)
class RecordedTable:
    """What a benchmark recorded. `metrics` names the column of a metric where one is known or given.

    `fidelities`: epochs -> the column of the accuracy; none: there is one accuracy, whatever the epochs. A folder's
    `trainings` are rows of their own, whose columns `training_metrics` names where an option does. `foreign` are
    networks outside the space: recorded, but never proposed.
    """

    spec: str
    networks: CsvTable
    trainings: CsvTable | None
    members: tuple[RecordedNetwork, ...]
    foreign: tuple[RecordedNetwork, ...]
    metrics: Mapping[str, str]
    fidelities: Mapping[int, str]
    training_metrics: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def space(self) -> RecordedSpace:
        """The recorded networks as a space."""
        return RecordedSpace([network.member for network in self.members])


def is_tabular(name: str) -> bool:
    """Whether `name` is of this form."""
    return name.startswith(PREFIX)


def absolute_spec(name: str) -> str:
    """The same, readable from any working folder."""
    path, mark, options = name.removeprefix(PREFIX).partition("?")
    return f"{PREFIX}{Path(path).absolute()}{mark}{options}"


def open_table(spec: str) -> RecordedTable:
    """Read a benchmark, once a process while its files stay as they are.

    Raises:
        InputError: no such file, an unknown option, or damage; file, line and column are named.
    """
    path_text = spec.removeprefix(PREFIX).partition("?")[0]
    if not path_text:
        raise InputError(f"{spec!r}: no path given; write tabular:FILE.csv or tabular:FOLDER")
    path = Path(path_text)
    files = (path / NETWORKS, path / TRAININGS) if path.is_dir() else (path,)
    stamps = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.exists())
    return _read(spec, path, stamps)


@lru_cache(maxsize=4)
def _read(spec: str, path: Path, stamps: tuple[tuple[int, int], ...]) -> RecordedTable:
    options = _options(spec, spec.partition("?")[2])
    return _folder(spec, path, options) if path.is_dir() else _wide(spec, path, options)


def _options(spec: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, equals, value = part.partition("=")
        if not name or not equals or not value or name in options:
            raise InputError(f"{spec!r}: option {part!r} given; NAME=VALUE is needed, joined by &, each name once")
        options[name] = value
    return options


def _least(spec: str, options: Mapping[str, str], default: float) -> float:
    text = options.get("min_latency_ms")
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{spec!r}: min_latency_ms: {text!r} given; a number is needed") from None


def _columns(options: Mapping[str, str]) -> dict[str, str]:
    """Metric -> column, as the options say."""
    return {name: column for name, column in options.items() if name not in _GENERAL}


# --- one wide file ------------------------------------------------------------------------------------------------


def _wide(spec: str, path: Path, options: Mapping[str, str]) -> RecordedTable:
    table = read_csv(path)
    decisions = tuple(filter(None, options.get("decisions", "").split(",")))
    layout = layout_of(table, decisions, options.get("dataset"))
    metrics = {**layout.metrics, **_columns(options)}
    fidelities = dict(layout.fidelities)
    if "epochs" in options:
        fidelities = _fidelities(spec, options["epochs"])
    elif "miou" in options:
        fidelities = {}
    table.require(*metrics.values(), *fidelities.values())
    least, latency = _least(spec, options, layout.min_latency_ms), metrics.get("latency_ms")
    networks: list[RecordedNetwork] = []
    for row in table.rows:
        if latency is None or table.number(row, latency) >= least:
            values = layout.decisions(table, row)
            member = Member(f"{path} line {row.line}", values, Architecture(PointSpec(values)))
            networks.append(RecordedNetwork(member, row, {}))
    if not networks:
        raise InputError(f"{path}: no row has a {latency} of at least {least:g}")
    return RecordedTable(spec, table, None, tuple(networks), (), metrics, dict(sorted(fidelities.items())))


def _fidelities(spec: str, text: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for part in text.split(","):
        epochs, colon, column = part.partition(":")
        if not (epochs.isdecimal() and len(epochs) <= 6 and int(epochs) > 0) or not colon or int(epochs) in found:
            raise InputError(f"{spec!r}: epochs: {part!r} given; EPOCHS:COLUMN is needed, each number of epochs once")
        found[int(epochs)] = column
    return found


# --- a folder of real networks ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Answers:
    """A genotype as JSON: {"decision": index, ...}."""

    __pydantic_config__: ClassVar = STRICT
    answers: dict[str, int]


def _folder(spec: str, folder: Path, options: Mapping[str, str]) -> RecordedTable:
    for name in ("decisions", "dataset"):
        if name in options:
            raise InputError(f"{spec!r}: option {name} is for one CSV, and {folder} is a folder")
    networks, trainings = read_csv(folder / NETWORKS), read_csv(folder / TRAININGS)
    networks.require("name", "genotype", "architecture")
    trainings.require("name", "epochs", "seed")
    given = _columns(options)
    of_trainings = {name: column for name, column in given.items() if column in trainings.columns}
    metrics = _network_metrics(networks, {name: given[name] for name in given if name not in of_trainings})
    epochs, trained = _trainings(networks, trainings)
    wanted = _wanted(spec, options["epochs"], epochs) if "epochs" in options else epochs
    least, latency = _least(spec, options, 0.0), metrics.get("latency_ms")
    inside: list[RecordedNetwork] = []
    outside: list[RecordedNetwork] = []
    for row in networks.rows:
        done = trained.get(networks.text(row, "name"), {})
        timed = latency is None or networks.text(row, latency) != ""
        if not timed or not all(number in done for number in wanted):
            continue  # recorded, but not measured or not trained to the end yet
        if latency is None or networks.number(row, latency) >= least:
            network = RecordedNetwork(_member(networks, row), row, {number: done[number] for number in wanted})
            (inside if network.member.answers else outside).append(network)
    if not inside:
        needed = ", ".join(map(str, wanted))
        raise InputError(f"{folder}: no network of the space has a latency and trainings of {needed} epochs")
    _no_key_twice(networks, [*inside, *outside])
    fidelities = dict.fromkeys(wanted, "miou")
    return RecordedTable(spec, networks, trainings, tuple(inside), tuple(outside), metrics, fidelities, of_trainings)


def _network_metrics(networks: CsvTable, given: Mapping[str, str]) -> dict[str, str]:
    """Metric -> column: the costs that are recorded, the first latency unless another is given, its half-width."""
    found: dict[str, str] = {name: name for name in ("macs_m", "params_k", "state_kb") if name in networks.columns}
    columns = [name for name in networks.columns if name.startswith("latency") and name.endswith("_ms")]
    first = next((name for name in columns if "halfwidth" not in name), None)
    if first is not None:
        found["latency_ms"] = first
    found |= given
    halfwidth = found.get("latency_ms", "").removesuffix("_ms") + "_halfwidth_ms"
    if halfwidth in networks.columns:
        found.setdefault("latency_halfwidth_ms", halfwidth)
    networks.require(*found.values())
    return found


def _trainings(networks: CsvTable, trainings: CsvTable) -> tuple[list[int], dict[str, dict[int, tuple[Row, ...]]]]:
    """(all numbers of epochs, network name -> epochs -> rows in the order of their seeds)."""
    names: dict[str, int] = {}
    for row in networks.rows:
        name = networks.text(row, "name")
        if name in names:
            raise networks.error(row, "name", name, f"line {names[name]} has this name already; names differ")
        names[name] = row.line
    found: dict[str, dict[int, dict[int, Row]]] = {}
    for row in trainings.rows:
        name, epochs = trainings.text(row, "name"), trainings.integer(row, "epochs")
        if name not in names:
            raise trainings.error(row, "name", name, f"no network of {networks.path.name} has this name")
        seeds = found.setdefault(name, {}).setdefault(epochs, {})
        seed = trainings.integer(row, "seed")
        if seed in seeds:
            raise trainings.error(row, "seed", str(seed), f"line {seeds[seed].line} records this training already")
        seeds[seed] = row
    epochs_found = sorted({epochs for by_epochs in found.values() for epochs in by_epochs})
    return epochs_found, {
        name: {epochs: tuple(row for _, row in sorted(seeds.items())) for epochs, seeds in by_epochs.items()}
        for name, by_epochs in found.items()
    }


def _wanted(spec: str, text: str, recorded: list[int]) -> list[int]:
    for part in text.split(","):
        if not (part.isdecimal() and len(part) <= 6 and int(part) in recorded):
            allowed = ", ".join(map(str, recorded))
            raise InputError(f"{spec!r}: epochs: {part!r} given; recorded: {allowed}")
    return sorted({int(part) for part in text.split(",")})


def _member(networks: CsvTable, row: Row) -> Member:
    where = f"{networks.path} line {row.line}, column"
    text = networks.text(row, "genotype") or "{}"
    genotype = parse_json(_Answers, f'{{"answers":{text}}}', f"{where} 'genotype'").answers
    architecture = Architecture.from_json(networks.text(row, "architecture"), f"{where} 'architecture'")
    return Member(networks.text(row, "name"), tuple(genotype.items()), architecture)


def _no_key_twice(networks: CsvTable, found: list[RecordedNetwork]) -> None:
    lines: dict[str, int] = {}
    for network in found:
        key = network.member.architecture.key
        if key in lines:
            name = network.member.name
            raise networks.error(network.row, "name", name, f"line {lines[key]} records the same architecture")
        lines[key] = network.row.line
