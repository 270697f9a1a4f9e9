"""Which points a model-based searcher looks at: all of a small space, else draws and relatives of the best.

Knows nothing of models. Original; mutating the best to find where the model promises most is the local search of
SMAC (Hutter et al. 2011, doi:10.1007/978-3-642-25566-3_40, section 4.3).
"""

import random
from collections.abc import Callable, Mapping, Sequence

from nas.searchers.encoding import Point
from search_spaces.decisions import Decoded, Genotype, ListedSpace, SearchSpace, cross, enumerate_all, mutate, sample

WHOLE = 5000
"""Points up to which a space that lists them is looked at as a whole."""

ENUMERATED = 1000
"""The same for a space that has to be asked: finding out that it is larger should take no longer than a trial."""


class Candidates:
    """The points of `space` that could be proposed next; `describe` makes a point of what was decoded."""

    def __init__(self, space: SearchSpace, describe: Callable[[Decoded], Point], fresh: int, kept: int) -> None:
        self._space, self._describe = space, describe
        self._fresh, self._num_kept = fresh, kept
        self._whole: list[Point] | None = None
        self._known: dict[str, Point] = {}
        self._looked = False

    def look(self, rng: random.Random, parents: Sequence[Genotype], seen: Mapping[str, None]) -> list[Point]:
        """Points that are not in `seen`: the whole space, or those kept and fresh ones, half of them of `parents`."""
        whole = self._all()
        if whole is not None:
            return [point for point in whole if point.key not in seen]
        found = {key: point for key, point in self._known.items() if key not in seen}
        for place in range(self._fresh):
            self._add(found, self._draw(rng, parents if place % 2 else ()), seen)
        return list(found.values())

    def relatives(self, rng: random.Random, best: Sequence[Point], seen: Mapping[str, None]) -> list[Point]:
        """Mutants of the candidates that look best so far; none where all are looked at anyway."""
        found = {point.key: point for point in best}
        if self._all() is None:
            for place in range(self._fresh // 2):
                self._add(found, mutate(self._space, best[place % len(best)].genotype, rng), seen)
        return list(found.values())[len(best) :]

    def keep(self, ordered: Sequence[Point]) -> None:
        """Remember the first of `ordered`, best first, for the next look."""
        if self._all() is None:
            self._known = {point.key: point for point in ordered[: self._num_kept]}

    def _add(self, found: dict[str, Point], decoded: Decoded, seen: Mapping[str, None]) -> None:
        key = decoded.architecture.key
        if key not in seen and key not in found:
            found[key] = self._describe(decoded)

    def _draw(self, rng: random.Random, parents: Sequence[Genotype]) -> Decoded:
        """Uniform without parents; else one to three mutations of a parent, or a cross of two."""
        if not parents:
            return sample(self._space, rng)
        if len(parents) > 1 and rng.random() < 0.25:
            one, other = rng.sample(parents, 2)
            return cross(self._space, one, other, rng)
        decoded = mutate(self._space, rng.choice(parents), rng)
        for _ in range(rng.choice((0, 0, 1, 2))):
            decoded = mutate(self._space, decoded.genotype, rng)
        return decoded

    def _all(self) -> list[Point] | None:
        if not self._looked:
            self._looked = True
            self._whole = self._few()
        return self._whole

    def _few(self) -> list[Point] | None:
        if isinstance(self._space, ListedSpace):
            members = self._space.members
            return [self._describe(member) for member in members] if len(members) <= WHOLE else None
        found: dict[str, Decoded] = {}
        for number, decoded in enumerate(enumerate_all(self._space)):
            if number == ENUMERATED:
                return None
            found.setdefault(decoded.architecture.key, decoded)
        return [self._describe(decoded) for decoded in found.values()]
