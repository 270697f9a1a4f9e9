"""The controller of PPO depends on its own choices; its reward is what the papers say."""

import random
import statistics

import pytest
import torch
from asking import BOTH, run

from nas.objectives import parse_objectives
from nas.searchers import ppo
from nas.searchers.common import Setup
from nas.searchers.policy import Choice, Policy, Update, Walk
from nas.searchers.reward import reward, split
from search_spaces.toy import ToySpace, toy_metrics


class FedItsOwnOutput(Policy):
    """The defect of a released controller: the LSTM hears itself, not the action taken."""

    def next_input(self, choice: Choice, hidden_1E: torch.Tensor) -> torch.Tensor:
        return hidden_1E


def later_probabilities(policy: Policy, earlier: int) -> list[float]:
    walk = Walk(policy, 0.5)
    walk.take("depth", 4, earlier)
    walk.take("node0.op", 5, 0)
    return walk.probabilities("node1.op", 5)


def test_later_decisions_depend_on_earlier_choices_and_the_planted_defect_is_caught() -> None:
    policy = Policy(0, 8, 0.01)
    assert later_probabilities(policy, 0) == later_probabilities(policy, 0)
    assert later_probabilities(policy, 0) != later_probabilities(policy, 3)
    broken = FedItsOwnOutput(0, 8, 0.01)
    assert later_probabilities(broken, 0) == later_probabilities(broken, 3)


# --- the controller and its reward ------------------------------------------------------------------------------


def test_draws_follow_the_probabilities() -> None:
    policy, rng = Policy(1, 8, 0.01), random.Random(0)
    expected = Walk(policy, 0.5).probabilities("op", 5)
    drawn = [Walk(policy, 0.5).draw("op", 5, rng.random()) for _ in range(4000)]
    for index in range(5):  # standard error of a share near 0.2 is 0.0063
        assert drawn.count(index) / 4000 == pytest.approx(expected[index], abs=0.03)


def test_log_probability_of_drawing_taking_and_replaying_agree() -> None:
    policy = Policy(2, 8, 0.01)
    walk = policy.walk(0.3)
    for question in ("a", "b", "c"):
        walk.draw(question, 4, 0.7)
    retaken = policy.walk(0.3)
    for name, num_options, index in walk.choices:
        retaken.take(name, num_options, index)
    replayed, _ = policy.walk(0.3).replay(walk.choices)
    assert walk.log_prob == pytest.approx(retaken.log_prob, abs=1e-12)
    assert walk.log_prob == pytest.approx(replayed.item(), abs=1e-12)


def test_parameters_of_a_question_depend_on_its_name_and_not_on_when_it_is_met() -> None:
    one, other = Policy(0, 8, 0.01), Policy(0, 8, 0.01)
    one.walk(0.5).take("x", 3, 0)
    other.walk(0.5).take("y", 3, 0)
    assert one.walk(0.5).probabilities("y", 3) == other.walk(0.5).probabilities("y", 3)
    assert one.walk(0.5).probabilities("x", 3) != one.walk(0.5).probabilities("y", 3)


def test_late_answers_are_clipped_by_the_ratio_to_the_policy_that_was_asked() -> None:
    """A choice whose probability has already risen beyond the clip teaches nothing more (equation 7)."""
    policy = Policy(0, 8, 0.01)
    choices = (("op", 4, 2),)
    now = policy.walk(0.5)
    now.take(*choices[0])
    before = policy.walk(0.5).probabilities("op", 4)
    late = Update(choices, 0.5, 1.0, now.log_prob - 0.5)  # ratio e^0.5 = 1.65, clip at 1.2
    policy.update([late], 0.2, 0.0)
    assert policy.walk(0.5).probabilities("op", 4) == before
    policy.update([Update(choices, 0.5, 1.0, now.log_prob)], 0.2, 0.0)
    assert policy.walk(0.5).probabilities("op", 4)[2] > before[2]


def test_policy_is_conditioned_on_the_quantile() -> None:
    policy = Policy(0, 8, 0.01)
    assert policy.walk(0.0).probabilities("op", 4) != policy.walk(1.0).probabilities("op", 4)


def test_target_steers_latency() -> None:
    """The absolute reward draws the last third of the proposals to the target."""

    def median_latency(target: float) -> float:
        setup = Setup(space=ToySpace(), seed=0, objectives=parse_objectives(BOTH))
        searcher = ppo.make(setup, ppo.Options(target=target, reward="absolute", clip="none", beta=-1.0))
        asked = run(searcher, 150)[100:]
        return statistics.median(toy_metrics(proposal.architecture)["latency_ms"] for proposal in asked)

    assert median_latency(3.0) + 2.0 < median_latency(9.0)


def test_reward_by_hand() -> None:
    assert reward("soft", 0.5, [20.0], [10.0], -0.3) == pytest.approx(0.5 * 2**-0.07)
    assert reward("soft", 0.5, [5.0], [10.0], -0.3) == pytest.approx(0.5 * 2**0.07)
    assert reward("hard", 0.5, [20.0], [10.0], -0.3) == pytest.approx(0.25)
    assert reward("hard", 0.5, [5.0], [10.0], -0.3) == 0.5
    assert reward("absolute", 0.5, [20.0], [10.0], -0.3) == pytest.approx(0.2)
    assert reward("absolute", 0.5, [5.0], [10.0], -0.3) == pytest.approx(0.35)
    assert reward("absolute", 0.5, [0.0], [0.0], -0.3) == 0.5


def test_accuracy_is_the_mean_of_what_is_made_large() -> None:
    objectives = parse_objectives(("miou", "tc", "latency_ms"))
    assert split(objectives, {"miou": 0.4, "tc": 0.8, "tc_ceiling": 0.6, "latency_ms": 7.0}) == (0.5, (7.0,))
    assert split(parse_objectives(("latency_ms",)), {"latency_ms": 7.0}) == (1.0, (7.0,))
