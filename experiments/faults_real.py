"""Kill a search with real training and measuring at random moments, resume it, and look for lost or doubled work.

Usage: python -m experiments.faults_real [ROUNDS]
Every record that was in the journal at a kill must still stand at the end, byte for byte, and no training or
measurement with a durable result may run again.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from nas.recipe import Recipe

TRIALS, KILLS = 5, 4


def tiny() -> Recipe:
    """A real search that takes under a minute: small frames, one epoch."""
    return Recipe(size_hw=(48, 64), trials=TRIALS, epochs=1, searcher="random", training={"threads": 1})


def one_round(folder: Path, rng: random.Random) -> tuple[int, int, int]:
    """(kills, records that did not stand, jobs done twice)."""
    cli = [sys.executable, "-m", "nas.cli"]
    kept: list[bytes] = []
    kills = 0
    command = [*cli, "search", "experiments/faults_real.py:tiny", "--out", str(folder)]
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if kills < KILLS:
            time.sleep(rng.uniform(4.0, 16.0))
            process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"the driver ended with {process.returncode}")
        kills += 1
        journal = folder / "journal.jsonl"
        if journal.exists():
            blob = journal.read_bytes()
            kept.append(blob[: blob.rfind(b"\n") + 1])
            command = [*cli, "resume", str(folder)]
    final = (folder / "journal.jsonl").read_bytes()
    lost = sum(not final.startswith(blob) for blob in kept)
    done: Counter[str] = Counter()
    for line in (folder / "events.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["type"] == "finished" and record["stage"] in ("train", "measure"):
            done[record["identity"]] += 1
    return kills, lost, sum(count - 1 for count in done.values())


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rng = random.Random(0)
    print("| round | kills | records lost or changed | jobs done twice |\n|---|---|---|---|")
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            kills, lost, twice = one_round(Path(name) / "run", rng)
        print(f"| {number} | {kills} | {lost} | {twice} |", flush=True)


if __name__ == "__main__":
    main()
