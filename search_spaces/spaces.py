"""Search spaces by name. Knows nothing of what searches them."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from search_spaces.decisions import SearchSpace, count
from search_spaces.dynamic_cells import DynamicCells, TemporalCells
from search_spaces.errors import InputError
from search_spaces.presets import PRESETS
from search_spaces.recorded_table import is_tabular, open_table
from search_spaces.restricted import Restricted, Rules
from search_spaces.toy import ToySpace
from search_spaces.video_cells import VideoCells


@dataclass(frozen=True, slots=True)
class SpaceEntry:
    """How to make a space, and what it is."""

    make: Callable[[], SearchSpace]
    description: str


SMALL: Rules = {
    "network.input_scale": ("1", "1/2"),
    "network.output_stride": (8, 16),
    "network.num_stages": (3,),
    "stem.channels": (16,),
    "stage*.block": ("residual",),
    "stage*.factorization": ("depthwise_separable",),
    "stage*.depth": (1, 2),
    "decoder.kind": ("skip_add",),
    "decoder.skip_stride": (4,),
    "temporal.sites": (0, 1),
    "temporal0.placement": ("bottleneck", "decoder"),
    "temporal0.kind": ("exponential_average", "temporal_shift", "min_gru", "adaptive_kernels"),
    "training.temporal_weight": (0.0, 1.0),
}
"""Few options of each level; every other question takes its first one."""

SPACES: Mapping[str, SpaceEntry] = {
    "video_cells": SpaceEntry(
        VideoCells, "scale, stem, stages, factorizations, activations, decoder, temporal cells, schedule, temporal loss"
    ),
    "video_cells:encoder": SpaceEntry(
        partial(Restricted, VideoCells(), {"temporal.sites": (0,), "network.schedule": ("none",)}),
        "the same without temporal cells or schedules",
    ),
    "video_cells:temporal": SpaceEntry(TemporalCells, "temporal cells alone, on the network plain_small"),
    "video_cells:small": SpaceEntry(
        partial(Restricted, VideoCells(), SMALL, only_first=True), "few options of each level, for quick searches"
    ),
    "dynamic_cells": SpaceEntry(
        DynamicCells, "the graph, placement and fusion of one dynamic cell, on plain_small or dynamic_cells:PRESET"
    ),
    "toy": SpaceEntry(ToySpace, "a conditional landscape for tests of searchers; nothing is built or trained"),
}


def make_space(name: str) -> SearchSpace:
    """The space called `name`, `dynamic_cells:PRESET` or `tabular:PATH`. Raises InputError naming the allowed ones."""
    if name in SPACES:
        return SPACES[name].make()
    if is_tabular(name):
        return open_table(name).space
    base, _, on = name.partition(":")
    if base == "dynamic_cells" and on in PRESETS:
        return DynamicCells(on)
    presets = ", ".join(f"dynamic_cells:{preset}" for preset in PRESETS)
    raise InputError(f"space {name!r} is unknown; allowed: {', '.join(SPACES)}, {presets}, tabular:PATH")


def size_in_words(name: str) -> str:
    """How many points a listed space has, or the order of magnitude of its genotypes."""
    size = count(SPACES[name].make(), random.Random(0), limit=600, probes=800)
    if size.exact:
        return f"{size.genotypes:.0f} points"
    return f"some 10^{math.log10(size.genotypes):.0f} points"
