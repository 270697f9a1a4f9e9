"""The command line: which commands exist, and what becomes of errors. Knows nothing of what commands do.

Nothing heavy is imported here: torch, Ray, Optuna and pydantic are imported by the commands that need them.
Exit status: 0 done, 1 failed, 2 wrong usage or bad input, 130 interrupted.
"""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import cast

import typer

from nas.commands import (
    compare,
    data,
    doctor,
    evaluate,
    export,
    listing,
    measure,
    report,
    search,
    segment,
    status,
    train,
)
from nas.commands.output import print_json
from search_spaces.errors import InputError

HELP = """Find neural networks that segment video, on the device you name.

Start with: vidseg-nas search quickstart --out runs/first
"""

app = typer.Typer(
    name="vidseg-nas",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _module in (search, status, report, train, evaluate, export, measure, segment, compare, listing, data, doctor):
    _module.register(app)


# typer's own copy of click in newer versions, click's in older ones: the same class either way.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; `arguments` default to the process's own.

    Raises:
        SystemExit: always, with the exit status.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Read from the words themselves: an error may come before any option has been parsed.
    debug, json_output = "--debug" in given, "--json" in given
    sys.excepthook = _OneSentence(debug, json_output)
    try:
        status = typer.main.get_command(app).main(args=given, prog_name="vidseg-nas", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except _UsageError as error:
        error.show()
        if json_output:
            print_json({"error": error.format_message()})
        sys.exit(2)
    except InputError as error:
        if debug:
            sys.__excepthook__(type(error), error, error.__traceback__)
        _say(str(error), json_output)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        sys.exit(130)


class _OneSentence:
    """What Python calls for an exception that nobody handled, before it ends with status 1."""

    def __init__(self, debug: bool, json_output: bool) -> None:
        self.debug = debug
        self.json_output = json_output

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        """Say it in one sentence; the traceback only where it was asked for."""
        if self.debug:
            sys.__excepthook__(kind, error, traceback)
        first_line = (str(error).strip().splitlines() or ["no message"])[0]
        _say(f"{kind.__name__}: {first_line} (--debug shows where)", self.json_output)


def _say(sentence: str, json_output: bool) -> None:
    sys.stderr.write(f"error: {sentence}\n")
    if json_output:
        print_json({"error": sentence})


if __name__ == "__main__":
    main()
