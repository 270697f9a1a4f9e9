"""A search from Python: `search`, `load`, `Streamer`. Composes the parts and owns none of their knowledge."""

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from nas.compose import make_parts
from nas.engines import ENGINES, make_engine
from nas.journal import Journal
from nas.lock import FolderLock
from nas.machine import machine_facts
from nas.recipe import BUDGET, Recipe, checked, fields_of
from nas.result import Result
from nas.search import Event, SearchResult
from nas.search import search as run_search
from nas.search_folder import (
    CHECKPOINTS,
    EVENTS,
    JOURNAL,
    RECIPE,
    Run,
    fresh_folder,
    load,
    read_recipe,
    write_front,
    write_recipe,
    write_run,
)
from nas.streamer import Streamer
from search_spaces.errors import InputError

__all__ = ["Recipe", "Result", "Streamer", "load", "recipe_sha256", "search"]


def search(
    recipe: Recipe,
    *,
    out: str | Path | None = None,
    engine: str = "inline",
    workers: int | None = None,
    ray_address: str | None = None,
    resume: bool = False,
    warm: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> Result:
    """Run `recipe` in the folder `out` (a new one under `runs` by default), or `resume` what is there.

    `workers` is the size of the engine's pool (the recipe's slots by default). An interrupt ends the search in
    order: the result says `interrupted`, and `resume` takes it up.

    Raises:
        InputError: a recipe that cannot be done, a folder that is taken or in use, a changed recipe on resume.
    """
    if resume and out is None:
        raise InputError("resume: no folder given; `out` names the search to go on with")
    folder = fresh_folder("search") if out is None else Path(out)
    recipe = checked(recipe, "recipe")
    if resume:
        _refuse_changed(read_recipe(folder), recipe, folder)
    elif (folder / RECIPE).exists() or (folder / JOURNAL).exists():
        raise InputError(
            f"{folder}: holds a search already; go on with `vidseg-nas resume {folder}`, or give another folder"
        )
    if engine not in ENGINES:
        raise InputError(f"engine: {engine!r} given; allowed: {', '.join(ENGINES)}")
    parts = make_parts(recipe, folder)  # finds every mistake of the recipe before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(FolderLock(folder))
        journal = stack.enter_context(Journal(folder / JOURNAL))
        events = stack.enter_context(Journal(folder / EVENTS))
        (folder / CHECKPOINTS).mkdir(exist_ok=True)
        write_recipe(folder, recipe)
        run = Run(machine=dict(machine_facts()))
        write_run(folder, run)
        pool = stack.enter_context(make_engine(engine, workers or recipe.slots, ray_address))
        found = run_search(
            searcher=parts.searcher,
            stages=parts.stages,
            journal=journal,
            events=events,
            engine=pool,
            recipe_sha256=recipe_sha256(recipe),
            slots=recipe.slots,
            in_order=recipe.in_order,
            max_trials=recipe.trials,
            seed=recipe.seed,
            epochs=recipe.epochs,
            time_limit_s=recipe.time_limit_s,
            constraints=recipe.constraints,
            needed_metrics=recipe.objectives,
            on_event=on_event,
            warm=warm,
        )
        # While the lock is held, so that `status` never sees an ended search without its end.
        return _finish(folder, run, found)


def recipe_sha256(recipe: Recipe) -> str:
    """What a journal is tied to: the recipe without its budget, which a resume may extend."""
    fields = fields_of(recipe)
    kept = {name: value for name, value in fields.items() if name not in BUDGET}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _finish(folder: Path, run: Run, found: SearchResult) -> Result:
    result = load(folder)
    write_front(folder, result)
    write_run(folder, replace(run, ended=found.stop_reason, interrupted=found.interrupted))
    return replace(result, stopped=found.stop_reason, interrupted=found.interrupted)


def _refuse_changed(recorded: Recipe, given: Recipe, folder: Path) -> None:
    old, new = fields_of(recorded), fields_of(given)
    changed = [name for name in old if name not in BUDGET and old[name] != new[name]]
    if changed:
        name = changed[0]
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise InputError(
            f"{folder / RECIPE}: field {name}: {new[name]!r} given, {old[name]!r} recorded{more}; a resume may only "
            f"change {' and '.join(BUDGET)}"
        )
