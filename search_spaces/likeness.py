"""The point of a space that is most like a given architecture. Knows nothing of searchers, nor of any one space.

Coordinate descent over the answers, by what the canonical JSON says: deterministic, for every space. A point of
the space is found exactly; a foreign architecture gets a relative that a search can go on from.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from search_spaces.architecture import Architecture, NetworkSpec
from search_spaces.decisions import Choose, Decoded, ListedSpace, SearchSpace, decode

_SWEEPS = 8
"""Passes over all questions at most; two or three are enough in practice."""

T = TypeVar("T")
Leaf = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class _Point:
    """A point of the space, what its questions offered and what they were answered with."""

    decoded: Decoded
    options: Mapping[str, Sequence[object]]

    @property
    def answers(self) -> dict[str, object]:
        return {name: self.options[name][index] for name, index in self.decoded.genotype.items()}


def most_like(space: SearchSpace, architecture: Architecture) -> Decoded:
    """The point of `space` nearest to `architecture`; its key is the architecture's if that lies in the space."""
    wanted = _leaves_of(architecture)
    if isinstance(space, ListedSpace):
        return min(space.members, key=lambda member: _distance(wanted, member))
    best = _answered(space, {})
    distance = _distance(wanted, best.decoded)
    for _ in range(_SWEEPS):
        before = distance
        for name in best.options:
            # A question that an answer given in this sweep has taken away offers nothing.
            for option in best.options.get(name, ()):
                point = _settled(space, wanted, _answered(space, {**best.answers, name: option}), best)
                found = _distance(wanted, point.decoded)
                if found < distance:
                    best, distance = point, found
        if distance == 0.0 or distance == before:
            break
    return best.decoded


def _settled(space: SearchSpace, wanted: Mapping[str, Leaf], point: _Point, before: _Point) -> _Point:
    """`point` with those questions answered anew that its one change has brought, or offers other options for.

    Else a change would be judged by what old answers happen to mean among the new options.
    """
    distance = _distance(wanted, point.decoded)
    settled: set[str] = set()
    while True:
        # What an answer given here brings is settled as well.
        changed = (name for name, options in point.options.items() if before.options.get(name) != options)
        name = next((name for name in changed if name not in settled), None)
        if name is None:
            return point
        settled.add(name)
        for option in point.options.get(name, ()):
            other = _answered(space, {**point.answers, name: option})
            found = _distance(wanted, other.decoded)
            if found < distance:
                point, distance = other, found


def _answered(space: SearchSpace, answers: Mapping[str, object]) -> _Point:
    """The point with `answers` where they are among the options, else the first one.

    By value and not by index: where an answer takes options away from later questions, theirs keep their meaning.
    """
    offered: dict[str, Sequence[object]] = {}

    class Watched:
        """The space, telling what it offers before it asks."""

        def decode(self, choose: Choose) -> Architecture:
            """As the space's own."""

            def tell(name: str, options: Sequence[T]) -> T:
                offered[name] = options
                return choose(name, options)

            return space.decode(tell)

    def pick(name: str, num_options: int) -> int:
        return offered[name].index(answers[name]) if name in answers and answers[name] in offered[name] else 0

    return _Point(decode(Watched(), pick), offered)


def _distance(wanted: Mapping[str, Leaf], point: Decoded) -> float:
    """Sum over the leaves of both: 0 where equal, 1 where different, more where one has none."""
    given = _leaves_of(point.architecture)
    return math.fsum(_difference(wanted.get(path), given.get(path)) for path in wanted.keys() | given.keys())


def _difference(one: Leaf, other: Leaf) -> float:
    if one == other:
        return 0.0
    if one is None or other is None:
        # A part of the wrong kind is nearer than no part: answers about it come next.
        return 1.25
    numbers = [value for value in (one, other) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < 2 or min(numbers) <= 0:
        return 1.0
    return min(1.0, abs(math.log2(numbers[0] / numbers[1])) / 2.0)


def _leaves_of(architecture: Architecture) -> Mapping[str, Leaf]:
    """What the JSON says, and how many blocks there are at each stride.

    Two networks whose stages are divided otherwise are still alike if they do as much at a resolution.
    """
    leaves = dict(_walk("", json.loads(architecture.to_json())))
    if isinstance(architecture.network, NetworkSpec):
        blocks: Counter[int] = Counter()
        for stage, stride in zip(architecture.network.stages, architecture.network.strides, strict=True):
            blocks[stride] += stage.depth
        leaves |= {f"blocks at stride {stride}": number for stride, number in blocks.items()}
    return leaves


def _walk(path: str, value: object) -> Iterator[tuple[str, Leaf]]:
    if isinstance(value, dict | list):
        for name, member in _members(value):
            yield from _walk(f"{path}.{name}", member)
    else:
        assert value is None or isinstance(value, str | int | float | bool)
        yield path, value


def _members(value: "dict[str, object] | list[object]") -> Iterable[tuple[object, object]]:
    """By name where there are names: a list of (name, value) pairs is a table."""
    if isinstance(value, dict):
        return value.items()
    pairs = [(item[0], item[1]) for item in value if isinstance(item, list) and len(item) == 2]
    named = len(pairs) == len(value) and all(isinstance(name, str) for name, _ in pairs)
    return pairs if named else enumerate(value)
