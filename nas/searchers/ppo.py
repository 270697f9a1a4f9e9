"""An autoregressive controller trained by PPO or REINFORCE. Knows nothing of networks.

Sources: REINFORCE with an LSTM controller, Zoph and Le 2017, arXiv:1611.01578; PPO's clipped objective,
Schulman et al. 2017, arXiv:1707.06347, equation 7; the reward of MnasNet, arXiv:1807.11626, or TuNAS,
arXiv:2008.06120; self-imitation of prior data, Oh et al. 2018, arXiv:1806.05635.
Differs: a decision's head belongs to its name, so conditional spaces need no padding; the importance ratio is
taken against the policy of the moment of the ask, so answers may come late; no critic, an exponential average
is the baseline; without a target one is drawn for each trial as a quantile of the costs seen, and the policy
is told the quantile, so that one policy covers a front; a known key is drawn again; a failed trial teaches
nothing, an infeasible one counts as the worst reward seen.
"""

import random
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from nas.searchers.common import Setup, Start, restored_on_failure, unseen_sample
from nas.searchers.policy import Choice, Condition, Policy, Update, Walk
from nas.searchers.reward import RewardName, reward, split
from nas.trial import Proposal, Trial
from search_spaces.architecture import Architecture
from search_spaces.decisions import Genotype, Pick, decode
from search_spaces.door import STRICT

_REDRAWS = 30
"""Draws from the policy before a uniform draw takes the place of a known key."""


