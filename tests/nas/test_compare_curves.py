"""Curves at equal budgets: against a library, against brute force, and unmoved by what must not move them."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.compare.comparison import compare
from nas.compare.curves import AXES, POINTS, Axis, axis, curve
from nas.compare.runs import Arm, Run, Step
from nas.compare.yardstick import Yardstick, yardstick
from search_spaces.errors import InputError


def random_run(seed: int, *, length: int = 30, losses: int = 2, name: str = "") -> Run:
    """Steps of unequal cost: works without losses, answers from the record, complete candidates."""
    rng = random.Random(seed)
    steps = []
    for _ in range(length):
        kind = rng.choice(("work", "reused", "candidate", "candidate", "candidate"))
        if kind == "work":
            steps.append(Step(float(rng.randint(10, 40)), 1))
            continue
        point = tuple(round(rng.random(), 2) for _ in range(losses))
        cost = point[1] if losses > 1 else None
        steps.append(Step(0.0, 0, point, cost) if kind == "reused" else Step(rng.randint(1, 9) + 1.0, 1, point, cost))
    return Run(name or f"run{seed}", seed, tuple(steps))


def had(run: Run, name: str, at: float) -> list[Step]:
    """By definition: the steps up to the first that does not fit any more."""
    found, total = [], 0.0
    for step in run.steps:
        total += step.spent if name == "budget" else step.evaluations
        if total > at:
            break
        found.append(step)
    return found


@pytest.mark.parametrize("losses", [1, 2, 3])
@pytest.mark.parametrize("name", AXES)
def test_hypervolume_is_the_library_s_at_every_point(name: str, losses: int) -> None:
    moocore = pytest.importorskip("moocore")
    runs = [random_run(seed, losses=losses) for seed in range(4)]
    measure = yardstick(runs, [0.9] * losses)
    along = axis(name, runs)  # type: ignore[arg-type]
    for run in runs:
        for point, found in zip(along.points, curve(run, along, measure), strict=True):
            points = [step.losses for step in had(run, name, point) if step.losses]
            expected = 0.9 - min([*(p[0] for p in points), 0.9]) if losses == 1 else 0.0
            if points and losses > 1:
                expected = moocore.hypervolume(np.asarray(points), ref=np.full(losses, 0.9))
            assert found.hypervolume == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", AXES)
def test_regret_is_brute_force_s_at_every_point(name: str) -> None:
    runs = [random_run(seed, losses=3) for seed in range(4)]
    everything = [step for run in runs for step in run.steps if step.losses]
    budgets = np.percentile([step.cost for step in everything], [10, 20, 30, 40, 50, 60, 70, 80, 90])
    measure = yardstick(runs)
    assert measure.budgets_B == pytest.approx(budgets)
    worst = max(step.losses[0] for step in everything)
    along = axis(name, runs)  # type: ignore[arg-type]
    seen_without = 0
    for run in runs:
        for point, found in zip(along.points, curve(run, along, measure), strict=True):
            expected = []
            for budget in measure.budgets_B:
                best = min(step.losses[0] for step in everything if step.cost <= budget)
                own = [step.losses[0] for step in had(run, name, point) if step.losses and step.cost <= budget]
                seen_without += not own
                expected.append(min(own, default=worst) - best)
            assert found.regret_B == pytest.approx(expected)
            assert found.regret == pytest.approx(np.mean(expected))
    assert seen_without, "the case without a network under a budget is among them"


def test_both_axes_are_cut_at_the_run_that_has_least() -> None:
    long = Run("long", 0, tuple(Step(10.0, 1, (0.5, 0.5), 0.5) for _ in range(8)))
    work = Run("work", 1, (Step(60.0, 1), Step(0.0, 0, (0.4, 0.4), 0.4), Step(5.0, 1, (0.3, 0.3), 0.3)))
    assert axis("budget", [long, work]) == Axis(
        "budget", 65.0, 80.0, tuple(65 * (number / POINTS) for number in range(1, POINTS + 1)),
        (16.25, 32.5, 48.75, 65.0),
    )  # fmt: skip
    assert axis("evaluations", [long, work]) == Axis("evaluations", 2.0, 8.0, (1.0, 2.0), (1.0, 1.0, 2.0, 2.0))


def test_by_hand() -> None:
    """A work of 60 frames leaves nothing at a quarter, and an answer from the record comes with it for free."""
    measure = Yardstick(reference=(1.0, 1.0), budgets_B=(0.35, 0.5), best_B=(0.3, 0.2), nothing=0.9, volume=0.8)
    work = Run("work", 1, (Step(60.0, 1), Step(0.0, 0, (0.4, 0.4), 0.4), Step(20.0, 1, (0.3, 0.3), 0.3)))
    along = axis("budget", [work])
    found = dict(zip(along.points, curve(work, along, measure), strict=True))
    assert found[20.0].hypervolume == 0.0
    assert found[20.0].regret_B == pytest.approx((0.6, 0.7))
    assert found[60.0].hypervolume == pytest.approx(0.36)
    assert found[60.0].regret_B == pytest.approx((0.6, 0.2))
    assert found[80.0].hypervolume == pytest.approx(0.49)
    assert found[80.0].regret_B == pytest.approx((0.0, 0.1))


def arms_of(runs: Sequence[Run]) -> list[Arm]:
    half = len(runs) // 2
    return [Arm("random", tuple(runs[:half]), control=True), Arm("other", tuple(runs[half:]))]


seeds = st.lists(st.integers(0, 10_000), min_size=4, max_size=6, unique=True)


@settings(deadline=None, max_examples=30)
@given(seeds, st.data())
def test_a_dominated_trial_changes_no_figure(found: list[int], data: st.DataObject) -> None:
    """Where it costs nothing and the yardstick stays: a worse and dearer candidate anywhere in a run."""
    runs = [random_run(seed, length=12) for seed in found]
    measure = yardstick(runs, (0.9, 0.9))
    chosen = data.draw(st.integers(0, len(runs) - 1))
    run = runs[chosen]
    candidates = [index for index, step in enumerate(run.steps) if step.losses]
    if not candidates:
        return
    after = data.draw(st.sampled_from(candidates))
    loss, cost = run.steps[after].losses  # type: ignore[misc]
    worse = Step(0.0, 0, (loss + 0.01, cost + 0.01), cost + 0.01)
    longer = Run(run.name, run.seed, (*run.steps[: after + 1], worse, *run.steps[after + 1 :]))
    changed = [longer if number == chosen else other for number, other in enumerate(runs)]
    assert compare(arms_of(changed), measure).curves == compare(arms_of(runs), measure).curves


@settings(deadline=None, max_examples=20)
@given(seeds, st.randoms(use_true_random=False))
def test_the_order_of_runs_and_arms_changes_nothing(found: list[int], rng: random.Random) -> None:
    runs = [random_run(seed, length=12) for seed in found]
    shuffled = list(runs)
    rng.shuffle(shuffled)
    assert yardstick(shuffled) == yardstick(runs)
    arms = arms_of(runs)
    assert compare(arms[::-1], yardstick(shuffled)) == compare(arms, yardstick(runs))


@settings(deadline=None, max_examples=15)
@given(seeds)
def test_more_budget_is_never_worse(found: list[int]) -> None:
    runs = [random_run(seed) for seed in found]
    measure = yardstick(runs)
    for name in AXES:
        along = axis(name, runs)
        for run in runs:
            values = curve(run, along, measure)
            volumes, regrets = [one.hypervolume for one in values], [one.regret for one in values]
            assert volumes == sorted(volumes)
            assert regrets == sorted(regrets, reverse=True)
            assert volumes[-1] <= measure.volume
            assert regrets[-1] >= 0


def test_the_reference_is_the_worst_of_all_runs_also_beyond_the_cut() -> None:
    short = Run("short", 0, (Step(1.0, 1, (0.5, 0.2), 0.2),))
    long = Run("long", 1, (Step(1.0, 1, (0.4, 0.3), 0.3), Step(1.0, 1, (0.9, 0.1), 0.1), Step(1.0, 1, (0.1, 0.8), 0.8)))
    measure = yardstick([short, long])
    assert measure.reference == (0.9, 0.8)
    assert measure.nothing == 0.9
    assert measure.best_B[0] == 0.9
    assert measure.best_B[-1] == 0.4


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(InputError, match="none of the folders has a complete trial"):
        yardstick([Run("empty", 0, (Step(1.0, 1),))])


def test_medians_and_quartiles_over_seeds() -> None:
    reached = (0.1, 0.2, 0.3, 0.4, 0.8)
    runs = tuple(Run(str(seed), seed, (Step(1.0, 1, (loss, 0.5), 0.5),)) for seed, loss in enumerate(reached))
    measure = yardstick(runs, (1.0, 1.0))
    found = compare([Arm("random", runs, control=True)], measure)
    assert found.control == "random"
    last = found.curves[0]["random"].quarters[-1]
    assert last.hypervolume.median == pytest.approx(0.35)
    assert (last.hypervolume.q1, last.hypervolume.q3) == pytest.approx((0.3, 0.4))
    assert last.regret is not None
    assert (last.regret.q1, last.regret.median, last.regret.q3) == pytest.approx((0.1, 0.2, 0.3))
    assert last.hypervolume_verdict is None


def test_more_volume_and_less_regret_are_better() -> None:
    """An arm that is nearer to the front in every seed is better in both figures, and the other is worse."""
    pytest.importorskip("scipy")

    def arm(name: str, distance: float) -> Arm:
        places = [distance + seed / 100 for seed in range(5)]
        runs = tuple(Run(name, seed, (Step(1.0, 1, (at, 0.1), 0.1),)) for seed, at in enumerate(places))
        return Arm(name, runs, control=name == "random")

    arms = [arm("random", 0.5), arm("near", 0.2), arm("far", 0.8)]
    measure = yardstick([run for one in arms for run in one.runs], (1.0, 1.0))
    for curves in compare(arms, measure).curves:
        for name, share in (("near", 1.0), ("far", 0.0)):
            last = curves[name].quarters[-1]
            assert last.hypervolume_verdict is not None
            assert last.regret_verdict is not None
            assert (last.hypervolume_verdict.superiority, last.regret_verdict.superiority) == (share, share)
            assert last.regret_verdict.words == f"{'better' if share else 'worse'} than random (p 0.016)"
