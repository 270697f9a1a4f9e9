"""Rank tests: p-values against the library and against enumeration, corrections by hand, words that claim no more."""

import builtins
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from nas.compare.ranking import MIN_SEEDS, holm, mann_whitney, superiority, verdicts
from search_spaces.errors import MissingExtraError

stats = pytest.importorskip("scipy.stats")

LOW, HIGH = [0.1, 0.2, 0.3, 0.4, 0.5], [0.6, 0.7, 0.8, 0.9, 1.0]


def enumerated(first: list[float], second: list[float]) -> float:
    """Twice the smaller tail of U over every way to split the values, by its definition."""
    values = [*first, *second]

    def u(chosen: tuple[int, ...]) -> float:
        rest = [values[index] for index in range(len(values)) if index not in chosen]
        return sum((values[index] > other) + 0.5 * (values[index] == other) for index in chosen for other in rest)

    seen = u(tuple(range(len(first))))
    splits = [u(chosen) for chosen in combinations(range(len(values)), len(first))]
    tails = sum(split >= seen for split in splits), sum(split <= seen for split in splits)
    return min(1.0, 2 * min(tails) / len(splits))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
def test_p_is_that_of_all_splits(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    draw = (lambda n: rng.integers(0, 4, n)) if ties else (lambda n: rng.normal(size=n))
    first, second = [float(v) for v in draw(5)], [float(v) for v in draw(6)]
    assert mann_whitney(first, second) == pytest.approx(enumerated(first, second), abs=1e-12)


def test_p_is_the_library_s_where_there_are_many_seeds() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=20), rng.normal(0.5, size=20)
    exact = stats.mannwhitneyu(first, second, alternative="two-sided", method="exact").pvalue
    assert mann_whitney(list(first), list(second)) == pytest.approx(exact, abs=1e-12)
    first, second = rng.integers(0, 5, 20), rng.integers(1, 6, 20)
    normal = stats.mannwhitneyu(first, second, alternative="two-sided", method="asymptotic").pvalue
    assert mann_whitney(list(first), list(second)) == pytest.approx(normal, abs=1e-12)


def test_all_equal_is_no_difference() -> None:
    assert mann_whitney([1.0] * 5, [1.0] * 5) == 1.0


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 by 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.04, and none may fall below the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_superiority_by_hand() -> None:
    assert superiority([1.0, 3.0], [1.0, 2.0], "larger") == (0.5 + 0 + 1 + 1) / 4
    assert superiority([1.0, 3.0], [1.0, 2.0], "smaller") == (0.5 + 1 + 0 + 0) / 4


def test_better_and_worse_follow_the_direction() -> None:
    for better, winner, loser in (("larger", HIGH, LOW), ("smaller", LOW, HIGH)):
        found = verdicts({"random": LOW if winner is HIGH else HIGH, "a": winner}, "random", better)["a"]
        assert (found.p, found.superiority) == (pytest.approx(2 / 252), 1.0)
        assert found.words == "better than random (p 0.0079)"
        lost = verdicts({"random": winner, "a": loser}, "random", better)["a"]
        assert (lost.brief, lost.superiority) == ("worse, p 0.0079", 0.0)


def test_several_arms_are_corrected() -> None:
    found = verdicts({"random": LOW, "a": HIGH, "b": HIGH, "c": LOW}, "random", "larger")
    assert found["a"].p_holm == found["b"].p_holm == pytest.approx(3 * 2 / 252)
    assert found["c"].words == "a tie: no difference from random is shown (p 1)"
    assert "random" not in found


def test_few_seeds_claim_nothing_and_do_not_count_as_an_arm() -> None:
    found = verdicts({"random": LOW, "a": HIGH, "few": HIGH[: MIN_SEEDS - 1]}, "random", "larger")
    assert (found["few"].p, found["few"].p_holm, found["few"].superiority) == (None, None, 1.0)
    assert found["few"].words == "too few seeds to say: 4 against 5, at least 5 each are needed"
    assert found["a"].p_holm == found["a"].p
    assert verdicts({"random": LOW[:1], "a": HIGH}, "random", "larger")["a"].p is None


def test_without_scipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"a rank test needs scipy.*vidseg-nas\[report\]"):
        verdicts({"random": LOW, "a": HIGH}, "random", "larger")
    found = verdicts({"random": LOW, "a": HIGH}, "random", "larger", testable=False)["a"]
    assert (found.words, found.p) == ("not tested", None)
