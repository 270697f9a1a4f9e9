"""Named questions and their answers: the one seam between spaces and searchers. Knows nothing of networks.

A space is a function that asks `choose(name, options)`; every searcher is a way of answering. The idea is
define-by-run (Akiba et al. 2019, arXiv:1907.10902) reduced to one callback (compare Peng et al. 2020,
arXiv:2101.08809); conditional questions cost nothing, because a question that is not asked does not exist.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from search_spaces.architecture import Architecture
from search_spaces.errors import InputError

T = TypeVar("T")

Genotype = Mapping[str, int]
"""Decision name -> index of the option taken, in the order asked."""


class Choose(Protocol):
    """Answers a question. Names are dotted paths, such as "stage2.block"; they are asked at most once."""

    def __call__(self, name: str, options: Sequence[T]) -> T:
        """One of `options`."""


class SearchSpace(Protocol):
    """What can be built. `decode` must depend on the answers alone."""

    def decode(self, choose: Choose) -> Architecture:
        """Ask the questions and return the architecture that the answers describe."""


Pick = Callable[[str, int], int]
"""(decision name, number of options) -> index: how a searcher answers."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An architecture, the genotype that led to it and how many options each question had."""

    architecture: Architecture
    genotype: Genotype
    num_options: Mapping[str, int]


def decode(space: SearchSpace, pick: Pick) -> Decoded:
    """Run the space with `pick` answering; records what was asked.

    Raises:
        ValueError: a name is asked twice, a question has no options, or the answer is out of range.
    """
    genotype: dict[str, int] = {}
    num_options: dict[str, int] = {}

    def choose(name: str, options: Sequence[T]) -> T:
        if name in genotype:
            raise ValueError(f"the space asks {name!r} twice; decision names must be unique")
        if not options:
            raise ValueError(f"the space asks {name!r} without any option")
        index = pick(name, len(options))
        if not 0 <= index < len(options):
            raise ValueError(f"decision {name!r}: option {index} given, 0..{len(options) - 1} allowed")
        genotype[name] = index
        num_options[name] = len(options)
        return options[index]

    return Decoded(space.decode(choose), genotype, num_options)


def replay(space: SearchSpace, genotype: Genotype) -> Architecture:
    """The architecture of a recorded genotype.

    Raises:
        InputError: the genotype lacks a decision, has one the space never asks, or an option out of range.
    """

    def pick(name: str, num_options: int) -> int:
        if name not in genotype:
            raise InputError(f"genotype: decision {name!r} is missing; the space asks it")
        index = genotype[name]
        if not 0 <= index < num_options:
            raise InputError(f"genotype: decision {name!r}: {index} given, 0..{num_options - 1} allowed")
        return index

    decoded = decode(space, pick)
    unknown = [name for name in genotype if name not in decoded.genotype]
    if unknown:
        raise InputError(f"genotype: decision {unknown[0]!r} is never asked by the space")
    return decoded.architecture


@runtime_checkable
class ListedSpace(SearchSpace, Protocol):
    """A space that knows all its points: few, and seldom as many behind one answer as behind another."""

    @property
    def members(self) -> Sequence[Decoded]:
        """Every point, once."""


def sample(space: SearchSpace, rng: random.Random) -> Decoded:
    """A point of the space, every question answered uniformly; of a space that lists its points, any one of them."""
    if isinstance(space, ListedSpace):
        return rng.choice(space.members)
    return decode(space, lambda _, num_options: rng.randrange(num_options))


def _answer_or_draw(answers: Genotype, rng: random.Random) -> Pick:
    def pick(name: str, num_options: int) -> int:
        index = answers.get(name, -1)
        return index if 0 <= index < num_options else rng.randrange(num_options)

    return pick


def mutate(space: SearchSpace, genotype: Genotype, rng: random.Random) -> Decoded:
    """Change one decision to another of its options; what that newly asks is drawn, the rest stays.

    A genotype whose every question has one option comes back unchanged.
    """
    num_options = decode(space, _answer_or_draw(genotype, rng)).num_options
    free = [name for name in genotype if num_options.get(name, 1) > 1]
    if not free:
        return decode(space, _answer_or_draw(genotype, rng))
    changed = rng.choice(free)
    step = rng.randrange(1, num_options[changed])
    answers = {**genotype, changed: (genotype[changed] + step) % num_options[changed]}
    return decode(space, _answer_or_draw(answers, rng))


def cross(space: SearchSpace, one: Genotype, other: Genotype, rng: random.Random) -> Decoded:
    """Uniform crossover: each question both parents answer is taken from either; the rest from who has it."""

    def pick(name: str, num_options: int) -> int:
        answers = [g[name] for g in (one, other) if name in g and 0 <= g[name] < num_options]
        return rng.choice(answers) if answers else rng.randrange(num_options)

    return decode(space, pick)


