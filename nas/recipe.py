"""The recipe: everything a search is asked to do, as frozen JSON values. Knows nothing of how it is done."""

import importlib
import importlib.util
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from search_spaces.door import STRICT, dump_json, parse_json
from search_spaces.errors import InputError

Scalar = str | int | float | bool

BUDGET = ("trials", "time_limit_s")
"""Fields of the recipe that say how long to search, not what: they may change on resume."""

EPOCHS = 5
"""Fidelity of a trial where a recipe names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to search, on which data, for which device, with which budget.

    `trials` and `time_limit_s` are the budget; `epochs` the fidelity of a trial; `slots` how many trials
    may be in flight on every engine; `in_order` tells the searcher of trials in the order they were asked,
    which makes the journal independent of the engine. `constraints` are upper bounds on metrics.
    """

    __pydantic_config__: ClassVar = STRICT
    space: str = "video_cells"
    searcher: str = "evolution"
    searcher_options: dict[str, Scalar] = field(default_factory=dict)
    data: str = "moving_shapes"
    size_hw: tuple[Annotated[int, Field(ge=32, le=4096)], Annotated[int, Field(ge=32, le=4096)]] | None = None
    target: str = "onnxruntime:f32:1@thiscpu"
    objectives: tuple[str, ...] = ("miou", "latency_ms")
    constraints: dict[str, float] = field(default_factory=dict)
    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 16
    time_limit_s: Annotated[float, Field(gt=0)] | None = None
    epochs: Annotated[int, Field(ge=1, le=100_000)] = EPOCHS
    training: dict[str, Scalar] = field(default_factory=dict)
    slots: Annotated[int, Field(ge=1, le=4096)] = 1
    in_order: bool = True
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    start: tuple[str, ...] = ()


def fields_of(recipe: Recipe) -> dict[str, Any]:
    """The fields as JSON values, right or wrong: a Recipe made in Python has not been looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        values: dict[str, Any] = json.loads(dump_json(recipe))
    return values


def checked(recipe: Recipe, source: str) -> Recipe:
    """The recipe, every field of the right type and within its bounds. Raises InputError naming the field."""
    return parse_json(Recipe, json.dumps(fields_of(recipe)), source)


RecipeFunction = Callable[[], Recipe]


def load_recipe(name: str) -> Recipe:
    """`quickstart`, `module:function` or `file.py:function`, called.

    Raises:
        InputError: no such recipe, module, file or function, or it does not return a Recipe.
    """
    if ":" not in name:
        from nas.recipes import BUILT_IN

        if name not in BUILT_IN:
            raise InputError(
                f"recipe {name!r} is unknown; allowed: {', '.join(sorted(BUILT_IN))}, module:function, file.py:function"
            )
        return BUILT_IN[name]()
    where, _, function_name = name.rpartition(":")
    function = getattr(_module(where), function_name, None)
    if not callable(function):
        raise InputError(f"recipe {name!r}: {where} has no function {function_name!r}")
    try:
        recipe = function()
    except TypeError as error:  # a field that a Recipe does not have, above all
        raise InputError(f"recipe {name!r}: {error}") from error
    if not isinstance(recipe, Recipe):
        raise InputError(f"recipe {name!r}: returned {type(recipe).__name__}, a Recipe is needed")
    return recipe


def _module(where: str) -> object:
    if where.endswith(".py"):
        path = Path(where)
        if not path.is_file():
            raise InputError(f"recipe file {where} does not exist")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except SyntaxError as error:
            raise InputError(f"recipe file {error.filename} line {error.lineno}: {error.msg}") from error
        return module
    # The installed command does not look in the current folder by itself; last, so that nothing is shadowed.
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        raise InputError(f"recipe module {where!r} cannot be imported: {error}") from None
