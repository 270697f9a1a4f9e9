"""The Gaussian process against formulas written independently: library densities, inverses, known functions."""

import math
import random
from collections.abc import Iterator

import pytest
import torch
from scipy.stats import norm, rankdata
from torch import Tensor

from nas.searchers.arithmetic import one_thread
from nas.searchers.encoding import NUMBER_RELEVANCE, Point, Vocabulary, encode
from nas.searchers.gaussian_process import (
    Columns,
    Parameters,
    _kernel,
    _negative_log_likelihood,
    _noisy,
    learn,
    normal_scores,
    posterior,
)
from search_spaces.architecture import Architecture, PointSpec
from search_spaces.decisions import enumerate_all, sample
from search_spaces.restricted import Restricted
from search_spaces.toy import ToySpace

NOWHERE = Architecture(PointSpec(()))


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with one_thread():
        yield


def points(rows: list[dict[str, object]], numbers: list[tuple[float, ...]] | None = None) -> list[Point]:
    vocabulary = Vocabulary()
    codes = [vocabulary.codes({name: repr(value) for name, value in row.items()}) for row in rows]
    given = numbers or [()] * len(rows)
    return [Point({}, NOWHERE, "", code, number) for code, number in zip(codes, given, strict=True)]


def some(number: int, seed: int = 0) -> tuple[Columns, Tensor, Tensor]:
    """Random rows of three decisions and a number, and targets that depend on the first decision and the number."""
    rng = random.Random(seed)
    rows: list[dict[str, object]] = [{name: rng.randrange(3) for name in "abc"} for _ in range(number)]
    numbers = [(rng.gauss(0.0, 1.0),) for _ in rows]
    columns, x_NC = encode(points(rows, numbers))
    noisy = [float(row["a"]) + 0.5 * n[0] + rng.gauss(0.0, 0.2) for row, n in zip(rows, numbers, strict=True)]  # type: ignore[arg-type]
    return columns, x_NC, normal_scores(noisy)


class TestEncoding:
    def test_distance_is_the_number_of_differing_answers(self) -> None:
        rows: list[dict[str, object]] = [{"a": 0, "b": "x"}, {"a": 0, "b": "y"}, {"a": 2, "b": "y"}, {"a": 2}]
        columns, x_NC = encode(points(rows))
        log_P = torch.zeros(len(columns.parameters), dtype=torch.float64)
        distance = -_kernel(columns, log_P, x_NC, x_NC).log()
        expected = [[0, 1, 2, 2], [1, 0, 1, 2], [2, 1, 0, 1], [2, 2, 1, 0]]
        assert torch.allclose(distance, torch.tensor(expected, dtype=torch.float64), atol=1e-12)

    def test_answers_count_by_value_and_not_by_place(self) -> None:
        """Where a rule takes options away, the same answer has another index."""
        whole, half = ToySpace(), Restricted(ToySpace(), {"node*.op": (1, 3)})
        vocabulary = Vocabulary()
        of_half = {point.architecture: point for point in enumerate_all(Restricted(half, {"depth": (1,)}))}
        of_whole = [p for p in enumerate_all(Restricted(whole, {"depth": (1,)})) if p.architecture in of_half]
        assert len(of_whole) == len(of_half)
        for point in of_whole:
            other = of_half[point.architecture]
            assert point.genotype != other.genotype
            one = vocabulary.point(Restricted(whole, {"depth": (1,)}), point)
            two = vocabulary.point(Restricted(half, {"depth": (1,)}), other)
            assert one.codes == two.codes

    def test_what_differs_nowhere_has_no_column(self) -> None:
        rows: list[dict[str, object]] = [{"a": 0, "b": 1}, {"a": 0, "b": 2}]
        columns, x_NC = encode(points(rows, [(3.0, 7.0), (3.0, 8.0)]), [[5.0, 5.0]])
        assert columns.groups == ("decision 1", "number 1")
        assert x_NC.shape == (2, 3)
        assert encode(points([{"a": 0}] * 3))[1].shape == (3, 1)

    def test_a_decision_met_later_was_not_asked_before(self) -> None:
        vocabulary = Vocabulary()
        early = Point({}, NOWHERE, "", vocabulary.codes({"a": "0"}))
        late = Point({}, NOWHERE, "", vocabulary.codes({"a": "0", "b": "1"}))
        without = Point({}, NOWHERE, "", vocabulary.codes({"a": "0"}))
        columns, x_NC = encode([early, late, without])
        assert columns.groups == ("decision 1",)
        assert torch.equal(x_NC[0], x_NC[2])
        assert not torch.equal(x_NC[0], x_NC[1])

    def test_two_average_points_are_as_far_apart_as_the_prior_says(self) -> None:
        rng = random.Random(0)
        space, vocabulary = ToySpace(), Vocabulary()
        columns, x_NC = encode([vocabulary.point(space, sample(space, rng)) for _ in range(200)])
        log_P = torch.cat([columns.prior_P[:-2], torch.zeros(2).double()])
        assert float(-_kernel(columns, log_P, x_NC, x_NC).log().mean()) == pytest.approx(2.0, rel=1e-9)


