"""How a command answers: JSON alone on stdout, or text for people. Knows nothing of what the commands do."""

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Annotated, Any, TextIO

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

INTERRUPTED = 130


@dataclass(frozen=True)
class Answer:
    """What a command found: `facts` for --json, `shown` (strings or rich tables) for people, the exit status."""

    facts: Mapping[str, Any]
    shown: tuple[Any, ...] = ()
    status: int = 0


class Interrupted(KeyboardInterrupt):
    """The user stopped a search that can go on; the message is the command that does."""


def answer(json_output: bool, work: Callable[[], Answer]) -> None:
    """Do `work` and print its answer; with `json_output` stdout carries one JSON object and nothing else.

    Raises:
        typer.Exit: the answer's status is not 0, or the user interrupted (status 130).
    """
    try:
        if json_output:
            with _stdout_as_stderr():
                result = work()
            print_json(result.facts)
        else:
            result = work()
            _show(result.shown)
    except KeyboardInterrupt as interruption:
        raise typer.Exit(_say_interrupted(json_output, interruption)) from None
    if result.status:
        raise typer.Exit(result.status)


def progress(line: str) -> None:
    """Say something on the way: always on stderr, so that stdout stays the answer's."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Inside, SIGTERM does what Ctrl-C does, so that a search ends in order under a job scheduler too."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def print_json(facts: Mapping[str, Any]) -> None:
    """One JSON object and a newline on stdout."""
    sys.stdout.write(json.dumps(facts, allow_nan=False, default=str) + "\n")
    sys.stdout.flush()


def _say_interrupted(json_output: bool, interruption: KeyboardInterrupt) -> int:
    command = str(interruption)
    sys.stderr.write(f"interrupted; go on with: {command}\n" if command else "interrupted\n")
    if json_output:
        print_json({"error": "interrupted", "resume": command or None})
    return INTERRUPTED


def _show(shown: tuple[Any, ...]) -> None:
    for item in shown:
        if isinstance(item, str):
            sys.stdout.write(item + "\n")
        else:
            from rich.console import Console

            Console(highlight=False, markup=False).print(item)
    sys.stdout.flush()


@contextlib.contextmanager
def _stdout_as_stderr() -> Iterator[None]:
    """Libraries print to stdout, some of them from C; while a command works, all of it goes to stderr."""
    sys.stdout.flush()
    descriptor = _descriptor(sys.stdout)
    error_descriptor = _descriptor(sys.stderr)
    saved = None
    if descriptor is not None and error_descriptor is not None:
        saved = os.dup(descriptor)
        os.dup2(error_descriptor, descriptor)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if saved is not None and descriptor is not None:
            os.dup2(saved, descriptor)
            os.close(saved)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (io.UnsupportedOperation, ValueError, AttributeError):
        return None  # a stream in memory, as in tests
