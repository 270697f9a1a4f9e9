"""Resumable runs of an experiment: jobs in processes of their own, one CSV of raw rows. Knows no experiment."""

import csv
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

J = TypeVar("J")
Row = Mapping[str, object]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV with a header; none when it does not exist yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run_jobs(
    path: Path,
    columns: Sequence[str],
    keys: Sequence[str],
    jobs: Iterable[tuple[Row, J]],
    run: Callable[[J], Iterable[Row]],
    *,
    workers: int,
) -> None:
    """Run the jobs that have no row yet and append what each returns as soon as it is there.

    A job comes with its key: the values of `keys` that all its rows have. Two runs with the same order of jobs
    write the same rows, whatever the number of workers, except for their order and for what is measured.
    """
    done = {tuple(row[key] for key in keys) for row in read_rows(path)}
    todo = [(key, job) for key, job in jobs if tuple(str(key[k]) for k in keys) not in done]
    print(f"{path.name}: {len(done)} jobs done before, {len(todo)} to do", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    # A worker that waits for work of another library's threads must not burn the core of its neighbour.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with (
        path.open("a", newline="") as file,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        writer = csv.DictWriter(file, columns)
        if fresh:
            writer.writeheader()
        waiting: dict[Future[Iterable[Row]], Row] = {}
        queue = iter(todo)
        for key, job in queue:
            waiting[pool.submit(run, job)] = key
            if len(waiting) < 2 * workers:
                continue
            _collect(waiting, writer, file.flush)
        while waiting:
            _collect(waiting, writer, file.flush)


def _collect(
    waiting: dict[Future[Iterable[Row]], Row], writer: "csv.DictWriter[str]", flush: Callable[[], None]
) -> None:
    finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in finished:
        key = waiting.pop(future)
        writer.writerows({**key, **row} for row in future.result())
        flush()
        print("done", *key.values(), flush=True)
