"""What a trial promises, against integrals and hypervolumes computed otherwise."""

import random

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from nas.pareto import hypervolume_2d
from nas.searchers.acquisition import (
    NO_PEER,
    best_under,
    budgets,
    chance_under,
    expected_improvement,
    improvement_under_budgets,
)


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(("mean", "deviation", "best"), [(0.3, 0.5, 0.1), (-1.0, 2.0, 0.0), (0.0, 0.1, 0.5)])
def test_expected_improvement_is_the_integral(mean: float, deviation: float, best: float) -> None:
    expected = quad(lambda y: (y - best) * norm.pdf(y, mean, deviation), best, mean + 12 * deviation + abs(best))[0]
    found = expected_improvement(tensor(mean), tensor(deviation), tensor(best))
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_under_uniform_budgets_a_known_gain_is_the_hypervolume_it_adds() -> None:
    """Losses in 0..1 with their budgets spread evenly there, gains above a floor of 0."""
    rng = random.Random(3)
    loss = torch.linspace(0.0, 1.0, 100_001, dtype=torch.float64)
    budget_SJ = budgets([loss], 20_000)
    for _ in range(5):
        front = [(rng.random(), rng.random()) for _ in range(6)]
        gain_N = torch.tensor([gain for gain, _ in front], dtype=torch.float64)
        loss_N1 = torch.tensor([[loss] for _, loss in front], dtype=torch.float64)
        best_S = best_under(gain_N, loss_N1, budget_SJ)
        best_S = torch.where(best_S == gain_N.min() - NO_PEER, 0.0, best_S)
        new = [(rng.random(), rng.random()) for _ in range(8)]
        chance_MS = chance_under(tensor(*(loss for _, loss in new))[:, None], torch.zeros(8, 1).double(), budget_SJ)
        found = improvement_under_budgets(
            tensor(*(gain for gain, _ in new)), torch.full((8,), 1e-9).double(), best_S, chance_MS
        )
        before = hypervolume_2d([(-gain, loss) for gain, loss in front], (0.0, 1.0))
        for (gain, loss_of), promise in zip(new, found.tolist(), strict=True):
            after = hypervolume_2d([*((-one, other) for one, other in front), (-gain, loss_of)], (0.0, 1.0))
            assert promise == pytest.approx(after - before, abs=2e-4)


def test_promises_are_the_mean_over_outcomes() -> None:
    """Of a modelled gain and a modelled loss, against drawing both many times."""
    generator = torch.Generator().manual_seed(0)
    budget_SJ = tensor(0.2, 0.5, 0.9)[:, None]
    best_S = tensor(-0.5, 0.1, 0.1)
    gain = 0.2 + 0.4 * torch.randn(400_000, generator=generator, dtype=torch.float64)
    loss = 0.6 + 0.3 * torch.randn(400_000, generator=generator, dtype=torch.float64)
    drawn = ((gain[:, None] - best_S).clamp(min=0.0) * (loss[:, None] <= budget_SJ[:, 0])).mean()
    chance_MS = chance_under(tensor(0.6)[:, None], tensor(0.3)[:, None], budget_SJ)
    found = improvement_under_budgets(tensor(0.2), tensor(0.4), best_S, chance_MS)
    assert float(found) == pytest.approx(float(drawn), rel=0.01)


def test_several_budgets_have_to_be_met_at_once() -> None:
    chance = chance_under(tensor(1.0, 5.0)[None, :], torch.zeros(1, 2).double(), torch.tensor([[1, 5], [1, 4], [0, 9]]))
    assert chance.tolist() == [[1.0, 0.0, 0.0]]


def test_the_best_under_a_budget_is_the_best_of_those_under_it() -> None:
    gain_N, loss_NJ = tensor(0.3, 0.9, 0.5), tensor(1.0, 3.0, 2.0)[:, None]
    assert best_under(gain_N, loss_NJ, tensor(0.5, 1.0, 2.5, 9.0)[:, None]).tolist() == [0.3 - NO_PEER, 0.3, 0.5, 0.9]


def test_budgets_are_spread_over_the_quantiles() -> None:
    loss = torch.arange(101, dtype=torch.float64) ** 2
    assert budgets([loss], 4)[:, 0].tolist() == pytest.approx(
        [12.5**2 + 0.25, 37.5**2 + 0.25, 62.5**2 + 0.25, 87.5**2 + 0.25]
    )
    even = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64)
    for num_objectives in (1, 2, 3):
        found = budgets([even] * num_objectives, 256)
        assert found.shape == (256, num_objectives)
        for column in found.T:
            assert float((column.sort().values - (torch.arange(256) + 0.5) / 256).abs().max()) < 0.03
    two = budgets([even] * 2, 256)
    quarters = torch.stack([(two[:, 0] < 0.5) & (two[:, 1] < 0.5), (two[:, 0] < 0.5) & (two[:, 1] >= 0.5)]).sum(1)
    assert all(58 <= int(count) <= 70 for count in quarters), "spread over the square and not along a diagonal"
    assert budgets([], 1).shape == (1, 0)