def enumerate_all(space: SearchSpace) -> Iterator[Decoded]:
    """Every point, depth first; meant for small spaces (it is lazy, so a caller may stop)."""
    prefix: list[int] | None = []
    while prefix is not None:
        path: list[tuple[int, int]] = []

        def pick(_: str, num_options: int, path: list[tuple[int, int]] = path, start: list[int] = prefix) -> int:
            index = start[len(path)] if len(path) < len(start) else 0
            path.append((index, num_options))
            return index

        yield decode(space, pick)
        while path and path[-1][0] + 1 == path[-1][1]:
            path.pop()
        prefix = [index for index, _ in path[:-1]] + [path[-1][0] + 1] if path else None


@dataclass(frozen=True, slots=True)
class Count:
    """The number of genotypes of a space: exact, or an estimate with its relative standard error."""

    genotypes: float
    exact: bool
    relative_error: float = 0.0


ROUNDS = 8
SURE = 3.0
"""Standard errors from which on an answer is believed to have more or less behind it."""
EVEN_SHARE = 0.1
"""Of every question that is not answered uniformly: no option is left without a chance."""

Shares = Mapping[tuple[str, int], Sequence[float]]
"""(question, number of its options) -> probability of each; what is not in it is answered uniformly."""


def count(space: SearchSpace, rng: random.Random, limit: int = 10_000, probes: int = 2_000) -> Count:
    """Number of genotypes: exact up to `limit`, else an unbiased estimate from `probes` random descents.

    Source: Knuth 1975, Estimating the efficiency of backtrack programs, doi:10.2307/2005469, section 4: a leaf
    stands for 1 / its probability.
    Differs: a space may lie almost whole behind a few answers that uniform descents hardly ever give together, and
    then they see ten orders of magnitude too little; so descents go in rounds, each drawn towards where those
    before found more, and the second half of the rounds is the estimate.
    """
    exact = 0
    for _ in enumerate_all(space):
        exact += 1
        if exact > limit:
            break
    if exact <= limit:
        return Count(float(exact), exact=True)
    shares: Shares = {}
    leaves: list[Decoded] = []
    sizes: list[float] = []
    for index in range(ROUNDS):
        found = [_descent(space, rng, shares) for _ in range(max(2, probes // ROUNDS))]
        leaves += [leaf for _, leaf in found]
        sizes += [size for size, _ in found] if index >= ROUNDS // 2 else []
        shares = _shares(leaves)
    mean = math.fsum(sizes) / len(sizes)
    variance = math.fsum((size - mean) ** 2 for size in sizes) / (len(sizes) - 1)
    return Count(mean, exact=False, relative_error=math.sqrt(variance / len(sizes)) / mean)


def _descent(space: SearchSpace, rng: random.Random, shares: Shares) -> tuple[float, Decoded]:
    """(1 / probability of the leaf, the leaf)."""
    size = 1.0

    def pick(name: str, num_options: int) -> int:
        nonlocal size
        chances = shares.get((name, num_options), (1.0 / num_options,) * num_options)
        index = rng.choices(range(num_options), chances)[0]
        size /= chances[index]
        return index

    leaf = decode(space, pick)
    return size, leaf


def _shares(leaves: Sequence[Decoded]) -> Shares:
    """How likely each answer should be: as large as what lies behind it, where that surely depends on the answer."""
    behind: dict[tuple[str, int], list[list[float]]] = {}
    for leaf in leaves:
        log_options = 0.0
        for name, num_options in reversed(list(leaf.num_options.items())):
            found = behind.setdefault((name, num_options), [[] for _ in range(num_options)])
            found[leaf.genotype[name]].append(log_options)
            log_options += math.log(num_options)
    drawn = {question: _drawn(found) for question, found in behind.items()}
    return {question: chances for question, chances in drawn.items() if chances is not None}


def _drawn(found: Sequence[Sequence[float]]) -> Sequence[float] | None:
    """Chances of a question's options from the logarithms of what was found behind each; None where none differs."""
    seen = [log for logs in found for log in logs]
    mean = math.fsum(seen) / len(seen)
    means = [math.fsum(logs) / len(logs) if len(logs) > 2 else mean for logs in found]
    inner = math.fsum((log - one) ** 2 for one, logs in zip(means, found, strict=True) for log in logs)
    error = SURE * math.sqrt(inner / max(1, len(seen) - len(found)))
    believed = [
        one if abs(one - mean) > error / math.sqrt(max(1, len(logs))) + 1e-9 else mean
        for one, logs in zip(means, found, strict=True)
    ]
    if all(one == mean for one in believed):
        return None
    weights = [math.exp(one - max(believed)) for one in believed]
    return [(1 - EVEN_SHARE) * weight / math.fsum(weights) + EVEN_SHARE / len(weights) for weight in weights]
