"""What the loop itself costs: CPU time per trial beyond its fsyncs, and the replay of 10,000 trials.

Usage: python experiments/bench/bench_loop.py [TRIALS] [ROUNDS]

Bounds: 0.5 ms of CPU time per trial (searcher `random`, toy space, two stages that only look up), over
a run that only appends and fsyncs the same records, interleaved with it; 10 s for the replay of 10,000 trials
with `evolution`. Fsyncs are real, so run it on the disk that matters (TMPDIR) and
on a quiet machine: a process that sleeps in fsync finds its caches cold where others compute, and its own CPU time
triples; a sleep in place of the fsync does the same, so the figure without fsync is given beside it.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[2] / "tests" / "nas"
sys.path[:0] = [str(TESTS), str(TESTS.parents[1])]

BOUND_MS, BOUND_S = 0.5, 10.0


def loop_cpu_s(folder: Path, searcher: str, trials: int) -> float:
    """CPU time of the driver for a whole search."""
    from toy_search import COST, ToyTrain, toy_search

    from nas.stages import Stage

    start = time.process_time()
    toy_search(folder, searcher, trials=trials, slots=4, stages=(COST, Stage("train", ToyTrain())))
    return time.process_time() - start


def loop_without_fsync(folder: Path, searcher: str, trials: int) -> tuple[float, list[int]]:
    """As `loop_cpu_s` with warm caches: no fsync puts the process to sleep. And the fsyncs it would have done."""
    real, counted = os.fsync, {"journal.jsonl": 0, "events.jsonl": 0}

    def count(fd: int) -> None:
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        counted[name] = counted.get(name, 0) + 1

    os.fsync = count
    try:
        return loop_cpu_s(folder, searcher, trials), [counted["journal.jsonl"], counted["events.jsonl"]]
    finally:
        os.fsync = real


def append_cpu_s(source: Path, target: Path, fsyncs: list[int]) -> float:
    """CPU time for appending the same records to the same two files, with as many fsyncs of each."""
    target.mkdir()
    files = []
    for name, num_fsyncs in zip(("journal.jsonl", "events.jsonl"), fsyncs, strict=True):
        lines = (source / name).read_bytes().splitlines(keepends=True)
        files.append((target / name, lines, max(1, len(lines) // max(1, num_fsyncs))))
    start = time.process_time()
    for path, lines, every in files:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        for number, line in enumerate(lines):
            os.write(fd, line)
            if number % every == 0:
                os.fsync(fd)
        os.close(fd)
    return time.process_time() - start


def replay_s(folder: Path, trials: int) -> tuple[float, float]:
    """(wall, CPU) time of resuming a finished search of `trials` trials."""
    from toy_search import COST, ToyTrain, toy_search

    from nas.stages import Stage

    real, os.fsync = os.fsync, lambda _: None  # only to write the journal sooner; the replay appends nothing
    try:
        toy_search(folder, "evolution", trials=trials, slots=4, stages=(COST, Stage("train", ToyTrain())))
    finally:
        os.fsync = real
    wall, cpu = time.perf_counter(), time.process_time()
    toy_search(folder, "evolution", trials=trials, slots=4, stages=(COST, Stage("train", ToyTrain())))
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        loop_cpu_s(root / "warm-up", "random", 20)
        beyond_ms, warm_ms = [], []
        for number in range(rounds):
            warm, fsyncs = loop_without_fsync(root / f"warm{number}", "random", trials)
            whole = loop_cpu_s(root / f"loop{number}", "random", trials)
            bare = append_cpu_s(root / f"loop{number}", root / f"bare{number}", fsyncs)
            beyond_ms.append(1e3 * (whole - bare) / trials)
            warm_ms.append(1e3 * warm / trials)
        wall, cpu = replay_s(root / "replay", 10_000)
    median_ms = statistics.median(beyond_ms)
    figures = {
        "cpu_ms_per_trial_beyond_fsyncs": [round(ms, 3) for ms in beyond_ms],
        "cpu_ms_per_trial_beyond_fsyncs_median": round(median_ms, 3), "bound_ms": BOUND_MS,
        "cpu_ms_per_trial_without_fsync_median": round(statistics.median(warm_ms), 3),
        "fsyncs_per_trial": round(sum(fsyncs) / trials, 2), "load_average": round(os.getloadavg()[0], 1),
        "replay_10000_wall_s": round(wall, 2), "replay_10000_cpu_s": round(cpu, 2), "bound_s": BOUND_S,
    }  # fmt: skip
    print(json.dumps(figures, indent=1))
    sys.exit(0 if median_ms <= BOUND_MS and wall <= BOUND_S else 1)


if __name__ == "__main__":
    main()
