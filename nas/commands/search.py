"""`vidseg-nas search` and `resume`: run a search in a folder. Knows nothing of searchers or engines."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.options import (
    EngineOption,
    RayAddressOption,
    SearchDir,
    SeedOption,
    SettingsOption,
    TrialsOption,
    WorkersOption,
)
from nas.commands.output import (
    Answer,
    DebugOption,
    Interrupted,
    JsonOption,
    answer,
    terminated_like_interrupted,
)
from nas.commands.parse import duration_s

if TYPE_CHECKING:
    from nas.recipe import Recipe
    from nas.result import Result


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("search", epilog="Example: vidseg-nas search quickstart --out runs/first --trials 12")(search)
    app.command("resume", epilog="Example: vidseg-nas resume runs/first --trials 24")(resume)


def search(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="quickstart, video, MODULE:FUNCTION, FILE.py:FUNCTION.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the search (runs/RECIPE by default).")
    ] = None,
    searcher: Annotated[str | None, typer.Option("--searcher", help="See `list searchers`.")] = None,
    space: Annotated[str | None, typer.Option("--space", help="See `list spaces`.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="moving_shapes, camvid:PATH, folder:PATH ... (`list datasets`).")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", help="RUNTIME[:precision[:threads]]@NAME, e.g. onnxruntime:f32:1@thiscpu."),
    ] = None,
    trials: TrialsOption = None,
    time_limit: Annotated[
        str | None, typer.Option("--time-limit", help="Stop asking after this long: 2h, 90m, 30s.")
    ] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option("--max-latency-ms", help="Slower candidates are infeasible and not trained.")
    ] = None,
    workers: WorkersOption = None,
    engine: EngineOption = "inline",
    ray_address: RayAddressOption = None,
    seed: SeedOption = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            "--start",
            help="preset:NAME, DIR#N or a model folder: its architecture (not its weights) is tried first and "
            "the search goes on from there; may be given several times.",
        ),
    ] = None,
    settings: SettingsOption = None,
    json_output: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Search for networks and keep the Pareto front in a folder."""

    def work() -> Answer:
        from nas.overrides import override, with_constraint
        from nas.recipe import load_recipe
        from nas.search_folder import fresh_folder

        given = {
            "searcher": searcher,
            "space": space,
            "data": data,
            "target": device,
            "trials": trials,
            "time_limit_s": None if time_limit is None else duration_s(time_limit),
            "slots": workers,
            "seed": seed,
            "start": list(start) if start else None,
        }
        resolved = override(load_recipe(recipe), given, settings or (), f"recipe {recipe}")
        if max_latency_ms is not None:
            resolved = with_constraint(resolved, "latency_ms", max_latency_ms)
        folder = out or fresh_folder(recipe.rpartition(":")[2])
        return _run(resolved, folder, engine, workers, ray_address, json_output, resume=False, warm=False)

    answer(json_output, work)


def resume(
    directory: SearchDir,
    trials: TrialsOption = None,
    engine: EngineOption = "inline",
    workers: WorkersOption = None,
    ray_address: RayAddressOption = None,
    warm: Annotated[
        bool,
        typer.Option("--warm", help="Tell the recorded trials as prior data, where replay is not possible."),
    ] = False,
    json_output: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Go on with a search that was interrupted or killed, or extend a finished one. No finished job runs again."""

    def work() -> Answer:
        from nas.overrides import override
        from nas.search_folder import read_recipe

        recorded = read_recipe(directory)
        resolved = override(recorded, {"trials": trials}, (), str(directory))
        return _run(resolved, directory, engine, workers, ray_address, json_output, resume=True, warm=warm)

    answer(json_output, work)


def _run(
    recipe: "Recipe",
    folder: Path,
    engine: str,
    workers: int | None,
    ray_address: str | None,
    json_output: bool,
    *,
    resume: bool,
    warm: bool,
) -> Answer:
    from rich.console import Console

    from nas import api
    from nas.live import LiveView
    from nas.report.next_steps import next_commands
    from nas.report.tables import BRIEF, front_rows, rich_table
    from nas.result import front_facts

    again = f"vidseg-nas resume {shlex.quote(str(folder))}" + _engine_words(engine, workers, ray_address)
    console = Console(stderr=True, force_terminal=False if json_output else None)
    title = f"searching in {folder}: {recipe.searcher} on {recipe.data}, {recipe.trials} trials (engine {engine})"
    try:
        with terminated_like_interrupted(), LiveView(recipe, console, title) as view:
            result = api.search(
                recipe,
                out=folder,
                engine=engine,
                workers=workers,
                ray_address=ray_address,
                resume=resume,
                warm=warm,
                on_event=view,
            )
    except KeyboardInterrupt:
        raise Interrupted(again) from None
    if result.interrupted:
        raise Interrupted(again)
    facts = {
        "folder": str(folder),
        "trials": result.counts(),
        "front": front_facts(result.front),
        "stopped": result.stopped,
    }
    if not result.front:
        return Answer(facts, (f"{result.stopped}; no trial is complete", *_first_failure(result)), status=1)
    table = rich_table(front_rows(result, BRIEF), f"front of {folder}")
    return Answer(
        facts,
        (
            f"{result.stopped}",
            table,
            "go on with:",
            shlex.join(["vidseg-nas", "report", str(folder)]),
            *next_commands(result),
        ),
    )


def _first_failure(result: "Result") -> list[str]:
    from nas.report.tables import reason

    reasons = [f"#{trial.number} {trial.status}: {reason(trial, result)}" for trial in result.candidates]
    return reasons[:1]


def _engine_words(engine: str, workers: int | None, ray_address: str | None) -> str:
    words = "" if engine == "inline" else f" --engine {shlex.quote(engine)}"
    words += "" if workers is None else f" --workers {workers}"
    return words + ("" if ray_address is None else f" --ray-address {shlex.quote(ray_address)}")
