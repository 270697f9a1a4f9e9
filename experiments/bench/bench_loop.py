"""What the loop itself costs: CPU time per trial beyond its fsyncs, and the replay of 10,000 trials.

Usage: python experiments/bench/bench_loop.py [TRIALS] [ROUNDS]

Bounds: 0.5 ms of CPU time per trial (searcher `random`, toy space, two stages that only look up), over
a run that only appends and fsyncs the same records, interleaved with it; 10 s for the replay of 10,000 trials
with `evolution`. Fsyncs are real, so run it on the disk that matters (TMPDIR).
"""

import json
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


def append_cpu_s(source: Path, target: Path) -> float:
    """CPU time for appending the bytes of the same records, with the same fsyncs."""
    import os

    target.mkdir()
    files = []
    for name in ("journal.jsonl", "events.jsonl"):
        lines = (source / name).read_bytes().splitlines(keepends=True)
        files.append((target / name, [(line, name[0] == "j" or b'"type":"finished"' in line) for line in lines]))
    start = time.process_time()
    for path, lines in files:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        for line, durable in lines:
            os.write(fd, line)
            if durable:
                os.fsync(fd)
        os.close(fd)
    return time.process_time() - start


def replay_s(folder: Path, trials: int) -> tuple[float, float]:
    """(wall, CPU) time of resuming a finished search of `trials` trials."""
    import os

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
        per_trial_ms = []
        for number in range(rounds):
            whole = loop_cpu_s(root / f"loop{number}", "random", trials)
            bare = append_cpu_s(root / f"loop{number}", root / f"bare{number}")
            per_trial_ms.append(1e3 * (whole - bare) / trials)
        wall, cpu = replay_s(root / "replay", 10_000)
    figures = {
        "loop_cpu_ms_per_trial": [round(ms, 4) for ms in per_trial_ms],
        "loop_cpu_ms_per_trial_median": round(statistics.median(per_trial_ms), 4), "bound_ms": BOUND_MS,
        "replay_10000_wall_s": round(wall, 2), "replay_10000_cpu_s": round(cpu, 2), "bound_s": BOUND_S,
    }  # fmt: skip
    print(json.dumps(figures, indent=1))
    sys.exit(0 if statistics.median(per_trial_ms) <= BOUND_MS and wall <= BOUND_S else 1)


if __name__ == "__main__":
    main()
