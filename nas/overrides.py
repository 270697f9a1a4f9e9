"""Options of the command line over a recipe: typed by the recipe's fields. Knows nothing of the command line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from nas.recipe import Recipe, fields_of
from search_spaces.door import parse_json
from search_spaces.errors import InputError

GROUPS = ("training", "searcher_options", "constraints")
"""Fields of the recipe that are tables: set one entry with FIELD.NAME=VALUE."""

_TEXT = ("space", "searcher", "data", "target")
_LISTS = ("objectives", "start")


def override(recipe: Recipe, given: Mapping[str, Any], settings: Sequence[str], source: str) -> Recipe:
    """The recipe with the fields in `given` replaced (None: left alone), then every `key=value` of `settings`.

    Raises:
        InputError: an unknown key, or a value of the wrong type or out of bounds, naming what is allowed.
    """
    values = fields_of(recipe)
    values |= {name: value for name, value in given.items() if value is not None}
    if values["searcher"] != recipe.searcher:
        values["searcher_options"] = {}  # the options of one searcher say nothing to another
    for setting in settings:
        _apply(values, setting)
    resolved = parse_json(Recipe, json.dumps(values), source)
    if resolved.training:
        from evaluators.options import train_options

        train_options(resolved.training)  # an unknown option is found out now, not when the first trial starts
    return resolved


def with_constraint(recipe: Recipe, metric: str, bound: float) -> Recipe:
    """The recipe with one more upper bound."""
    values = fields_of(recipe)
    values["constraints"][metric] = bound
    return parse_json(Recipe, json.dumps(values), metric)


def _apply(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise InputError(f"--set {setting!r}: allowed: KEY=VALUE, such as epochs=10 or training.learning_rate=0.1")
    group, dot, name = key.partition(".")
    if dot and group in GROUPS and name:
        values[group][name] = _scalar(text)
    elif not dot and key in values and key not in GROUPS:
        values[key] = _typed(key, text)
    else:
        raise InputError(f"--set {key!r}: unknown; allowed: {', '.join(_allowed())}")


def _allowed() -> list[str]:
    plain = [field.name for field in fields(Recipe) if field.name not in GROUPS]
    return [*plain, *(f"{group}.NAME" for group in GROUPS)]


def _typed(key: str, text: str) -> Any:
    if key in _TEXT:
        return text
    if key in _LISTS and not text.startswith("["):
        return [part for part in text.split(",") if part]
    if key == "size_hw" and not text.startswith("["):
        from nas.commands.parse import size_hw

        return size_hw(text, "--set size_hw")
    return _scalar(text)


def _scalar(text: str) -> Any:
    """JSON where it is JSON (numbers, true, false, null, lists), else the text itself."""
    try:
        return json.loads(text, parse_constant=str)
    except (json.JSONDecodeError, RecursionError):
        return text
