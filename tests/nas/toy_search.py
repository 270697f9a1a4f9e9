"""A search of the toy space in one call, and evaluators that fail, die or count: shared by the tests of the loop."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluators.job import Job, Outcome
from nas.engines import Inline
from nas.journal import Journal
from nas.lock import FolderLock
from nas.objectives import parse_objectives
from nas.search import Event, SearchResult, search
from nas.searchers.registry import make_searcher
from nas.stages import Stage
from nas.trial import Searcher
from search_spaces.toy import ToySpace, toy_metrics


@dataclass(frozen=True, slots=True)
class ToyCost:
    """Predicts latency_ms without training."""

    dataset: str = "toy:cost"

    def __call__(self, job: Job) -> Outcome:
        return Outcome({"latency_ms": toy_metrics(job.architecture)["latency_ms"]})


@dataclass(frozen=True, slots=True)
class ToyTrain:
    """Scores a point; `log` is a folder where every call leaves a file, `seconds` how long it takes at most.

    Time depends on the key, so that jobs on several workers finish out of order. A key that ends in one of
    `fails` raises; in one of `kills`, kills its worker the first time.
    """

    dataset: str = "toy:train"
    log: str | None = None
    seconds: float = 0.0
    fails: str = ""
    kills: str = ""

    def __call__(self, job: Job) -> Outcome:
        key = job.architecture.key
        if self.log is not None:
            calls = Path(self.log) / f"{job.identity(self.dataset)}"
            with calls.open("a") as file:
                file.write("x")
            if key[-1] in self.kills and calls.stat().st_size == 1:
                os.kill(os.getpid(), 9)
        if self.seconds:
            time.sleep(self.seconds * int(key[:2], 16) / 255)
        if key[-1] in self.fails:
            raise RuntimeError(f"planted failure of {key[:8]}")
        return Outcome({"miou": toy_metrics(job.architecture)["miou"]}, artefact=f"checkpoints/{key[:8]}")


@dataclass(frozen=True, slots=True)
class ToyMeasure:
    """Measures in batches; `log` gets one line a batch: its size."""

    dataset: str = "toy:device"
    log: str | None = None

    def __call__(self, job: Job) -> Outcome:
        return self.many([job])[0]

    def many(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        if self.log is not None:
            with Path(self.log).open("a") as file:
                file.write(f"{len(jobs)}\n")
        return [Outcome({"latency_ms": toy_metrics(job.architecture)["latency_ms"]}) for job in jobs]


COST = Stage("cost", ToyCost(), where="driver")


def toy_search(
    folder: Path,
    searcher: str | Searcher = "random",
    *,
    engine: Callable[[], Executor] = Inline,
    stages: Sequence[Stage] = (COST, Stage("train", ToyTrain())),
    trials: int = 12,
    slots: int = 3,
    in_order: bool = True,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    objectives: tuple[str, ...] = ("miou", "latency_ms"),
    on_event: Callable[[Event], None] | None = None,
    recipe: str = "0" * 64,
    space: ToySpace | None = None,
    **more: Any,
) -> SearchResult:
    """Run or resume the search in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(searcher, str):
        searcher = make_searcher(
            searcher, space or ToySpace(), seed=seed, objectives=parse_objectives(objectives), options=options or {}
        )
    with (
        FolderLock(folder),
        Journal(folder / "journal.jsonl") as journal,
        Journal(folder / "events.jsonl") as events,
        engine() as pool,
    ):
        return search(
            searcher=searcher, stages=stages, journal=journal, events=events, engine=pool, recipe_sha256=recipe,
            slots=slots, in_order=in_order, max_trials=trials, seed=0, epochs=1, on_event=on_event, **more,
        )  # fmt: skip


def journal_of(folder: Path) -> bytes:
    return (folder / "journal.jsonl").read_bytes()
