"""Search spaces by name. Knows nothing of what searches them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from search_spaces.decisions import SearchSpace
from search_spaces.errors import InputError
from search_spaces.toy import ToySpace
from search_spaces.video_cells import VideoCells


@dataclass(frozen=True, slots=True)
class SpaceEntry:
    """How to make a space, and what it is."""

    make: Callable[[], SearchSpace]
    description: str


SPACES: Mapping[str, SpaceEntry] = {
    "video_cells": SpaceEntry(
        VideoCells, "scale, stem, stages, factorizations, activations, decoder, temporal cell, temporal loss"
    ),
    "toy": SpaceEntry(ToySpace, "a conditional landscape for tests of searchers; nothing is built or trained"),
}


def make_space(name: str) -> SearchSpace:
    """The space called `name`. Raises InputError naming the allowed ones."""
    if name not in SPACES:
        raise InputError(f"space {name!r} is unknown; allowed: {', '.join(SPACES)}")
    return SPACES[name].make()
