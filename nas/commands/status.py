"""`vidseg-nas status`: how a search stands, from its files alone. Starts nothing, locks nothing."""

import shlex

import typer

from nas.commands.options import SearchDir
from nas.commands.output import Answer, DebugOption, JsonOption, answer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog="Example: vidseg-nas status runs/first")(status)


def status(directory: SearchDir, json_output: JsonOption = False, debug: DebugOption = False) -> None:
    """Say whether a search is running, finished, interrupted or dead, and what it has found so far."""

    def work() -> Answer:
        from nas.search_folder import read_status

        found = read_status(directory)
        lines = [
            f"{directory}: {found.state}",
            f"trials: {found.told} of {found.budget} told ({found.in_flight} in flight); "
            + ", ".join(f"{number} {name}" for name, number in found.counts.items()),
            f"front: {found.front} networks",
        ]
        if found.best is not None:
            lines.append(f"best {found.objective}: {found.best:.4g}")
        if found.holder:
            lines.append(f"held by {found.holder}")
        if found.state in ("dead", "interrupted"):
            lines.append(f"go on: vidseg-nas resume {shlex.quote(str(directory))}")
        return Answer(found.facts(), tuple(lines))

    answer(json_output, work)
