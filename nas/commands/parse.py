"""Values that options carry: durations, sizes. Knows nothing of commands."""

import re

from search_spaces.errors import InputError

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)

MIN_SIDE, MAX_SIDE = 32, 4096


def duration_s(text: str) -> float:
    """Seconds of `2h`, `90m`, `30s` or `1h30m`.

    Raises:
        InputError: anything else, or a duration of zero.
    """
    found = _DURATION.fullmatch(text)
    if found and text:
        parts = zip(found.groups(), _SECONDS.values(), strict=True)
        total = sum(float(number) * unit for number, unit in parts if number is not None)
        if total > 0:
            return total
    raise InputError(f"--time-limit: {text!r} given; allowed: a duration such as 2h, 90m, 30s or 1h30m")


def size_hw(text: str, option: str = "--size") -> tuple[int, int]:
    """(height, width) of `HxW`.

    Raises:
        InputError: not HxW, or a side outside 32..4096 pixels.
    """
    found = _SIZE.fullmatch(text)
    if found:
        height, width = int(found[1]), int(found[2])
        if min(height, width) >= MIN_SIDE and max(height, width) <= MAX_SIDE:
            return height, width
    raise InputError(
        f"{option}: {text!r} given; allowed: HxW (height x width) with sides of {MIN_SIDE}..{MAX_SIDE} pixels"
    )
