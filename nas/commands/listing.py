"""`vidseg-nas list`: what can be named elsewhere. Knows nothing of what the names stand for."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.commands.measured import cost_facts, latency_facts
from nas.commands.output import Answer, DebugOption, JsonOption, answer

if TYPE_CHECKING:
    from search_spaces.schedules import ScheduleEntry

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
    facts = {name: value for name, value in what.items() if value is not None and name not in ("latency", "variants")}
    said = "; ".join(f"{name} {value}" for name, value in facts.items() if value != "")
    return said + _ratios(what.get("latency"))


def _ratios(latency: Facts | None) -> str:
    """The usual form's latency in dense 3x3 convolutions, by runtime."""
    if latency is None:
        return ""
    ratios = latency["forms"][0]["ratio_to_dense_3x3"]
    return "; " + ", ".join(f"{ratio:.2f} dense 3x3 in {runtime}" for runtime, ratio in ratios.items())


def _spaces() -> Names:
    from search_spaces.spaces import SPACES, size_in_words

    found = {name: f"{entry.description}; {size_in_words(name)}" for name, entry in SPACES.items()}
    return {**found, "tabular:PATH": "the networks of a recorded benchmark, a CSV or a folder; nothing is trained"}


def _presets() -> Names:
    from search_spaces.presets import PRESETS, REFERENCE_CLASSES, REFERENCE_HW, preset_cost

    at = {"height": REFERENCE_HW[0], "width": REFERENCE_HW[1], "classes": REFERENCE_CLASSES}
    found = {}
    for name, preset in PRESETS.items():
        cost = preset_cost(name)
        size = f"{cost.parameters / 1e6:.2f} M parameters, {cost.macs / 1e9:.2f} GMAC"
        found[name] = {
            "summary": f"{preset.description}; {size} ({preset.source})",
            "source": preset.source, "survey": preset.survey, "at": at, **asdict(cost),
        }  # fmt: skip
    return found


def _cells() -> Names:
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
            "latency": latency_facts("cell", name),
            "variants": [{"spec": asdict(spec), **asdict(cell_cost(spec))} for spec in forms_of(name)],
        }
        for name, entry in CELLS.items()
    }


def _ops() -> Names:
    from search_spaces.op_catalogue import OPS, REFERENCE_CHANNELS, REFERENCE_HW, reference_cost
    from search_spaces.part_catalogue import PARTS
    from search_spaces.schedules import SCHEDULES

    at = f"{REFERENCE_CHANNELS} channels, {REFERENCE_HW[0]}x{REFERENCE_HW[1]}"
    found: dict[str, Facts] = {}
    for name, entry in OPS.items():
        parameters, macs = reference_cost(name)
        found[name] = {
            "kind": entry.kind, "source": entry.source, "survey": entry.survey, "parameters": parameters, "macs": macs,
            "state_bytes": 0, "latency": latency_facts(entry.kind, name), "at": at,
        }  # fmt: skip
    for name, part in PARTS.items():
        origin = {"kind": part.kind, "source": part.source, "survey": part.survey}
        if part.free:
            nothing = {"parameters": 0, "macs": 0, "state_bytes": 0, "latency": None}
            found[name] = {**origin, **nothing, "note": part.free, "at": at}
        else:
            found[name] = {**origin, **cost_facts(part.kind, part.option), "at": at}
    found.update({name: _schedule(name, entry) for name, entry in SCHEDULES.items()})
    return found


def _schedule(name: str, entry: "ScheduleEntry") -> Facts:
    """What a schedule costs is what it leaves of a network, so it is stated on one."""
    from search_spaces.schedules import REFERENCE_HW, REFERENCE_PRESET, schedule_cost

    cost = schedule_cost(entry.typical)
    values = ", ".join(f"{field} {value}" for field, value in asdict(entry.typical).items() if field != "kind")
    summary = f"{entry.summary}; here {values}, the dearest phase {cost.worst_macs} MACs"
    latency = latency_facts("schedule", name)
    return {
        "kind": "schedule", "source": entry.source, "survey": entry.survey,
        "parameters": cost.parameters, "macs": cost.macs, "state_bytes": cost.state_bytes,
        "latency": latency, "summary": summary,
        "at": f"preset {REFERENCE_PRESET}, {REFERENCE_HW[0]}x{REFERENCE_HW[1]}",
        **({} if latency else {"note": "not timed yet: run experiments.schedule_costs, then op_costs_package"}),
    }  # fmt: skip


def _activations() -> Names:
    from search_spaces.activations import ACTIVATIONS, GATES, SURVEY_SECTION

    def facts(use: str, name: str, source: str, lowering: str | None) -> Facts:
        origin = {"use": use, "source": source, "survey": SURVEY_SECTION, "lowering": lowering}
        return {**origin, **cost_facts(use, name)}

    return {
        **{name: facts("activation", name, entry.source, entry.lowering) for name, entry in ACTIVATIONS.items()},
        **{name: facts("gate", name, entry.source, None) for name, entry in GATES.items()},
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
