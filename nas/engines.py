"""Where jobs run: in the driver, in worker processes, on Ray. Knows nothing of searches, trials or journals.

An engine is a `concurrent.futures.Executor`. A worker that dies takes one job with it: its future has a
`WorkerLostError`, a new worker takes its place, the others go on.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pickle import PicklingError
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

from search_spaces.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

EngineName = Literal["inline", "process", "ray"]
ENGINES: dict[str, str] = {
    "inline": "in the driver's own process, one job at a time",
    "process": "worker processes on this machine",
    "ray": "a pool of Ray actors, on this machine or on a cluster",
}


class WorkerLostError(RuntimeError):
    """A worker died while it did a job; the job's result is lost."""


class Inline(Executor):
    """Runs a job when it is submitted. Only interrupts leave `attempt`, and reach the caller."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn` now."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        future.set_result(fn(*args, **kwargs))
        return future


class Worker(Protocol):
    """One seat of a pool: does one call at a time, somewhere else."""

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result. Raises WorkerLostError if the worker dies; the next call has a new one."""

    def kill(self) -> None:
        """End it at once, whatever it does; a call under way raises WorkerLostError, as do later ones."""

    def retire(self) -> None:
        """End it in order; it is idle and will not be called again."""


_Item = tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class WorkerPool(Executor):
    """Seats filled by `new_worker`, one thread a seat. A lost job is tried `lost_retries` times more."""

    def __init__(self, new_worker: Callable[[int], Worker], num_workers: int, lost_retries: int = 0) -> None:
        if num_workers < 1:
            raise InputError(f"workers: {num_workers} given, at least 1 allowed")
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._lost_retries = lost_retries
        self._closed = False
        self._workers = [new_worker(seat) for seat in range(num_workers)]
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), name=f"seat {seat}", daemon=True)
            for seat, worker in enumerate(self._workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call; `fn`, the arguments and the result travel by pickle.

        Raises:
            RuntimeError: the pool is shut down.
        """
        if self._closed:
            raise RuntimeError("the pool is shut down")
        future: Future[T] = Future()
        self._queue.put((future, fn, args, kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers: after all jobs, or with `cancel_futures` at once, whatever they do."""
        self._closed = True
        if cancel_futures:
            self._cancel_queued()
            for worker in self._workers:
                worker.kill()
        for _ in self._threads:
            self._queue.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _cancel_queued(self) -> None:
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return
            if item is not None:
                item[0].cancel()

    def _serve(self, worker: Worker) -> None:
        while (item := self._queue.get()) is not None:
            future, fn, args, kwargs = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._call(worker, fn, args, kwargs))
            except (WorkerLostError, OSError, PicklingError, AttributeError, TypeError, ValueError) as error:
                future.set_exception(error)  # a dead worker, or something that cannot travel by pickle
            finally:
                if not future.done():  # whatever it was (the thread shows it): nobody must wait for ever
                    future.set_exception(WorkerLostError("the worker's thread failed"))
        worker.retire()

    def _call(self, worker: Worker, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for _ in range(self._lost_retries):
            try:
                return worker.call(fn, args, kwargs)
            except WorkerLostError:
                if self._closed:
                    raise
        return worker.call(fn, args, kwargs)


def make_engine(name: str, num_workers: int, ray_address: str | None = None) -> Executor:
    """The engine called `name`; use it as a context manager.

    Raises:
        InputError: an unknown name, fewer than one worker, or an address given to another engine than ray.
        MissingExtraError: ray is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"engine: {name!r} given; allowed: {', '.join(ENGINES)}")
    if ray_address is not None and name != "ray":
        raise InputError(f"ray address: {ray_address!r} given with engine {name!r}; only engine ray has one")
    if name == "inline":
        return Inline()
    if name == "process":
        from nas.engines_process import process_pool

        return process_pool(num_workers)
    from nas.engines_ray import RayPool

    return RayPool(num_workers, address=ray_address)