class TestNormalScores:
    def test_they_are_quantiles_of_mid_ranks(self) -> None:
        values = [3.0, -1.0, 3.0, 1e9, 0.0, 3.0]
        expected = norm.ppf((rankdata(values) - 0.5) / len(values))
        assert torch.allclose(normal_scores(values), torch.tensor(expected), atol=1e-12)

    def test_equal_values_are_all_nothing_special(self) -> None:
        assert torch.equal(normal_scores([2.0] * 5), torch.zeros(5, dtype=torch.float64))


class TestLikelihood:
    def test_value_is_the_librarys_density(self) -> None:
        columns, x_NC, target_N = some(20)
        log_P = Parameters().start(columns)
        covariance = _noisy(_kernel(columns, log_P, x_NC, x_NC), log_P)
        density = torch.distributions.MultivariateNormal(torch.zeros(20).double(), covariance).log_prob(target_N)
        expected = -float(density) - 10.0 * math.log(2.0 * math.pi)
        assert float(_negative_log_likelihood(covariance, target_N)) == pytest.approx(expected, rel=1e-10)

    def test_gradient_is_the_difference_quotient(self) -> None:
        columns, x_NC, target_N = some(15)

        def value(log_P: Tensor) -> Tensor:
            return _negative_log_likelihood(_noisy(_kernel(columns, log_P, x_NC, x_NC), log_P), target_N)

        start = Parameters().start(columns).requires_grad_()
        assert torch.autograd.gradcheck(value, (start,), eps=1e-6, atol=1e-6)


