"""Resume is replay: what a journal holds is proposed and recorded again, and must come out the same.

Knows nothing of engines and stages: it compares records with what the loop writes and says what is due next.
Results are not replayed here: the loop finds them by identity, so that no finished job runs again. A searcher
that answers None must leave its state as it was, for such an answer is not recorded.
"""

import json
from collections.abc import Mapping

from nas.journal import Journal, encode
from nas.records import VERSION, Asked, History, Record, StageDone, Told, Warm, history, parse_records
from search_spaces.errors import InputError


class Script:
    """The journal as the loop sees it: the records still to be met, then a file to append to."""

    def __init__(self, journal: Journal, recipe_sha256: str, *, warm: bool) -> None:
        """Check that `journal` is of this recipe; with `warm`, make all its records prior data.

        Raises:
            InputError: the journal is of another recipe, or a record is not as this version writes it.
        """
        self._journal = journal
        records = parse_records(journal.lines, journal.path)
        self._lines, journal.lines = journal.lines, []
        begin = {"version": VERSION, "recipe": recipe_sha256}
        if not records:
            journal.append("begin", begin)
            self._lines.append(encode(0, "begin", begin))
            records = parse_records(self._lines, journal.path)
        elif self._lines[0] != encode(0, "begin", begin):
            raise InputError(
                f"{journal.path}: is of another recipe (sha256 {_field(self._lines[0], 'recipe')[:12]}..., "
                f"given {recipe_sha256[:12]}...); resume with the folder's own recipe.json, or start in "
                "another folder"
            )
        start = max((number + 1 for number, record in enumerate(records) if isinstance(record, Warm)), default=1)
        if warm and len(records) > 1:
            if start < len(records) or not isinstance(records[-1], Warm):
                journal.append("warm", {})
                self._lines.append(encode(len(records), "warm", {}))
            start = len(self._lines)
        self.prior: History = history(records[1:start])
        """What a fresh searcher is told as prior data, without being asked."""
        self.known = dict(history(records).known)
        self._records: list[Record] = records
        self._cursor = start

    @property
    def replaying(self) -> bool:
        """Whether records are still to be met."""
        return self._cursor < len(self._lines)

    @property
    def ask_is_due(self) -> bool:
        """Whether the next record is an `asked`."""
        return self.replaying and isinstance(self._records[self._cursor], Asked)

    @property
    def told_next(self) -> int | None:
        """The trial whose end comes next; None: an `asked` does, or the file is at its end."""
        record = self._records[self._cursor] if self.replaying else None
        return record.trial if isinstance(record, StageDone | Told) else None

    def write(self, type_: str, fields: Mapping[str, object]) -> None:
        """Record, or if a record is still to be met, compare. Durable after `sync`.

        Raises:
            InputError: the record differs; the message names trial, file, the difference and the remedy.
            OSError: the record cannot be written.
        """
        if not self.replaying:
            self._journal.append(type_, fields, durable=False)
            return
        line = self._lines[self._cursor]
        if encode(self._cursor, type_, fields) != line:
            raise self._differs(type_, fields, line)
        self._cursor += 1

    def sync(self) -> None:
        """Make what was recorded durable. Raises OSError if the disk fails."""
        self._journal.sync()

    def nothing_asked(self) -> InputError:
        """The error for a searcher that proposes nothing where the record has a proposal."""
        return self._error("the searcher proposes nothing, the record has a proposal")

    def _differs(self, type_: str, fields: Mapping[str, object], line: bytes) -> InputError:
        recorded = json.loads(line)
        given = json.loads(encode(self._cursor, type_, fields))
        for name in sorted((recorded.keys() | given.keys()) - {"crc", "n"}):
            if recorded.get(name) != given.get(name):
                return self._error(f"{_first_difference(name, recorded.get(name), given.get(name))}")
        return self._error("the record has equal values in another form")

    def _error(self, what: str) -> InputError:
        record = self._records[self._cursor]
        trial = f" (trial {record.trial})" if isinstance(record, Asked | StageDone | Told) else ""
        return InputError(
            f"{self._journal.path} line {self._cursor + 1}{trial}: replay differs: {what}. Code, data, library "
            "or processor are not those of the recorded run; continue with its trials as prior data: "
            "`resume --warm`"
        )


def _field(line: bytes, name: str) -> str:
    return str(json.loads(line)[name])


def _first_difference(name: str, recorded: object, given: object) -> str:
    """Down to the first member that differs, so that the sentence stays short."""
    if name == "genotype" and isinstance(recorded, list) and isinstance(given, list):
        recorded, given = dict(recorded), dict(given)
    if isinstance(recorded, dict) and isinstance(given, dict):
        for member in [*recorded, *given]:
            if recorded.get(member) != given.get(member):
                return _first_difference(f"{name}.{member}", recorded.get(member), given.get(member))
    return f"{name} is {_short(recorded)} in the record and {_short(given)} now"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
