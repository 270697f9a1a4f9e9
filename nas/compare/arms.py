"""Which recipes are the same arm, what an arm is called, and which cannot be compared. Knows nothing of results."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nas.recipe import BUDGET, Recipe, fields_of
from search_spaces.errors import InputError

AGREE = ("space", "data", "size_hw", "target", "objectives", "constraints")
"""What accuracy, latency and their meaning depend on: equal in all folders, or nothing can be compared."""

TABLES = ("searcher_options", "training")


def refuse_mixed(recipes: Mapping[str, Recipe]) -> None:
    """Raise InputError where two of the recipes (by folder) differ in a field that must agree."""
    fields = {folder: fields_of(recipe) for folder, recipe in sorted(recipes.items())}
    first, *others = fields
    for name in AGREE:
        for other in others:
            if fields[first][name] != fields[other][name]:
                raise InputError(
                    f"{first} and {other} cannot be compared: {name} is {json.dumps(fields[first][name])} in the one "
                    f"and {json.dumps(fields[other][name])} in the other; allowed to differ: searcher, its options, "
                    "training, epochs, slots, start, seed and budget"
                )


def arm_names(recipes: Mapping[str, Recipe]) -> Mapping[str, str]:
    """The arm of each folder: its searcher, with the settings in which it differs from other arms.

    Seed and budget make no arm. A searcher's options are named where they differ among the arms of that
    searcher, everything else where it differs among any two.
    """
    settings = {folder: _settings(recipe) for folder, recipe in recipes.items()}
    names = sorted({name for found in settings.values() for name in found})
    told: dict[str, str] = {}
    for folder, recipe in recipes.items():
        parts = [recipe.searcher]
        for name in names:
            of_searcher = name.startswith("searcher_options.")
            peers = [f for f in recipes if not of_searcher or recipes[f].searcher == recipe.searcher]
            if len({settings[peer].get(name, "default") for peer in peers}) > 1:
                parts.append(f"{name.removeprefix('searcher_options.')}={settings[folder].get(name, 'default')}")
        told[folder] = " ".join(parts)
    return told


def _settings(recipe: Recipe) -> dict[str, str]:
    """Everything that makes an arm but the searcher's name, flat, as text."""
    found: dict[str, str] = {}
    for name, value in fields_of(recipe).items():
        if name in TABLES:
            found |= {f"{name}.{key}": _text(inner) for key, inner in value.items()}
        elif name not in (*AGREE, *BUDGET, "seed", "searcher"):
            found[name] = _text(value)
    return found


def _text(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(_text, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value)
