"""Engines: the same journal on each; a worker that dies takes one job with it."""

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from pickle import PicklingError

import pytest
from toy_search import COST, ToyMeasure, ToyTrain, journal_of, toy_search

from nas.engines import Inline, WorkerLostError, make_engine
from nas.stages import Stage
from search_spaces.errors import InputError

RAY = pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow])


def ray_engine() -> Executor:
    if importlib.util.find_spec("ray") is None:  # not importorskip: the engine sets what Ray reads on import
        pytest.skip("ray is not installed")
    return make_engine("ray", 2)


ENGINES: dict[str, Callable[[], Executor]] = {
    "inline": Inline,
    "process": lambda: make_engine("process", 2),
    "ray": ray_engine,
}


@pytest.fixture(params=["inline", "process", RAY])
def engine(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with ENGINES[request.param]() as made:
        yield made


class TestEngine:
    """Every engine keeps the executor's promises."""

    def test_results_come_back_in_any_number(self, engine: Executor) -> None:
        futures = [engine.submit(pow, n, 2) for n in range(20)]
        assert [future.result(60) for future in futures] == [n * n for n in range(20)]

    def test_arguments_and_keywords_arrive(self, engine: Executor) -> None:
        assert engine.submit(int, "ff", base=16).result(60) == 255


@pytest.mark.parametrize("name", ["process", RAY])
def test_journal_is_the_same_on_every_engine(tmp_path: Path, name: str) -> None:
    stages = (
        COST,
        Stage("measure", ToyMeasure(), exclusive=True, batch=3),
        Stage("train", ToyTrain(seconds=0.05, fails="01")),
    )

    def run(folder: Path, engine: Callable[[], Executor]) -> bytes:
        toy_search(
            folder, "evolution", stages=stages, trials=20, slots=4, engine=engine, constraints={"latency_ms": 9.0},
            options={"population": 5},
        )  # fmt: skip
        return journal_of(folder)

    assert run(tmp_path / name, ENGINES[name]) == run(tmp_path / "inline", Inline)


@pytest.mark.parametrize("name", ["process", RAY])
def test_killed_worker_fails_one_job_and_the_others_go_on(tmp_path: Path, name: str) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    stages = [Stage("train", ToyTrain(log=str(calls), seconds=0.05, kills="0123"))]
    result = toy_search(tmp_path / "run", stages=stages, trials=12, slots=4, engine=ENGINES[name])
    assert len(result.trials) == 12
    doomed = [trial for trial in result.trials if trial.proposal.architecture.key[-1] in "0123"]
    assert doomed
    for trial in result.trials:
        lost = trial in doomed and name == "process"  # Ray tries a lost job once more; the second try lives
        assert trial.status == ("failed" if lost else "complete")
        if lost:
            assert trial.error == "WorkerLostError: the worker process died (signal SIGKILL)"
    assert len(list(calls.iterdir())) == 12, "each job is recorded once"


@pytest.mark.ray
@pytest.mark.slow
def test_actor_that_dies_twice_fails_its_job() -> None:
    with ray_engine() as engine:
        future: Future[None] = engine.submit(os._exit, 1)
        with pytest.raises(WorkerLostError, match="the Ray actor was lost"):
            future.result(120)
        assert engine.submit(pow, 2, 5).result(60) == 32


@pytest.mark.ray
@pytest.mark.slow
def test_local_ray_listens_on_loopback_only() -> None:
    with ray_engine() as engine:
        engine.submit(pow, 1, 1).result(60)
        pids = _descendants(os.getpid())
        sockets = _listening(pids)
        assert sockets, "Ray's processes should listen somewhere"
        assert {address for address, _ in sockets} <= {
            "0100007F",
            "0" * 24 + "01000000",
            "0000000000000000FFFF00000100007F",
        }


def _descendants(pid: int) -> set[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _listening(pids: set[int]) -> set[tuple[str, int]]:
    """(address in hexadecimal, port) of the TCP sockets on which `pids` listen."""
    inodes = set()
    for pid in pids:
        try:
            links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        inodes |= {link[8:-1] for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found


def test_what_cannot_travel_is_an_error_not_a_hang() -> None:
    with make_engine("process", 1) as engine:
        future = engine.submit(lambda: 1)
        with pytest.raises((PicklingError, AttributeError), match="lambda"):
            future.result(60)
        assert engine.submit(pow, 2, 3).result(60) == 8


def test_shutdown_at_once_ends_running_workers() -> None:
    engine = make_engine("process", 2)
    futures = [engine.submit(time.sleep, 600) for _ in range(4)]
    while sum(future.running() for future in futures) < 2:
        time.sleep(0.01)
    time.sleep(0.5)
    start = time.monotonic()
    engine.shutdown(wait=True, cancel_futures=True)
    assert time.monotonic() - start < 60
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="shut down"):
        engine.submit(pow, 1, 1)


def test_workers_end_with_a_killed_driver(tmp_path: Path) -> None:
    code = (
        "import sys, time, os\n"
        "from nas.engines import make_engine\n"
        "if __name__ == '__main__':\n"
        "    engine = make_engine('process', 1)\n"
        "    print(engine.submit(os.getpid).result(), flush=True)\n"
        "    engine.submit(time.sleep, 600)\n"
        "    time.sleep(600)\n"
    )
    script = tmp_path / "driver.py"
    script.write_text(code)
    driver = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    assert driver.stdout is not None
    worker = int(driver.stdout.readline())
    assert Path(f"/proc/{worker}").exists()
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    for _ in range(500):
        if not _alive(worker):
            return
        time.sleep(0.01)
    pytest.fail("the worker outlives its driver")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_idle_workers_end_in_order() -> None:
    with make_engine("process", 1) as pool:
        pool.submit(os.getpid).result(60)
        (worker,) = multiprocessing.active_children()
    assert worker.exitcode == 0, "killed, it would leave semaphores behind, and Python says so at length"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("threads", 1), "engine: 'threads' given; allowed: inline, process, ray"),
        (("process", 0), "workers: 0 given, at least 1 allowed"),
        (("process", 1, "here:1"), "'here:1' given with engine 'process'"),
    ],
)
def test_bad_engines_are_refused(arguments: tuple[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_engine(*arguments)
