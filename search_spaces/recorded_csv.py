"""CSV files from outside, bounded and checked: rows that know their line. Knows nothing of what columns mean."""

import csv
import gzip
import hashlib
import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from search_spaces.errors import InputError

MAX_BYTES = 256 * 1024 * 1024
"""Of the text, unpacked: a recorded benchmark of a million rows; more is refused before it is parsed."""

MAX_ROWS = 1_000_000
MAX_COLUMNS = 1024

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """A row and the line of the file that it ends on."""

    line: int
    values: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class CsvTable:
    """A CSV file with a header; every row has as many values as the header. `sha256` is of the text."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    sha256: str

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.columns)}

    def text(self, row: Row, column: str) -> str:
        """The value as it is written."""
        return row.values[self._places[column]]

    def number(self, row: Row, column: str) -> float:
        """The value as a finite number. Raises InputError naming file, line, column."""
        text = self.text(row, column)
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise self.error(row, column, text, "a finite number is needed")
        return found

    def integer(self, row: Row, column: str) -> int:
        """The value as an integer. Raises InputError naming file, line, column."""
        text = self.text(row, column)
        try:
            return int(text)
        except ValueError:
            raise self.error(row, column, text, "an integer is needed") from None

    def require(self, *columns: str) -> None:
        """Raises InputError naming the first of `columns` that the file has not."""
        for column in columns:
            if column not in self._places:
                raise InputError(f"{self.path}: column {column!r} is missing; it has {', '.join(self.columns)}")

    def error(self, row: Row, column: str, given: str, needed: str) -> InputError:
        """What is wrong with one value, as a sentence."""
        shown = given if len(given) <= 60 else f"{given[:57]}..."
        return InputError(f"{self.path} line {row.line}, column {column!r}: {shown!r} given; {needed}")


def read_csv(path: Path) -> CsvTable:
    """The table in `path` (`.csv`, or packed as `.gz`), header first, empty lines skipped.

    Raises:
        InputError: the file cannot be read, is damaged, truncated or too large, has no header or no rows, a
            column has no name or another's, or a row has another number of values; file and line are named.
    """
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: tuple[str, ...] | None = None
    rows: list[Row] = []
    try:
        for values in reader:
            if not values:
                continue
            if header is None:
                header = _header(path, values)
                continue
            if len(values) != len(header):
                raise InputError(
                    f"{path} line {reader.line_num}: {len(values)} values given, {len(header)} needed (as the header "
                    "names); is the file truncated?"
                )
            if len(rows) == MAX_ROWS:
                raise InputError(f"{path} line {reader.line_num}: more than {MAX_ROWS} rows given")
            rows.append(Row(reader.line_num, tuple(values)))
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: no CSV ({error}); is the file truncated?") from None
    if header is None or not rows:
        raise InputError(f"{path}: {'is empty' if header is None else 'has a header but no rows'}")
    return CsvTable(path, header, tuple(rows), hashlib.sha256(text.encode()).hexdigest())


def _header(path: Path, values: list[str]) -> tuple[str, ...]:
    if len(values) > MAX_COLUMNS:
        raise InputError(f"{path} line 1: {len(values)} columns given, at most {MAX_COLUMNS} allowed")
    for index, name in enumerate(values):
        if not name or name in values[:index]:
            what = f"{name!r} is given twice" if name else "has no name"
            raise InputError(f"{path} line 1: column {index + 1} {what}; every column needs a name of its own")
    return tuple(values)


def _text(path: Path) -> str:
    data = bytearray()
    try:
        with _opened(path) as file:
            while chunk := file.read1(_CHUNK):  # what there is: of a truncated file, all up to its end
                data += chunk
                if len(data) > MAX_BYTES:
                    raise InputError(f"{path}: more than {MAX_BYTES} bytes given (unpacked)")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        line = data.count(b"\n") + 1
        raise InputError(f"{path} line {line}: the packed file is truncated or damaged here ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path} line {line}: is not UTF-8 text") from None


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    with path.open("rb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
        else:
            yield file
