"""Worker processes on this machine. Knows nothing of jobs: it moves calls to a process and results back.

Not `ProcessPoolExecutor`: there, one killed worker fails every job under way. Workers are spawned, never
forked (a fork of a process with threads, as torch has, may hang), and end with their parent, however it dies.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from nas.engines import WorkerLostError, WorkerPool

_SPAWN = multiprocessing.get_context("spawn")

THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "MKL_NUM_THREADS": "1"}
"""Set in a worker unless the user has set them: as many workers as cores, so one thread each."""


_PATIENCE_S = 10.0
"""A process that leaves in order takes a second; one that hangs is killed."""


def process_pool(num_workers: int) -> WorkerPool:
    """A pool of `num_workers` processes. Raises InputError if fewer than one."""
    return WorkerPool(lambda _: _ProcessWorker(), num_workers)


class _ProcessWorker:
    """A seat: the process is started at the first call, and again after it died."""

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._connection: Connection[Any, Any] | None = None
        self._killed = False
        self._lock = threading.Lock()

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of `fn(*args, **kwargs)` in the process. Raises WorkerLostError if that dies."""
        process, connection = self._started()
        try:
            connection.send((fn, args, kwargs))
            wait([connection, process.sentinel])
            if connection.poll():
                return connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass  # it died while we spoke to it
        process.join()
        self._process = None
        raise WorkerLostError(f"the worker process died ({_how(process.exitcode)})")

    def kill(self) -> None:
        """End the process at once and start no other."""
        with self._lock:
            self._killed = True
            process = self._process
        if process is not None:
            process.kill()

    def retire(self) -> None:
        """Let the process end by itself, so that its libraries clean up; kill it if it does not."""
        with self._lock:
            process, connection = self._process, self._connection
        if process is not None and connection is not None:
            connection.close()  # what the process waits for
            process.join(_PATIENCE_S)
        self.kill()

    def _started(self) -> tuple[SpawnProcess, "Connection[Any, Any]"]:
        with self._lock:
            if self._killed:
                raise WorkerLostError("the worker was ended")
            if self._process is not None and self._connection is not None and self._process.is_alive():
                return self._process, self._connection
            ours, theirs = _SPAWN.Pipe()
            process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._process, self._connection = process, ours
            return process, ours


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {signal.Signals(-exit_code).name}"
    return f"exit status {exit_code}"


def _serve(connection: "Connection[Any, Any]") -> None:
    """The worker's whole life."""
    # The terminal sends an interrupt to the whole group; the driver decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    for name, value in THREADS.items():
        os.environ.setdefault(name, value)
    while True:
        try:
            fn, args, kwargs = connection.recv()
        except EOFError:
            return
        connection.send(fn(*args, **kwargs))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
