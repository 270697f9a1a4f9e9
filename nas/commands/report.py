"""`vidseg-nas report`: the front as a table, and report.html in the folder. Knows nothing of how it is drawn."""

import typer

from nas.commands.options import SearchDir
from nas.commands.output import Answer, DebugOption, JsonOption, answer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", epilog="Example: vidseg-nas report runs/first")(report)


def report(directory: SearchDir, json_output: JsonOption = False, debug: DebugOption = False) -> None:
    """Print the front as a table and write DIR/report.html, one file that needs no network."""

    def work() -> Answer:
        from nas.report.next_steps import next_commands
        from nas.report.tables import front_rows, rich_table
        from nas.report.write import write_examples, write_report
        from nas.result import front_facts
        from nas.search_folder import load
        from search_spaces.errors import InputError, MissingExtraError

        result = load(directory)
        table = rich_table(front_rows(result), f"front of {directory}")
        facts = {"folder": str(directory), "trials": result.counts(), "front": front_facts(result.front)}
        notes = []
        try:
            write_examples(result, directory)
        except InputError as error:
            # The data may have moved since; the figures stand without pictures.
            notes.append(f"no example frames: {error}")
        try:
            path = write_report(result, directory)
        except MissingExtraError as error:
            # The table needs no plots: say what the page lacks and give what there is.
            return Answer({**facts, "report": None, "reason": str(error)}, (table, f"no report.html: {error}"))
        return Answer(
            {**facts, "report": str(path), "notes": notes},
            (table, *notes, f"written: {path}", "go on with:", *next_commands(result)),
        )

    answer(json_output, work)
