"""The folder of a search: where its files lie and what they say. Reads without locking, drives nothing."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from nas.files import write_atomically
from nas.lock import holder
from nas.objectives import DIRECTIONS
from nas.recipe import Recipe
from nas.records import History, history, read_records
from nas.result import Result, front_facts, front_of
from nas.trial import Trial
from search_spaces.door import STRICT, dump_json, read_json
from search_spaces.errors import InputError

RECIPE, JOURNAL, EVENTS, FRONT, RUN, REPORT, CHECKPOINTS = (
    "recipe.json", "journal.jsonl", "events.jsonl", "front.json", "run.json", "report.html", "checkpoints",
)  # fmt: skip

State = Literal["running", "finished", "interrupted", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """run.json: the machine of the last run, and how it ended; `ended` is empty until it does."""

    __pydantic_config__: ClassVar = STRICT
    machine: dict[str, str] = field(default_factory=dict)
    ended: str = ""
    interrupted: bool = False
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a search stands. dead: no driver holds the folder and the last one ended without a word."""

    state: State
    told: int
    in_flight: int
    budget: int
    counts: Mapping[str, int]
    front: int
    objective: str
    best: float | None
    holder: str
    ended: str

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def read_recipe(folder: Path) -> Recipe:
    """The resolved recipe of a search. Raises InputError where `folder` is no search folder or it is damaged."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such search folder")
    if not (folder / RECIPE).is_file():
        raise InputError(f"{folder}: not the folder of a search, {RECIPE} is missing")
    return read_json(Recipe, folder / RECIPE)


def write_recipe(folder: Path, recipe: Recipe) -> None:
    """Write the resolved recipe."""
    write_atomically(folder / RECIPE, dump_json(recipe) + "\n")


def write_run(folder: Path, run: Run) -> None:
    """Write run.json."""
    write_atomically(folder / RUN, dump_json(run) + "\n")


def read_run(folder: Path) -> Run:
    """What is known of the last run; nothing where the file is missing."""
    return read_json(Run, folder / RUN) if (folder / RUN).is_file() else Run()


def write_front(folder: Path, result: Result) -> None:
    """Write front.json: a list of {trial, key, architecture, metrics}."""
    write_atomically(folder / FRONT, json.dumps(front_facts(result.front), indent=1) + "\n")


def fresh_folder(name: str) -> Path:
    """runs/NAME, or runs/NAME-2, -3 ... where that is taken."""
    number = 1
    while True:
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            return folder
        number += 1


def load(folder: str | Path) -> Result:
    """What a search has found so far, running or not.

    Raises:
        InputError: no search folder, or a damaged recipe or journal.
    """
    folder = Path(folder)
    return _result(folder, read_recipe(folder), _history(folder))


def trial_of(result: Result, number: int) -> Trial:
    """Trial `number`. Raises InputError where the search has none of that number."""
    for trial in result.trials:
        if trial.number == number:
            return trial
    allowed = f"0..{max(trial.number for trial in result.trials)}" if result.trials else "none are finished yet"
    raise InputError(f"{result.folder}#{number}: no such trial; finished ones: {allowed}")


def read_status(folder: Path) -> Status:
    """How a search stands, from its files alone; errors as `load`."""
    recipe = read_recipe(folder)
    # Ask for the holder first: a driver that ends in between has then already written what it found.
    driver = holder(folder)
    told = _history(folder)
    run = read_run(folder)
    result = _result(folder, recipe, told)
    objective = recipe.objectives[0]
    values = [t.metrics[objective] for t in result.candidates if t.status == "complete" and objective in t.metrics]
    pick = max if DIRECTIONS.get(objective) == "max" else min
    done = len(result.candidates)
    return Status(
        state=_state(driver is not None, done >= recipe.trials, run),
        told=done,
        in_flight=len(told.in_flight),
        budget=recipe.trials,
        counts=result.counts(),
        front=len(result.front),
        objective=objective,
        best=pick(values) if values else None,
        holder=f"pid {driver.pid} on {driver.host}" if driver else "",
        ended=run.ended,
    )


def _state(running: bool, complete: bool, run: Run) -> State:
    if running:
        return "running"
    if run.interrupted:
        return "interrupted"
    if run.ended or complete:
        return "finished"
    return "dead"


def _history(folder: Path) -> History:
    path = folder / JOURNAL
    return history(read_records(path) if path.is_file() else ())


def _result(folder: Path, recipe: Recipe, told: History) -> Result:
    trials = tuple(sorted(told.trials, key=lambda trial: trial.number))
    return Result(recipe, trials, front_of(trials, recipe.objectives), folder)
