"""Objectives and Pareto fronts, against hand-computed cases, definitions and a library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.job import METRICS
from nas.objectives import DIRECTIONS, LIMITS, losses, parse_objectives, violated
from nas.pareto import crowding, dominance, front, hypervolume, hypervolume_2d, preference, ranks
from search_spaces.errors import InputError

# A coarse grid, so that ties and duplicates are common.
GRID = st.integers(0, 6).map(float)


def points(dimensions: int, min_size: int = 1) -> st.SearchStrategy[list[tuple[float, ...]]]:
    return st.lists(st.tuples(*[GRID] * dimensions), min_size=min_size, max_size=25)


def test_hypervolume_by_hand() -> None:
    assert hypervolume_2d([(1, 2), (2, 1)], (3, 3)) == 3.0
    assert hypervolume_2d([(1, 2), (1, 2), (5, 0), (2, 2)], (3, 3)) == 2.0
    assert hypervolume_2d([], (3, 3)) == 0.0


@settings(deadline=None)
@given(points(2))
def test_hypervolume_is_the_library_s(found: list[tuple[float, ...]]) -> None:
    moocore = pytest.importorskip("moocore")
    expected = moocore.hypervolume(np.asarray(found), ref=np.asarray([5.5, 5.0]))
    assert hypervolume_2d(found, (5.5, 5.0)) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(st.integers(2, 4).flatmap(points))
def test_hypervolume_of_any_number_of_losses_is_the_library_s(found: list[tuple[float, ...]]) -> None:
    moocore = pytest.importorskip("moocore")
    reference = (5.5, 5.0, 4.5, 6.0)[: len(found[0])]
    expected = moocore.hypervolume(np.asarray(found), ref=np.asarray(reference))
    assert hypervolume(found, reference) == pytest.approx(expected, abs=1e-9)


def test_hypervolume_of_one_loss_and_of_a_box_by_hand() -> None:
    assert hypervolume([(2.0,), (1.0,), (9.0,)], (5.0,)) == 4.0
    assert hypervolume([(1, 2, 3)], (2, 4, 6)) == 6.0
    assert hypervolume([], (2.0, 4.0, 6.0)) == 0.0


@settings(deadline=None)
@given(st.integers(1, 4).flatmap(points))
def test_ranks_are_the_library_s_and_front_is_rank_zero(found: list[tuple[float, ...]]) -> None:
    moocore = pytest.importorskip("moocore")
    array = np.asarray(found)
    expected = moocore.pareto_rank(array) if array.shape[1] > 1 else np.unique(array, return_inverse=True)[1].ravel()
    assert ranks(array).tolist() == np.asarray(expected).tolist()
    assert front(array).tolist() == np.flatnonzero(ranks(array) == 0).tolist()


@settings(deadline=None)
@given(points(3))
def test_dominance_is_its_definition(found: list[tuple[float, ...]]) -> None:
    matrix = dominance(found)
    for i, a in enumerate(found):
        for j, b in enumerate(found):
            assert matrix[i, j] == (all(x <= y for x, y in zip(a, b, strict=True)) and a != b)


def test_crowding_by_hand() -> None:
    # Spans 4 and 4; the middle points: (2-0)/4 + (4-1)/4 = 1.25 and (4-1)/4 + (3-0)/4 = 1.5.
    assert crowding([(0, 4), (1, 3), (2, 1), (4, 0)]).tolist() == [np.inf, 1.25, 1.5, np.inf]
    assert crowding([(1, 1), (1, 1)]).tolist() == [np.inf, np.inf]


def test_preference_is_rank_then_crowding_then_age() -> None:
    losses_N2 = [(5, 5), (0, 4), (1, 3), (2, 1), (4, 0)]
    assert preference(losses_N2).tolist() == [4, 0, 3, 2, 1]


def test_empty_front() -> None:
    assert front(np.zeros((0, 2))).tolist() == []


def test_every_objective_is_a_metric_we_know() -> None:
    assert set(DIRECTIONS) <= set(METRICS)
    assert set(LIMITS) | set(LIMITS.values()) <= set(METRICS)


def test_tc_counts_up_to_its_ceiling_and_warp_flip_down_to_its_floor() -> None:
    objectives = parse_objectives(("tc", "warp_flip", "latency_ms"))
    metrics = {"tc": 0.99, "tc_ceiling": 0.9, "warp_flip": 0.01, "warp_flip_floor": 0.05, "latency_ms": 7.0}
    assert losses(objectives, metrics) == (-0.9, 0.05, 7.0)
    assert losses(objectives, {**metrics, "tc": 0.5, "warp_flip": 0.2}) == (-0.5, 0.2, 7.0)
    assert losses(objectives[:1], {"tc": 0.99}) == (-0.99,)


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "none given"), (("speed",), "'speed' given; allowed: miou"), (("miou", "miou"), "each at most once")],
)
def test_bad_objectives_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_objectives(names)


def test_violated_names_metric_value_and_budget() -> None:
    assert violated({"latency_ms": 20.0}, {"latency_ms": 23.5}) == "latency_ms 23.5 is over the budget 20"
    assert violated({"latency_ms": 20.0}, {"latency_ms": 20.0}) is None
    assert violated({"latency_ms": 20.0}, {"miou": 99.0}) is None
