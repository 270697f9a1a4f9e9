"""Append-only JSON lines, numbered, checksummed and fsynced. Knows nothing of searches and of locks.

A line is `{"n":N,"type":T,FIELDS,"crc":C}`: FIELDS have sorted keys and no spaces, C is the crc32 of the line
without its `crc` member. One `write` a record and one `fsync` a step; a record whose write fails is taken back. On
opening, an unterminated or torn last line is cut (it was never acted upon); any other damage is refused, for
nothing after it can be trusted.
"""

import json
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from search_spaces.errors import InputError

_HEAD = b'{"n":0,"type":"'
_LINE = re.compile(rb'\{"n":(\d+),"type":"([a-z]+)"(?:,.*)?,"crc":(\d+)\}')
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def encode(n: int, type_: str, fields: Mapping[str, object]) -> bytes:
    """The line of a record, without the newline.

    Raises:
        ValueError: a number is not finite.
    """
    members = _encode(fields)[1:-1]
    body = f'{{"n":{n},"type":"{type_}"{"," if members else ""}{members}'.encode()
    return b'%b,"crc":%d}' % (body, zlib.crc32(body + b"}"))


def read_lines(path: Path) -> list[bytes]:
    """The records of a journal that another process may be writing; a torn last line is left out.

    Raises:
        InputError: the file cannot be read, is no journal, or is damaged before its last line.
    """
    return _verified(path, _bytes_of(path))[0]


class Journal:
    """A journal open for appending; `lines` are the records found on opening.

    The caller holds the folder's lock: two writers would spoil the numbering.
    """

    def __init__(self, path: Path) -> None:
        """Open or create `path`, verify every line, cut a torn last one.

        Raises:
            InputError: the file cannot be opened, is no journal, or is damaged before its last line.
        """
        self.path = path
        data = _bytes_of(path) if path.exists() else b""
        self.lines, self._offset = _verified(path, data)
        self._count = len(self.lines)
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None
        os.ftruncate(self._fd, self._offset)
        os.lseek(self._fd, self._offset, os.SEEK_SET)
        self._durable = (self._offset, self._count)
        _sync_folder(path.parent)

    def __len__(self) -> int:
        return self._count

    def append(self, type_: str, fields: Mapping[str, object], *, durable: bool = True) -> None:
        """Write one record; when this returns, it survives the process, and if `durable`, the power failing.

        Raises:
            OSError: the disk is full or fails; the file is as it was before the call (if `durable`: as it was when
                it was durable last).
            ValueError: a number is not finite.
        """
        line = encode(self._count, type_, fields) + b"\n"
        try:
            left = line
            while left:
                left = left[os.write(self._fd, left) :]
        except BaseException as error:
            # Also for KeyboardInterrupt: nobody has acted on a record whose append has not returned.
            self._back_to(self._offset, self._count)
            if isinstance(error, OSError):
                raise self._taken_back(error) from None
            raise
        self._offset, self._count = self._offset + len(line), self._count + 1
        if durable:
            self.sync()

    def sync(self) -> None:
        """Make what was appended survive the power failing.

        Raises:
            OSError: the disk fails; the file is as it was when it was durable last.
        """
        if self._durable == (self._offset, self._count):
            return
        try:
            os.fsync(self._fd)
        except OSError as error:
            self._back_to(*self._durable)
            raise self._taken_back(error) from None
        self._durable = (self._offset, self._count)

    def _back_to(self, offset: int, count: int) -> None:
        os.ftruncate(self._fd, offset)
        os.lseek(self._fd, offset, os.SEEK_SET)
        self._offset, self._count = offset, count

    def _taken_back(self, error: OSError) -> OSError:
        what = f"{error.strerror}; what follows record {self._count - 1} is taken back"
        return OSError(error.errno, what, str(self.path))

    def close(self) -> None:
        """Close the file; calling it twice does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable too."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _verified(path: Path, data: bytes) -> tuple[list[bytes], int]:
    """The good lines and the number of bytes they take."""
    *complete, tail = data.split(b"\n")
    for index, line in enumerate(complete):
        match = _LINE.fullmatch(line)
        whole = match is not None and zlib.crc32(line[: line.rfind(b',"crc":')] + b"}") == int(match[3])
        if match is None or not whole:
            # A write that was cut off holds one record at most; two are a line end that was damaged later.
            if 0 < index == len(complete) - 1 and not tail and line.count(b',"crc":') < 2:
                complete.pop()
                break
            what = "fails its checksum" if match else "is no journal record"
            raise InputError(
                f"{path} line {index + 1}: {what}; only a torn last line can be repaired. Restore the file "
                "from a copy, or start a new search in another folder"
            )
        if int(match[1]) != index:
            raise InputError(f"{path} line {index + 1}: has number {int(match[1])}, {index} is due; lines are missing")
    if not complete and not tail.startswith(_HEAD[: len(tail)]):
        raise InputError(f"{path} line 1: is no journal record; the file is left as it is")
    return complete, sum(len(line) + 1 for line in complete)
