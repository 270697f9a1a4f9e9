"""`vidseg-nas list`: what can be named elsewhere. Knows nothing of what the names stand for."""

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from nas.commands.output import Answer, DebugOption, JsonOption, answer

Names = Mapping[str, str]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list", epilog="Example: vidseg-nas list searchers")(listing)


def listing(
    kind: Annotated[str, typer.Argument(metavar="WHAT", help="What to list.")],
    json_output: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List spaces, presets, cells, ops, activations, searchers, datasets, runtimes or devices."""

    def work() -> Answer:
        from search_spaces.errors import InputError

        if kind not in KINDS:
            raise InputError(f"list: {kind!r} given; allowed: {', '.join(KINDS)}")
        names = KINDS[kind]()
        width = max((len(name) for name in names), default=0)
        return Answer({kind: dict(names)}, tuple(f"{name:<{width}}  {what}".rstrip() for name, what in names.items()))

    answer(json_output, work)


def _spaces() -> Names:
    from search_spaces.spaces import SPACES, size_in_words

    return {name: f"{entry.description}; {size_in_words(name)}" for name, entry in SPACES.items()}


def _presets() -> Names:
    from search_spaces.presets import PRESETS

    return {name: f"{preset.description} ({preset.source})" for name, preset in PRESETS.items()}


def _cells() -> Names:
    from search_spaces.cells.registry import CELLS

    return {name: f"{_first_line(entry.spec)} ({entry.source})" for name, entry in CELLS.items()}


def _ops() -> Names:
    from search_spaces.ops.registry import CONVS

    return {name: _first_line(build) for name, build in CONVS.items()}


def _activations() -> Names:
    from search_spaces.activations import ACTIVATIONS

    return dict.fromkeys(ACTIVATIONS, "")


def _searchers() -> Names:
    from nas.searchers.registry import SEARCHERS

    return {name: f"{info.summary} ({info.source})" for name, info in SEARCHERS.items()}


def _datasets() -> Names:
    from evaluators.datasets.registry import DATASETS

    return dict(DATASETS.values())


def _runtimes() -> Names:
    from latency_tables.runtimes.registry import RUNTIMES

    return {
        name: f"{info.about}; {'present' if info.present else f'absent: {info.install}'}"
        for name, info in RUNTIMES.items()
    }


def _devices() -> Names:
    from importlib.resources import files

    from latency_tables.device import THIS_CPU

    tables = files("latency_tables").joinpath("devices")
    found = sorted(item.name for item in tables.iterdir()) if tables.is_dir() else []
    recorded = {name.removesuffix(".jsonl"): "recorded latency table" for name in found if name.endswith(".jsonl")}
    return {THIS_CPU: "the machine this runs on; measured live", **recorded}


def _first_line(documented: object) -> str:
    return (documented.__doc__ or "").strip().splitlines()[0] if documented.__doc__ else ""


KINDS: Mapping[str, Callable[[], Names]] = {
    "spaces": _spaces,
    "presets": _presets,
    "cells": _cells,
    "ops": _ops,
    "activations": _activations,
    "searchers": _searchers,
    "datasets": _datasets,
    "runtimes": _runtimes,
    "devices": _devices,
}
