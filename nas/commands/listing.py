"""`vidseg-nas list`: what can be named elsewhere. Knows nothing of what the names stand for."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from nas.commands.output import Answer, DebugOption, JsonOption, answer

Facts = Mapping[str, Any]
Names = Mapping[str, str | Facts]
"""A name is explained by a sentence, or by facts, whose "summary" may be one."""


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
        return Answer(
            {kind: dict(names)}, tuple(f"{name:<{width}}  {_said(what)}".rstrip() for name, what in names.items())
        )

    answer(json_output, work)


def _said(what: str | Facts) -> str:
    """One line: the sentence, or the facts that there are."""
    if isinstance(what, str):
        return what
    if "summary" in what:
        return str(what["summary"])
    return "; ".join(f"{name} {value}" for name, value in what.items() if value is not None)


def _spaces() -> Names:
    from search_spaces.spaces import SPACES, size_in_words

    return {name: f"{entry.description}; {size_in_words(name)}" for name, entry in SPACES.items()}


def _presets() -> Names:
    from search_spaces.presets import PRESETS

    return {name: f"{preset.description} ({preset.source})" for name, preset in PRESETS.items()}


def _cells() -> Names:
    from dataclasses import asdict

    from search_spaces.cell_costs import REFERENCE_CHANNELS, REFERENCE_HW, cell_cost, forms_of
    from search_spaces.cells.registry import CELLS

    at = {"channels": REFERENCE_CHANNELS, "height": REFERENCE_HW[0], "width": REFERENCE_HW[1]}
    return {
        name: {
            "summary": f"{_first_line(entry.spec)} ({entry.source})",
            "source": entry.source,
            "survey": entry.survey,
            "at": at,
            **asdict(cell_cost(entry.spec())),
            "variants": [{"spec": asdict(spec), **asdict(cell_cost(spec))} for spec in forms_of(name)],
        }
        for name, entry in CELLS.items()
    }


def _ops() -> Names:
    from dataclasses import asdict

    from search_spaces.op_catalogue import OPS, REFERENCE_CHANNELS, REFERENCE_HW, reference_cost
    from search_spaces.schedules import REFERENCE_HW as FRAME_HW
    from search_spaces.schedules import REFERENCE_PRESET, SCHEDULES, schedule_cost

    found: dict[str, Facts] = {}
    for name, entry in OPS.items():
        parameters, macs = reference_cost(name)
        found[name] = {
            "kind": entry.kind, "source": entry.source, "survey": entry.survey, "parameters": parameters, "macs": macs,
            "at": f"{REFERENCE_CHANNELS} channels, {REFERENCE_HW[0]}x{REFERENCE_HW[1]}",
        }  # fmt: skip
    for name, schedule in SCHEDULES.items():
        found[name] = {
            "summary": f"{schedule.summary} ({schedule.source})",
            "kind": "schedule", "source": schedule.source, "survey": schedule.survey,
            "typical": asdict(schedule.typical), **asdict(schedule_cost(schedule.typical)),
            "at": f"preset {REFERENCE_PRESET}, {FRAME_HW[0]}x{FRAME_HW[1]}",
        }  # fmt: skip
    return found


def _activations() -> Names:
    from search_spaces.activations import ACTIVATIONS, GATES, SURVEY_SECTION

    def facts(use: str, source: str, lowering: str | None) -> Facts:
        return {"use": use, "source": source, "survey": SURVEY_SECTION, "lowering": lowering}

    return {
        **{name: facts("activation", entry.source, entry.lowering) for name, entry in ACTIVATIONS.items()},
        **{name: facts("gate", entry.source, None) for name, entry in GATES.items()},
    }


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


def _sentence(what: str | Mapping[str, Any]) -> str:
    """Facts in one line; what is empty is left out."""
    if isinstance(what, str):
        return what
    return "; ".join(f"{name} {fact}" for name, fact in what.items() if fact != "")


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
