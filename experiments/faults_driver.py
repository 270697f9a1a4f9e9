"""Kill a driver with SIGKILL at random moments, resume, compare with the uninterrupted journal; print a table.

Usage: python experiments/faults_driver.py [ROUNDS] [inline|process]
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests" / "nas"
sys.path[:0] = [str(TESTS), str(TESTS.parents[1])]


def kill_and_resume(folder: Path, engine: str, rng: random.Random) -> tuple[int, int, int]:
    """(kills, torn ends, jobs started twice) of one search that is killed until it is done."""
    calls = folder / "calls"
    calls.mkdir()
    journal = folder / "run" / "journal.jsonl"
    kills = torn = 0
    while True:
        arguments = [sys.executable, str(TESTS / "toy_driver.py"), str(folder / "run"), str(calls), engine]
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)
        started = len(list(calls.iterdir()))
        while process.poll() is None and len(list(calls.iterdir())) == started:
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            return kills, torn, sum(len(path.read_text()) - 1 for path in calls.iterdir())
        kills += 1
        torn += journal.exists() and not journal.read_bytes().endswith(b"\n")


def main() -> None:
    from toy_search import journal_of, toy_search

    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    engine = sys.argv[2] if len(sys.argv) > 2 else "inline"
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        toy_search(whole, "evolution", trials=30, slots=3, options={"population": 4, "sample": 2})
        print("| round | kills | torn ends | jobs started twice | journal as uninterrupted |\n|---|---|---|---|---|")
        same = 0
        for number in range(rounds):
            folder = Path(name) / str(number)
            folder.mkdir()
            kills, torn, twice = kill_and_resume(folder, engine, rng)
            equal = journal_of(folder / "run") == journal_of(whole)
            same += equal
            print(f"| {number} | {kills} | {torn} | {twice} | {'yes' if equal else 'NO'} |", flush=True)
    print(f"\n{same} of {rounds} journals byte for byte as the uninterrupted one (engine {engine})")
    sys.exit(0 if same == rounds else 1)


if __name__ == "__main__":
    main()
