"""The model-based searcher: what it believes, what it looks at, and that each part of it earns its place."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from asking import made, run

from nas.objectives import parse_objectives
from nas.searchers import surrogate
from nas.searchers.arithmetic import one_thread
from nas.searchers.beliefs import Beliefs, Observation
from nas.searchers.candidates import ENUMERATED, Candidates
from nas.searchers.common import Setup
from nas.searchers.encoding import Point, Vocabulary
from nas.trial import Proposal, Trial
from search_spaces.architecture import Architecture, PointSpec
from search_spaces.decisions import Decoded, SearchSpace, enumerate_all, sample
from search_spaces.recorded import Member, RecordedSpace
from search_spaces.toy import ToySpace, toy_metrics

BOTH = parse_objectives(("miou", "latency_ms"))


def latency_of(architecture: Architecture) -> float:
    return toy_metrics(architecture)["latency_ms"]


def toy_points(number: int, seed: int = 0) -> list[Point]:
    rng, vocabulary = random.Random(seed), Vocabulary()
    points = [vocabulary.point(ToySpace(), sample(ToySpace(), rng)) for _ in range(number)]
    return [Point(p.genotype, p.architecture, p.key, p.codes, (), latency_of(p.architecture)) for p in points]


def observed(points: Sequence[Point], failed: Callable[[Point], bool] = lambda _: False) -> list[Observation]:
    return [
        Observation(
            point,
            None
            if failed(point)
            else (-toy_metrics(point.architecture)["miou"], toy_metrics(point.architecture)["latency_ms"]),
        )
        for point in points
    ]


class TestBeliefs:
    def test_the_known_objective_is_taken_as_it_is(self) -> None:
        points = toy_points(60)
        with one_thread():
            belief = Beliefs(2, known=1).of(observed(points[:40]), [], points[40:])
        assert belief.asked[1].mean_M.tolist() == [-latency_of(point.architecture) for point in points[40:]]
        assert not bool(belief.asked[1].deviation_M.any())
        assert bool((belief.asked[0].deviation_M > 0).all())

    def test_those_under_way_count_as_known_at_their_mean(self) -> None:
        points = toy_points(60)
        with one_thread():
            without = Beliefs(2, 1).of(observed(points[:40]), [], points[40:])
            belief = Beliefs(2, 1).of(observed(points[:40]), points[40:43], points[43:])
        assert torch.allclose(belief.observed[0].mean_M[40:], without.asked[0].mean_M[:3], atol=1e-9)
        assert belief.observed[1].mean_M[40:].tolist() == [-latency_of(point.architecture) for point in points[40:43]]
        assert bool((belief.asked[0].deviation_M <= without.asked[0].deviation_M[3:] + 1e-9).all())

    @pytest.mark.parametrize("known", [None, 1])
    def test_what_is_believed_of_others_is_near_what_they_are(self, known: int | None) -> None:
        points = toy_points(160, seed=3)
        with one_thread():
            belief = Beliefs(2, known).of(observed(points[:100]), [], points[100:])
        truths = torch.tensor([toy_metrics(point.architecture)["miou"] for point in points[100:]])
        latencies = torch.tensor([-latency_of(point.architecture) for point in points[100:]])
        for objective, truth in enumerate((truths, latencies)):
            both = torch.stack([belief.asked[objective].mean_M, truth.double()])
            assert float(torch.corrcoef(both)[0, 1]) > 0.8

    def test_where_trials_failed_others_are_believed_to_fail(self) -> None:
        def deep(point: Point) -> bool:
            return dict(point.architecture.network.values)["depth"] == 4  # type: ignore[union-attr]

        points = toy_points(120, seed=1)
        with one_thread():
            belief = Beliefs(2, 1).of(observed(points[:80], deep), [], points[80:])
        chances = {kind: [] for kind in (True, False)}  # type: dict[bool, list[float]]
        for point, chance in zip(points[80:], belief.alive_M.tolist(), strict=True):
            chances[deep(point)].append(chance)
        assert max(chances[True]) < 0.4
        assert min(chances[False]) > 0.6
        with one_thread():
            assert set(Beliefs(2, 1).of(observed(points[:80]), [], points[80:]).alive_M.tolist()) == {1.0}

    def test_short_trainings_are_told_apart_and_points_are_judged_at_the_longest(self) -> None:
        """Half of the points are trained shortly, and short trainings are much worse."""
        points = toy_points(120, seed=2)
        told = []
        for number, point in enumerate(points[:100]):
            short = number % 2 == 0
            miou = toy_metrics(point.architecture)["miou"] - (0.5 if short else 0.0)
            told.append(Observation(point, (-miou, 1.0), 3 if short else 30))
        with one_thread():
            belief = Beliefs(2, None).of(told, [], points[100:])
        short_ones, long_ones = belief.observed[0].mean_M[0::2], belief.observed[0].mean_M[1::2]
        assert abs(float(short_ones.mean() - long_ones.mean())) < 0.35, "judged alike, though observed far apart"
        truths = torch.tensor([toy_metrics(point.architecture)["miou"] for point in points[:100]])
        assert float(torch.corrcoef(torch.stack([belief.observed[0].mean_M, truths.double()]))[0, 1]) > 0.8


class TestCandidates:
    def make(self, space: SearchSpace, fresh: int = 20, kept: int = 30) -> Candidates:
        vocabulary = Vocabulary()
        return Candidates(space, lambda decoded: vocabulary.point(space, decoded), fresh, kept)

    def test_a_small_space_is_looked_at_as_a_whole(self) -> None:
        space = ToySpace((1, 2))
        whole = {point.architecture.key for point in enumerate_all(space)}
        assert len(whole) < ENUMERATED
        seen = dict.fromkeys(sorted(whole)[:5])
        found = self.make(space).look(random.Random(0), (), seen)
        assert {point.key for point in found} == whole - set(seen)

    def test_of_a_large_one_draws_relatives_and_what_is_kept(self) -> None:
        candidates, rng = self.make(ToySpace()), random.Random(0)
        parent = sample(ToySpace(), rng).genotype
        first = candidates.look(rng, [parent], {})
        assert 10 < len(first) <= 20
        assert len({point.key for point in first}) == len(first)
        near = [sum(parent.get(name) == answer for name, answer in point.genotype.items()) for point in first]
        assert sum(number >= len(parent) - 2 for number in near) >= 4
        candidates.keep(first[:6])
        again = {point.key for point in candidates.look(rng, [parent], {first[0].key: None})}
        assert {point.key for point in first[1:6]} <= again
        assert first[0].key not in again
        new = candidates.relatives(rng, first[:3], {})
        assert new
        assert not {point.key for point in new} & {point.key for point in first[:3]}


def told(searcher: surrogate.Surrogate, points: Sequence[Decoded], metrics: Callable[[Architecture], Any]) -> None:
    for number, point in enumerate(points):
        searcher.tell(
            Trial(number, Proposal(point.genotype, point.architecture), "complete", metrics(point.architecture))
        )


def on_toy(seed: int = 0, cost: bool = True, **options: Any) -> surrogate.Surrogate:
    setup = Setup(
        space=ToySpace(), seed=seed, objectives=BOTH, cost=latency_of if cost else None, cost_name="latency_ms"
    )
    return surrogate.make(setup, surrogate.Options(**{"initial": 8, "candidates": 32, **options}))


class TestProposals:
    def test_those_under_way_are_not_asked_again_nearby(self) -> None:
        """Eight proposals without an answer differ more than those of a searcher that forgets what is under way."""

        def spread(kind: type[surrogate.Surrogate], seed: int) -> float:
            rng = random.Random(seed)
            setup = Setup(space=ToySpace((2, 3)), seed=seed, objectives=BOTH, cost=latency_of, cost_name="latency_ms")
            searcher = kind(setup, surrogate.Options(initial=8, candidates=64))
            told(searcher, [sample(ToySpace((2, 3)), rng) for _ in range(40)], toy_metrics)
            asked = [proposal.genotype for proposal in (searcher.ask() for _ in range(8)) if proposal is not None]
            pairs = [(one, other) for place, one in enumerate(asked) for other in asked[:place]]
            names = [one.keys() | other.keys() for one, other in pairs]
            return sum(
                sum(one.get(name) != other.get(name) for name in both)
                for both, (one, other) in zip(names, pairs, strict=True)
            ) / len(pairs)

        with_memory = [spread(surrogate.Surrogate, seed) for seed in range(4)]
        without = [spread(Forgetful, seed) for seed in range(4)]
        assert sum(with_memory) > sum(without) + 0.4

    @pytest.mark.slow
    def test_every_budget_is_improved(self) -> None:
        """Against a searcher of the best accuracy alone, the cheap half of the front is better."""

        def best_under(names: tuple[str, ...], budget_ms: float, seed: int) -> float:
            setup = Setup(
                space=ToySpace(), seed=seed, objectives=parse_objectives(names), cost=latency_of, cost_name="latency_ms"
            )
            asked = run(surrogate.make(setup, surrogate.Options(initial=8, candidates=32)), 50)
            found = [toy_metrics(proposal.architecture) for proposal in asked]
            return max((m["miou"] for m in found if m["latency_ms"] <= budget_ms), default=0.0)

        for budget_ms in (4.0, 6.0):
            both = sum(best_under(("miou", "latency_ms"), budget_ms, seed) for seed in range(3))
            alone = sum(best_under(("miou",), budget_ms, seed) for seed in range(3))
            assert both > alone + 0.05

    def test_failing_regions_are_left_alone(self) -> None:
        searcher = on_toy()
        deep = 0
        for number in range(60):
            proposal = searcher.ask()
            assert proposal is not None
            fails = dict(proposal.architecture.network.values)["depth"] == 4  # type: ignore[union-attr]
            deep += fails and number >= 30
            metrics = {} if fails else toy_metrics(proposal.architecture)
            searcher.tell(Trial(number, proposal, "failed" if fails else "complete", metrics))
        assert deep <= 6, "a fifth of what is proposed later, where half of the best points would be"

    def test_a_network_outside_the_space_teaches_nothing(self) -> None:
        foreign = Architecture(PointSpec((("depth", 1), ("node0.op", 77))))
        one, other = on_toy(), on_toy()
        other.tell(Trial(0, Proposal({}, foreign), "complete", {"miou": 99.0, "latency_ms": 0.1}))
        assert [p.architecture for p in run(one, 20)] == [p.architecture for p in run(other, 20)]

    def test_traced_numbers_are_used(self) -> None:
        """Where answers say nothing (each is met once), a number that says all finds the best at once."""
        values = list(range(400))
        random.Random(0).shuffle(values)
        members = [Member(str(i), (("id", i),), Architecture(PointSpec((("id", i),)))) for i in range(400)]
        space = RecordedSpace(members)

        def miou(architecture: Architecture) -> float:
            return values[dict(architecture.network.values)["id"]] / 400  # type: ignore[union-attr]

        def found(features: Callable[[Architecture], Sequence[float]] | None) -> float:
            setup = Setup(space=space, seed=0, objectives=parse_objectives(("miou",)), features=features)
            searcher = surrogate.make(setup, surrogate.Options(initial=8))
            best = 0.0
            for number in range(20):
                proposal = searcher.ask()
                assert proposal is not None
                best = max(best, miou(proposal.architecture))
                searcher.tell(Trial(number, proposal, "complete", {"miou": miou(proposal.architecture)}))
            return best

        assert found(lambda architecture: (miou(architecture), 1.0)) == 399 / 400
        assert found(None) < 399 / 400

    def test_three_objectives_of_which_none_is_known(self) -> None:
        setup = Setup(space=ToySpace(), seed=0, objectives=parse_objectives(("miou", "warp_flip", "latency_ms")))
        searcher = surrogate.make(setup, surrogate.Options(initial=6, candidates=16, budgets=16))
        for number in range(20):
            proposal = searcher.ask()
            assert proposal is not None
            metrics = toy_metrics(proposal.architecture)
            searcher.tell(
                Trial(number, proposal, "complete", {**metrics, "warp_flip": 1.0 - math.sqrt(metrics["miou"])})
            )

    def test_a_cost_that_is_no_objective_is_no_matter(self) -> None:
        setup = Setup(
            space=ToySpace(), seed=0, objectives=parse_objectives(("miou",)), cost=latency_of, cost_name="macs_m"
        )
        plain = Setup(space=ToySpace(), seed=0, objectives=parse_objectives(("miou",)))
        options = surrogate.Options(initial=6, candidates=16)
        one, other = (run(surrogate.make(found, options), 16) for found in (setup, plain))
        assert one == other


# --- planted defects ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ridge:
    """Six questions of four options; how many answers are right decides, and a wrong one costs all of a pair."""

    right: tuple[int, ...] = (2, 0, 3, 1, 1, 3)

    def decode(self, choose: Any) -> Architecture:
        return Architecture(PointSpec(tuple((f"q{n}", choose(f"q{n}", (0, 1, 2, 3))) for n in range(6))))

    def miou(self, architecture: Architecture) -> float:
        values = [value for _, value in architecture.network.values]  # type: ignore[union-attr]
        good = [value == right for value, right in zip(values, self.right, strict=True)]
        return (sum(good) + 2 * sum(good[n] and good[n + 1] for n in (0, 2, 4))) / 12


def found_on_ridge(make: Callable[[Setup], Any], seeds: int = 6, trials: int = 60) -> float:
    """Mean over seeds of the best of 60 trials among 4096 points."""
    total = 0.0
    for seed in range(seeds):
        ridge = Ridge()
        searcher = make(Setup(space=ridge, seed=seed, objectives=parse_objectives(("miou",))))
        best = 0.0
        for number in range(trials):
            proposal = searcher.ask()
            best = max(best, ridge.miou(proposal.architecture))
            searcher.tell(Trial(number, proposal, "complete", {"miou": ridge.miou(proposal.architecture)}))
        total += best
    return total / seeds


class Forgetful(surrogate.Surrogate):
    """Believes nothing of what is under way."""

    def _next(self) -> Point | None:
        self._pending.clear()
        return super()._next()


class Backwards(surrogate.Surrogate):
    """Proposes what promises least, as a wrong sign would."""

    def _promise(self, belief: Any) -> Any:
        return -super()._promise(belief)


class Deaf(surrogate.Surrogate):
    """Believes what is told of one trial of another."""

    def tell(self, trial: Trial) -> None:
        wrong = random.Random(trial.number).random()
        super().tell(Trial(trial.number, trial.proposal, trial.status, {"miou": wrong}))


@pytest.mark.slow
def test_the_ridge_is_climbed_and_defects_do_not_climb_it() -> None:
    """The margin is half of what lies between the searcher and the better defect."""
    options = surrogate.Options(initial=16, candidates=32)
    good = found_on_ridge(lambda setup: surrogate.make(setup, options))
    broken = max(found_on_ridge(lambda setup, kind=kind: kind(setup, options)) for kind in (Backwards, Deaf))  # type: ignore[misc]
    chance = found_on_ridge(lambda setup: made("random", setup.seed, ("miou",), space=setup.space))
    assert good > chance + 0.2
    assert broken < chance + 0.1