class TestLearning:
    def test_what_matters_becomes_relevant_and_what_does_not_does_not(self) -> None:
        columns, x_NC, target_N = some(80)
        found = learn(columns, x_NC, target_N, Parameters()).values
        assert found["decision 0"] > found["decision 1"] + 1.0
        assert found["decision 0"] > found["decision 2"] + 1.0
        assert found["number 0"] > math.log(NUMBER_RELEVANCE) - 2.0

    def test_an_option_may_be_farther_from_the_others_than_they_are(self) -> None:
        rng = random.Random(2)
        rows: list[dict[str, object]] = [{name: rng.randrange(4) for name in "ab"} for _ in range(100)]
        columns, x_NC = encode(points(rows))
        target_N = normal_scores([(row["a"] == 2) + 0.3 * (row["b"] == 0) + rng.gauss(0.0, 0.1) for row in rows])
        parameters = Parameters()
        for _ in range(3):
            parameters = learn(columns, x_NC, target_N, parameters)
        log_P = parameters.start(columns)
        distance = -_kernel(columns, log_P, x_NC, x_NC).log()
        same_b = {option: next(i for i, r in enumerate(rows) if r == {"a": option, "b": 1}) for option in range(4)}
        assert float(distance[same_b[2], same_b[0]]) > 1.4 * float(distance[same_b[1], same_b[0]])

    def test_noise_is_learnt(self) -> None:
        """Targets with more noise are believed to have more, and pure noise to be nothing else."""
        rng = random.Random(1)
        rows: list[dict[str, object]] = [{name: rng.randrange(2) for name in "abc"} for _ in range(120)]
        columns, x_NC = encode(points(rows))
        found = []
        for deviation in (0.1, 0.6, 100.0):
            values = [float(row["a"]) + 0.5 * float(row["b"]) + rng.gauss(0.0, deviation) for row in rows]  # type: ignore[arg-type]
            target_N = normal_scores(values)
            parameters = Parameters()
            for _ in range(4):
                parameters = learn(columns, x_NC, target_N, parameters)
            found.append(math.exp(parameters.values["noise"]))
        assert found == sorted(found)
        assert found[0] < 0.15
        assert found[2] > 0.7

    def test_learning_goes_uphill_and_goes_on_where_it_was(self) -> None:
        columns, x_NC, target_N = some(40)

        def posterior_of(parameters: Parameters) -> float:
            log_P = parameters.start(columns)
            prior = columns.prior_P
            value = _negative_log_likelihood(_noisy(_kernel(columns, log_P, x_NC, x_NC), log_P), target_N)
            return float(value + 0.5 * (log_P - prior).square().sum())

        first = learn(columns, x_NC, target_N, Parameters())
        second = learn(columns, x_NC, target_N, first)
        assert posterior_of(second) <= posterior_of(first) < posterior_of(Parameters()) - 1.0

    def test_two_equal_points_and_constant_targets_are_no_accident(self) -> None:
        columns, x_NC = encode(points([{"a": 0}, {"a": 0}, {"a": 1}]))
        for target_N in (torch.zeros(3).double(), torch.tensor([1.0, -1.0, 0.0]).double()):
            found = learn(columns, x_NC, target_N, Parameters())
            believed = posterior(columns, found, x_NC, target_N, x_NC[:0], x_NC)
            assert bool(torch.isfinite(believed.mean_M).all())
            assert bool((believed.deviation_M > 0).all())


class TestPosterior:
    def test_it_is_the_textbooks(self) -> None:
        columns, x_NC, target_N = some(30)
        known = learn(columns, x_NC[:20], target_N[:20], Parameters())
        believed = posterior(columns, known, x_NC[:20], target_N[:20], x_NC[:0], x_NC[20:])
        log_P = known.start(columns)
        inverse = torch.linalg.inv(_noisy(_kernel(columns, log_P, x_NC[:20], x_NC[:20]), log_P))
        cross = _kernel(columns, log_P, x_NC[20:], x_NC[:20])
        assert torch.allclose(believed.mean_M, cross @ inverse @ target_N[:20], atol=1e-9)
        variance = log_P[-2].exp() - (cross @ inverse * cross).sum(1)
        assert torch.allclose(believed.deviation_M.square(), variance, atol=1e-9)
        assert believed.noise == pytest.approx(math.exp(0.5 * float(log_P[-1])))

    def test_those_under_way_come_out_at_their_mean(self) -> None:
        """The same as telling them so: means stay, and there is less to learn beside them."""
        columns, x_NC, target_N = some(30)
        known = learn(columns, x_NC[:15], target_N[:15], Parameters())
        without = posterior(columns, known, x_NC[:15], target_N[:15], x_NC[:0], x_NC[15:])
        with_pending = posterior(columns, known, x_NC[:15], target_N[:15], x_NC[15:18], x_NC[15:])
        told = torch.cat([target_N[:15], without.mean_M[:3]])
        believed = posterior(columns, known, x_NC[:18], told, x_NC[:0], x_NC[15:])
        assert torch.allclose(with_pending.mean_M, without.mean_M, atol=1e-12)
        assert torch.allclose(believed.mean_M, without.mean_M, atol=1e-9)
        assert torch.allclose(with_pending.deviation_M, believed.deviation_M, atol=1e-9)
        assert bool((with_pending.deviation_M[:3] < without.deviation_M[:3] - 0.05).all())
