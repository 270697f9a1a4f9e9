"""What takes part in the comparison: known designs at some widths, and the front of a search. Trains and times nothing.

A front is a search folder's front.json: a list of {trial, key, architecture, metrics}.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.designs import DESIGNS
from experiments.designs.streaming import Streamed
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.network import VideoSegmenter, build

KEYS = ("name", "width", "average")
"""What names a row of every table."""

WIDTHS: Mapping[str, tuple[float, ...]] = {
    "fast_scnn": (0.5, 1.0),
    "lraspp": (0.5, 1.0),
    "ddrnet": (0.25, 0.5),
    "enet": (0.25, 0.5),
    "contextnet": (0.5, 1.0),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A known design at a width, with our average or without; or a member of the front, as it was found.

    A member of the front has its architecture, the start of its key for a name, and neither width nor average.
    """

    name: str
    width: float | None = None
    average: bool = False
    architecture: Architecture | None = None

    @property
    def key(self) -> dict[str, str]:
        """The columns KEYS."""
        if self.width is None:
            return {"name": self.name, "width": "-", "average": "-"}
        return {"name": self.name, "width": f"{self.width:g}", "average": "yes" if self.average else "no"}

    @property
    def temporal_weight(self) -> float:
        """Of the temporal loss: the search decides it for its networks; known designs are trained without."""
        return 0.0 if self.architecture is None else self.architecture.training.temporal_weight

    def build(self, num_classes: int, *, seed: int) -> Streamed | VideoSegmenter:
        """The network with fresh weights drawn from `seed`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.architecture is not None:
                return build(self.architecture, num_classes)
            assert self.width is not None
            return Streamed(DESIGNS[self.name](num_classes, self.width), average=self.average)


def design_entries(widths: Mapping[str, tuple[float, ...]] = WIDTHS) -> Iterator[Entry]:
    """Every design at every width, without and with the average."""
    for name, options in widths.items():
        for width in options:
            for average in (False, True):
                yield Entry(name, width, average)


def front_entries(path: Path, trials: Collection[int] | None = None) -> Iterator[Entry]:
    """The members of a front; those of `trials` alone where that is given.

    Raises:
        InputError: no such file, or no front.
    """
    try:
        members = json.loads(path.read_text())
        chosen = [member for member in members if trials is None or member["trial"] in trials]
        architectures = [json.dumps(member["architecture"]) for member in chosen]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: {type(error).__name__}: {error}; the front.json of a search folder is needed"
        ) from None
    for text in architectures:
        architecture = Architecture.from_json(text, str(path))
        yield Entry(f"front:{architecture.key[:8]}", architecture=architecture)
