"""The recorded benchmarks that are known by their columns. Knows nothing of reading files or of searching.

Sources: TransNAS-Bench-101 micro (Duan et al. 2021, arXiv:2105.11871), NAS-Bench-201 (Dong and Yang 2020,
arXiv:2001.00326), latencies of HW-NAS-Bench and HELP (Lee et al. 2021, arXiv:2106.08630).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from search_spaces.errors import InputError
from search_spaces.recorded_csv import CsvTable, Row

Reader = Callable[[CsvTable, Row], tuple[tuple[str, int], ...]]
"""(table, row) -> the row's decisions and their values, in the order asked."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the columns of a table are to be read: decisions, and the column of each metric.

    `fidelities`: epochs -> column of the accuracy after so many; none: one accuracy, of a training of unstated
    length. `min_latency_ms`: rows below are left out, for no network ran.
    """

    name: str
    decisions: Reader
    metrics: Mapping[str, str] = field(default_factory=dict)
    fidelities: Mapping[int, str] = field(default_factory=dict)
    min_latency_ms: float = 0.0
    datasets: tuple[str, ...] = ()


EDGES = ("e01", "e02", "e12", "e03", "e13", "e23")
NB201_OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NB201_DATASETS = ("cifar10", "cifar100", "imagenet16")
_NB201_CELL = re.compile(r"\|([^|~]+)~0\|\+\|([^|~]+)~0\|([^|~]+)~1\|\+\|([^|~]+)~0\|([^|~]+)~1\|([^|~]+)~2\|")


def layout_of(table: CsvTable, decisions: Sequence[str], dataset: str | None) -> Layout:
    """The layout of `table`; `decisions` names the decision columns of a table that is not known.

    Raises:
        InputError: the table is unknown and no decisions are given, a column is missing, or `dataset` is none of
            the table's.
    """
    columns = set(table.columns)
    if decisions:
        layout = Layout("columns", decisions_of_columns(table, decisions))
    elif {"arch_str", "cifar10_val200"} <= columns:
        layout = _nb201("cifar10" if dataset is None else dataset)
    elif set(EDGES) <= columns:
        metrics = {"miou": "segmentsemantic_val_miou", "latency_ms": "pixel3_ms", "macs_m": "segmodel_mflops"}
        found = {metric: column for metric, column in metrics.items() if column in columns}
        layout = Layout("transnas_micro", decisions_of_columns(table, EDGES), found)
    else:
        raise InputError(f"{table.path}: no known benchmark; name its decisions, as in {table.path}?decisions=A,B")
    if dataset is not None and dataset not in layout.datasets:
        allowed = ", ".join(layout.datasets) or "none"
        raise InputError(f"{table.path}: dataset {dataset!r} given; allowed: {allowed}")
    return layout


def _nb201(dataset: str) -> Layout:
    return Layout(
        "nb201",
        _nb201_cell,
        {"latency_ms": "pixel3_ms", "macs_m": "cifar10model_mflops"},
        {12: f"{dataset}_val12", 200: f"{dataset}_val200"},
        min_latency_ms=0.1,
        datasets=NB201_DATASETS,
    )


def _nb201_cell(table: CsvTable, row: Row) -> tuple[tuple[str, int], ...]:
    text = table.text(row, "arch_str")
    found = _NB201_CELL.fullmatch(text)
    ops = found.groups() if found else ()
    if not ops or not set(ops) <= set(NB201_OPS):
        raise table.error(row, "arch_str", text, f"a cell of NAS-Bench-201 with {', '.join(NB201_OPS)} is needed")
    return tuple((edge, NB201_OPS.index(op)) for edge, op in zip(EDGES, ops, strict=True))


MAX_DECISIONS, MAX_VALUES = 256, 64


def decisions_of_columns(table: CsvTable, decisions: Sequence[str]) -> Reader:
    """Reads one decision a column: integers as they are, else the place of the text among the column's, sorted.

    Raises:
        InputError: a column is missing or named twice, there are too many, or one has too many values for a decision.
    """
    table.require(*decisions)
    if len(decisions) > MAX_DECISIONS or len(set(decisions)) < len(decisions):
        raise InputError(f"{table.path}: decisions: {len(decisions)} columns given; each once, {MAX_DECISIONS} at most")
    codes: dict[str, dict[str, int]] = {}
    for column in decisions:
        texts = sorted({table.text(row, column) for row in table.rows})
        if len(texts) > MAX_VALUES:
            raise InputError(
                f"{table.path}: decision column {column!r} has {len(texts)} values, at most {MAX_VALUES} allowed"
            )
        whole = all(re.fullmatch(r"-?\d{1,9}", text, re.ASCII) for text in texts)
        codes[column] = {text: int(text) if whole else place for place, text in enumerate(texts)}

    def read(table: CsvTable, row: Row) -> tuple[tuple[str, int], ...]:
        return tuple((column, codes[column][table.text(row, column)]) for column in decisions)

    return read