@dataclass(frozen=True, slots=True)
class Options:
    """`clip` is PPO's epsilon, "none" is REINFORCE; `entropy` falls to 0 over `entropy_trials`.

    `condition_on` "nothing" lets no answer depend on another: the control that shows what the controller is worth.

    `reward` default: soft with a target, absolute without. `target` is for the first objective made small.
    """

    __pydantic_config__: ClassVar = STRICT
    batch: Annotated[int, Field(ge=1, le=1000)] = 8
    passes: Annotated[int, Field(ge=1, le=100)] = 4
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01
    clip: Annotated[float, Field(gt=0.0, lt=1.0)] | Literal["none"] = 0.2
    entropy: Annotated[float, Field(ge=0.0)] = 0.02
    entropy_trials: Annotated[int, Field(ge=1)] = 200
    baseline_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    hidden: Annotated[int, Field(ge=1, le=1024)] = 32
    condition_on: Condition = "actions"
    target: Annotated[float, Field(gt=0.0)] | None = None
    reward: RewardName | None = None
    beta: Annotated[float, Field(lt=0.0)] = -0.3


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is remembered of a proposal until its tell: its log-probability then, and the quantile."""

    choices: tuple[Choice, ...]
    log_prob: float
    quantile: float


class PolicySearch:
    """Start points first, then draws from the policy; an update after every `batch` lessons."""

    def __init__(self, setup: Setup, options: Options) -> None:
        self._space, self._objectives, self._options = setup.space, setup.objectives, options
        self._rng = random.Random(setup.seed)
        self._start = Start(setup.space, setup.start)
        self._policy = Policy(setup.seed, options.hidden, options.learning_rate, options.condition_on)
        self._seen: dict[str, None] = {}
        self._pending: dict[str, _Asked] = {}
        self._costs: list[tuple[float, ...]] = []
        self._lessons: list[Update] = []
        self._baseline: float | None = None
        self._scale = 0.0
        self._worst: float | None = None
        self._num_told = 0
        self._conditioned = (
            options.target is None and any(o.direction == "min" for o in setup.objectives) and len(setup.objectives) > 1
        )

    def ask(self) -> Proposal | None:
        """A start point, or a draw from the policy; always a new key."""
        proposal = self._start.take(self._seen)
        if proposal is None:
            with restored_on_failure(self._rng) as keep:
                quantile = self._rng.random() if self._conditioned else 0.5
                found = self._draw(quantile)
                if found is None:
                    return None
                keep()
            architecture, walk = found
            self._pending[architecture.key] = _Asked(tuple(walk.choices), walk.log_prob, quantile)
            proposal = Proposal({name: index for name, _, index in walk.choices}, architecture)
        self._seen[proposal.architecture.key] = None
        return proposal

    def tell(self, trial: Trial) -> None:
        """Turn the trial into a lesson; with a full batch, update the policy."""
        proposal = trial.proposal
        key = proposal.architecture.key
        self._seen[key] = None
        self._num_told += 1
        asked = self._pending.pop(key, None)
        if trial.status == "failed" or not isinstance(proposal, Proposal) or not proposal.genotype:
            return
        quantile = asked.quantile if asked else 0.5
        score = self._reward(trial, quantile)
        if score is None:
            return
        advantage = self._advantage(score)
        if asked is None and advantage <= 0.0:
            return  # prior data and start points are imitated where good; they are no sample of the policy
        if asked is None:
            choices = tuple(self._retraced(proposal.genotype, quantile).choices)
            lesson = Update(choices, quantile, advantage, None)
        else:
            lesson = Update(asked.choices, quantile, advantage, asked.log_prob)
        self._lessons.append(lesson)
        if len(self._lessons) >= self._options.batch:
            self._learn()

    def _draw(self, quantile: float) -> tuple[Architecture, Walk] | None:
        for _ in range(_REDRAWS):
            walk = self._policy.walk(quantile)
            architecture = decode(self._space, self._answers(walk)).architecture
            if architecture.key not in self._seen:
                return architecture, walk
        found = unseen_sample(self._space, self._rng, self._seen)
        return None if found is None else (found[0].architecture, self._retraced(found[0].genotype, quantile))

    def _answers(self, walk: Walk) -> Pick:
        return lambda name, num_options: walk.draw(name, num_options, self._rng.random())

    def _retraced(self, genotype: Genotype, quantile: float) -> Walk:
        """The walk that gives `genotype`."""
        walk = self._policy.walk(quantile)
        decode(self._space, lambda name, num_options: walk.take(name, num_options, genotype[name]))
        return walk

    def _reward(self, trial: Trial, quantile: float) -> float | None:
        """The trial's reward; None: an infeasible trial before any complete one."""
        if trial.status == "infeasible":
            return self._worst
        accuracy, costs = split(self._objectives, trial.metrics)
        self._costs.append(costs)
        targets = [self._target(place, quantile) for place in range(len(costs))]
        name = self._options.reward or ("soft" if self._options.target is not None else "absolute")
        score = reward(name, accuracy, costs, targets, self._options.beta)
        if len(self._objectives) == 1 and costs and self._options.target is None:
            score = -costs[0]
        self._worst = score if self._worst is None else min(self._worst, score)
        return score

    def _target(self, place: int, quantile: float) -> float:
        if place == 0 and self._options.target is not None:
            return self._options.target
        column = sorted(costs[place] for costs in self._costs)
        return column[min(int(quantile * len(column)), len(column) - 1)]

    def _advantage(self, score: float) -> float:
        """Against the exponential average before this reward, in units of the average distance from it."""
        decay = self._options.baseline_decay
        if self._baseline is None:
            self._baseline = score
            return 0.0
        difference = score - self._baseline
        self._baseline += (1.0 - decay) * difference
        self._scale = abs(difference) if self._scale == 0.0 else decay * self._scale + (1.0 - decay) * abs(difference)
        return difference / self._scale if self._scale > 0.0 else 0.0

    def _learn(self) -> None:
        left = max(0.0, 1.0 - self._num_told / self._options.entropy_trials)
        clip = None if self._options.clip == "none" else self._options.clip
        passes = 1 if clip is None else self._options.passes
        for _ in range(passes):
            self._policy.update(self._lessons, clip, self._options.entropy * left)
        self._lessons = []


def make(setup: Setup, options: Options) -> PolicySearch:
    """The searcher."""
    return PolicySearch(setup, options)
