"""The lock of a search folder: one driver at a time. Knows nothing of what the folder holds.

`flock` is released by the kernel when the holder dies, so that a dead search never blocks its own resume.
"""

import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from search_spaces.door import STRICT, parse_json
from search_spaces.errors import InputError

_ATTEMPTS = 10
_PAUSE_S = 0.02
"""`holder` takes a shared lock for an instant; a driver that starts just then tries again."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who drives the search: `since` is seconds since 1970."""

    __pydantic_config__: ClassVar = STRICT
    pid: int
    host: str
    since: float


class FolderLock:
    """Held from construction to `close`. The file `lock` stays: removing it would let two drivers in."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            InputError: another driver holds it (its pid and host are named), or the folder is not writable.
        """
        path = folder / "lock"
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None
        if not _taken(self._fd, fcntl.LOCK_EX, _ATTEMPTS):
            who = _read(self._fd)
            self.close()
            by = f"pid {who.pid} on {who.host}" if who else "another process"
            raise InputError(f"{folder}: in use by {by}; wait until it ends, stop it, or give another folder")
        os.ftruncate(self._fd, 0)
        me = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        os.pwrite(self._fd, json.dumps(me).encode(), 0)

    def close(self) -> None:
        """Let go; calling it twice does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def holder(folder: Path) -> Holder | None:
    """Who drives the search in `folder` now; None: nobody, it is finished or dead."""
    try:
        fd = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _taken(fd, fcntl.LOCK_SH, 1) else _read(fd)
    finally:
        os.close(fd)


def _taken(fd: int, how: int, attempts: int) -> bool:
    for attempt in range(attempts):
        if attempt:
            time.sleep(_PAUSE_S)
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def _read(fd: int) -> Holder | None:
    text = os.pread(fd, 4096, 0)
    try:
        return parse_json(Holder, text, "lock")
    except InputError:
        return None  # taken an instant ago, not yet written
