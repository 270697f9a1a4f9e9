"""What searchers share: what they are made of, starts, no repeats. Knows nothing of any one searcher."""

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from nas.objectives import Objective
from nas.recipe import EPOCHS
from nas.trial import Proposal
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decoded, Genotype, SearchSpace, replay, sample
from search_spaces.likeness import most_like

Scalar = str | int | float | bool

_DRAWS = 1000
"""Uniform draws before a space counts as exhausted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a searcher is made from. `variant` follows the colon in its name.

    `cost` predicts a loss: exactly the metric called `cost_name` where that is an objective. `features` are numbers
    that say something of a network without a trial (traced MACs, parameters, state), as many for each. `options` are
    all that were given, those of a searcher inside too; `epochs` is the fidelity of the recipe, `fidelities` are the
    only ones that there are (of a recorded benchmark); none: any.
    """

    space: SearchSpace
    seed: int
    objectives: tuple[Objective, ...]
    start: tuple[Genotype | Architecture, ...] = ()
    options: Mapping[str, Scalar] = field(default_factory=dict)
    variant: str = ""
    cost: Callable[[Architecture], float] | None = None
    cost_name: str = ""
    features: Callable[[Architecture], Sequence[float]] | None = None
    epochs: int = EPOCHS
    fidelities: tuple[int, ...] = ()


class Start:
    """The starting points that are still to be proposed, in the order given.

    A genotype must be of the space. An architecture (a preset, the user's own network) that lies in the space
    gets its genotype. One outside is proposed with an empty genotype, which is the rule by which searchers know
    it: a trial like any other, but never a parent and never a lesson, for it has no answers to change or to
    learn from. Its nearest relative in the space comes right after it, so that the search goes on from there.
    """

    def __init__(self, space: SearchSpace, points: Sequence[Genotype | Architecture]) -> None:
        """Raises InputError if a genotype is not of the space."""
        self._left: deque[Proposal] = deque()
        for point in points:
            if isinstance(point, Architecture):
                self._left.extend(_of_architecture(space, point))
            else:
                self._left.append(Proposal(dict(point), replay(space, point)))

    def take(self, seen: Mapping[str, None]) -> Proposal | None:
        """The next point whose key is not in `seen`; None: there is none left."""
        while self._left:
            proposal = self._left.popleft()
            if proposal.architecture.key not in seen:
                return proposal
        return None


def _of_architecture(space: SearchSpace, architecture: Architecture) -> Iterator[Proposal]:
    nearest = most_like(space, architecture)
    if nearest.architecture.key != architecture.key:
        yield Proposal({}, architecture)
    if type(nearest.architecture.network) is type(architecture.network):
        yield Proposal(nearest.genotype, nearest.architecture)


@contextmanager
def restored_on_failure(rng: random.Random) -> Iterator[Callable[[], None]]:
    """Put `rng` back unless the yielded function was called: an ask that finds nothing leaves no trace."""
    state = rng.getstate()
    kept = False

    def keep() -> None:
        nonlocal kept
        kept = True

    yield keep
    if not kept:
        rng.setstate(state)


def unseen(draw: Callable[[], Decoded], seen: Mapping[str, None], draws: int) -> tuple[Decoded, str] | None:
    """The first of `draws` whose key is not in `seen`, with its key; None: all were."""
    for _ in range(draws):
        decoded = draw()
        key = decoded.architecture.key
        if key not in seen:
            return decoded, key
    return None


def unseen_sample(space: SearchSpace, rng: random.Random, seen: Mapping[str, None]) -> tuple[Decoded, str] | None:
    """A uniform point that is not in `seen`; None: after many draws the space counts as exhausted."""
    return unseen(lambda: sample(space, rng), seen, _DRAWS)
