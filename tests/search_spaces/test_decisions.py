"""Decisions: decode, replay, mutate, cross, enumerate, count, over every space."""

import random

import pytest

from search_spaces.architecture import Architecture, PointSpec
from search_spaces.decisions import Choose, count, cross, decode, enumerate_all, mutate, replay, sample
from search_spaces.errors import InputError
from search_spaces.spaces import SPACES, make_space
from search_spaces.toy import ToySpace


@pytest.mark.parametrize("name", sorted(SPACES))
class TestEverySpace:
    def test_a_genotype_replays_to_its_architecture_in_order(self, name: str) -> None:
        space, rng = make_space(name), random.Random(0)
        for _ in range(50):
            point = sample(space, rng)
            again = decode(space, lambda question, _, genotype=point.genotype: genotype[question])
            assert again.architecture == point.architecture == replay(space, point.genotype)
            assert list(again.genotype) == list(point.genotype)

    def test_a_mutation_is_valid_and_changes_an_answer(self, name: str) -> None:
        space, rng = make_space(name), random.Random(1)
        for _ in range(50):
            parent = sample(space, rng)
            child = mutate(space, parent.genotype, rng)
            assert replay(space, child.genotype) == child.architecture
            shared = [q for q in parent.genotype if q in child.genotype]
            assert sum(parent.genotype[q] != child.genotype[q] for q in shared) >= 1
            assert child.genotype != parent.genotype

    def test_a_child_takes_shared_answers_from_its_parents(self, name: str) -> None:
        space, rng = make_space(name), random.Random(2)
        for _ in range(50):
            one, other = sample(space, rng), sample(space, rng)
            child = cross(space, one.genotype, other.genotype, rng)
            assert replay(space, child.genotype) == child.architecture
            for question, index in child.genotype.items():
                given = {g[question] for g in (one.genotype, other.genotype) if question in g}
                num_options = child.num_options[question]
                allowed = {g for g in given if g < num_options}
                assert not allowed or index in allowed

    def test_the_same_seed_gives_the_same_point(self, name: str) -> None:
        space = make_space(name)
        first = [sample(space, random.Random(7)).genotype for _ in range(3)]
        other = sample(space, random.Random(8)).genotype
        assert first[0] == first[1] == first[2] != other


def test_mutation_reaches_every_other_option_equally() -> None:
    space, rng = ToySpace((1,)), random.Random(0)
    start = {"depth": 0, "node0.op": 0}
    seen = [mutate(space, start, rng).genotype["node0.op"] for _ in range(400)]
    # Binomial(400, 1/4): mean 100, sd 8.7; five sd leave a chance failure of 1e-6.
    assert all(56 < seen.count(op) < 144 for op in (1, 2, 3, 4))
    assert 0 not in seen


def test_enumeration_visits_every_point_once() -> None:
    genotypes = [tuple(point.genotype.items()) for point in enumerate_all(ToySpace((1, 2)))]
    per_node = 2 + 3 * 4
    assert len(genotypes) == len(set(genotypes)) == per_node + per_node**2


def test_count_is_exact_for_small_spaces_and_near_for_large_ones() -> None:
    per_node = 2 + 3 * 4
    true = sum(per_node**depth for depth in (1, 2, 3, 4))
    small = count(ToySpace((1, 2)), random.Random(0), limit=1000)
    assert (small.genotypes, small.exact) == (per_node + per_node**2, True)
    large = count(ToySpace(), random.Random(0), limit=100)
    assert not large.exact
    assert abs(large.genotypes - true) < 4 * large.relative_error * true


def test_a_one_point_space_mutates_to_itself() -> None:
    class One:
        def decode(self, choose: Choose) -> Architecture:
            return Architecture(PointSpec((("only", choose("only", (3,))),)))

    point = sample(One(), random.Random(0))
    assert mutate(One(), point.genotype, random.Random(0)).genotype == point.genotype
    assert count(One(), random.Random(0)).genotypes == 1


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        ({"depth": 0}, r"'node0.op' is missing"),
        ({"depth": 9, "node0.op": 0}, r"'depth': 9 given, 0..3 allowed"),
        ({"depth": 0, "node0.op": 0, "node7.op": 0}, r"'node7.op' is never asked"),
    ],
)
def test_a_foreign_genotype_is_refused(genotype: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replay(ToySpace(), genotype)


def test_a_space_that_asks_twice_is_refused() -> None:
    class Twice:
        def decode(self, choose: Choose) -> Architecture:
            choose("same", (1, 2))
            return Architecture(PointSpec((("same", choose("same", (1, 2))),)))

    with pytest.raises(ValueError, match="asks 'same' twice"):
        sample(Twice(), random.Random(0))


def test_an_unknown_space_names_the_allowed() -> None:
    with pytest.raises(InputError, match=r"space 'nope' is unknown; allowed: .*video_cells"):
        make_space("nope")
