"""The door: JSON from outside becomes a frozen dataclass, or one clear sentence. Knows nothing of the types."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from search_spaces.errors import InputError

T = TypeVar("T")

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""Set as `__pydantic_config__` on every dataclass that is read from outside."""

MAX_BYTES = 16 * 1024 * 1024
"""No single JSON document of ours comes near this; larger input is refused before it is parsed."""


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}  # building one costs milliseconds, using it microseconds


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def parse_json(kind: type[T], text: str | bytes, source: str) -> T:
    """Read `text` as a `kind` (a dataclass with `__pydantic_config__ = STRICT`).

    Raises:
        InputError: naming `source`, the field, what was given and what is allowed.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"{source}: {len(text)} bytes given, at most {MAX_BYTES} allowed")
    try:
        parsed: T = _adapter(kind).validate_json(text)
    except ValidationError as error:
        raise InputError(f"{source}: {_sentence(error)}") from None
    return parsed


def read_json(kind: type[T], path: Path) -> T:
    """Read the file `path` as a `kind`; errors as `parse_json`, naming the file."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes given, at most {MAX_BYTES} allowed")
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return parse_json(kind, text, str(path))


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def dump_json(value: Any) -> str:
    """Canonical JSON of a dataclass: sorted keys, no spaces, so that equal values have equal bytes."""
    plain = _adapter(type(value)).dump_python(value, mode="json")
    return _encode(plain)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "document"
    given = repr(first.get("input"))
    if len(given) > 80:
        given = given[:77] + "..."
    more = error.error_count() - 1
    tail = f" (and {more} more)" if more else ""
    said = first["msg"]
    if first["type"] == "union_tag_not_found":  # pydantic speaks of tags and discriminators here
        said = f"its member {first['ctx']['discriminator']} is missing"
    return f"field {field}: given {given}; {said}{tail}"
