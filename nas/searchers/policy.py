"""The LSTM controller: answers a question given the answers before it. Knows nothing of rewards or trials.

Source: Zoph and Le 2017, arXiv:1611.01578; update: Schulman et al. 2017, arXiv:1707.06347, equation 7, with
the entropy bonus of equation 9. What enters the LSTM is the embedding of the action TAKEN; a controller that
feeds it its own output (nas-segm-pytorch does) is a product of independent choices, whatever it is called.
Float64 and one thread: a resumed search computes what the uninterrupted one did.

Legend: E embedding and hidden size, N options of a question.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from nas.searchers.arithmetic import one_thread

_INIT_RANGE = 0.1
"""Uniform(-0.1, 0.1), as Zoph and Le."""

_MAX_GRADIENT_NORM = 2.0
"""nas-segm-pytorch's value; keeps a rare large importance ratio from throwing the policy off."""

Condition = Literal["actions", "nothing"]
"""What an answer may depend on beside the question: the answers before it, or not even those (a control)."""

Choice = tuple[str, int, int]
"""(decision name, number of options, option taken)."""


@dataclass(frozen=True, slots=True)
class Update:
    """A lesson: choices, the condition they were made under, their advantage, their log-probability then.

    `log_prob` None: not drawn from this policy; the ratio starts at 1.
    """

    choices: tuple[Choice, ...]
    condition: float
    advantage: float
    log_prob: float | None


class Policy:
    """One LSTM cell, and an embedding and a head for each question met, made from (seed, name).

    `condition_on` "nothing" is a product of independent choices: every head sees the LSTM's first state.
    """

    def __init__(self, seed: int, size: int, learning_rate: float, condition_on: Condition = "actions") -> None:
        self._seed, self._size, self.condition_on = seed, size, condition_on
        # Without its own initialization, which would draw from the global generator.
        self.cell: nn.LSTMCell = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.LSTMCell, size, size, dtype=torch.float64
        )
        generator = self._generator("cell")
        for parameter in self.cell.parameters():
            nn.init.uniform_(parameter, -_INIT_RANGE, _INIT_RANGE, generator=generator)
        self._first = self._parameter("first", 2, size)
        self._embeddings: dict[tuple[str, int], nn.Parameter] = {}
        self._heads: dict[tuple[str, int], nn.Parameter] = {}
        self._optimizer = torch.optim.Adam([*self.cell.parameters(), self._first], lr=learning_rate)

    def walk(self, condition: float) -> "Walk":
        """Start answering; `condition` in 0..1 is what the policy is told beforehand."""
        return Walk(self, condition)

    def first_input(self, condition: float) -> Tensor:
        """What enters the LSTM before the first question, (1, E)."""
        return (self._first[0] + (2.0 * condition - 1.0) * self._first[1]).unsqueeze(0)

    def next_input(self, choice: Choice, hidden_1E: Tensor) -> Tensor:
        """What enters the LSTM after `choice`: the embedding of the option taken, (1, E)."""
        name, num_options, index = choice
        return self._parameters_of(name, num_options)[0][index].unsqueeze(0)

    def logits(self, name: str, num_options: int, hidden_1E: Tensor) -> Tensor:
        """The head of this question, (N,)."""
        head_NE1 = self._parameters_of(name, num_options)[1]
        return head_NE1[:, :-1] @ hidden_1E[0] + head_NE1[:, -1]

    def update(self, lessons: Sequence[Update], clip: float | None, entropy: float) -> None:
        """One gradient step on all lessons; `clip` None is REINFORCE."""
        if not lessons:
            return
        with one_thread():
            for lesson in lessons:
                for name, num_options, _ in lesson.choices:
                    self._parameters_of(name, num_options)
            self._optimizer.zero_grad(set_to_none=True)
            total = torch.stack([self._objective(lesson, clip, entropy) for lesson in lessons]).mean()
            (-total).backward()  # type: ignore[no-untyped-call]
            parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, _MAX_GRADIENT_NORM)
            self._optimizer.step()

    def _objective(self, lesson: Update, clip: float | None, entropy: float) -> Tensor:
        walk = self.walk(lesson.condition)
        log_prob, spread = walk.replay(lesson.choices)
        if clip is None:
            gain = log_prob * lesson.advantage
        else:
            before = (
                log_prob.detach() if lesson.log_prob is None else torch.tensor(lesson.log_prob, dtype=torch.float64)
            )
            ratio = torch.exp(log_prob - before)
            gain = torch.minimum(ratio * lesson.advantage, ratio.clamp(1 - clip, 1 + clip) * lesson.advantage)
        return gain + entropy * spread

    def _parameters_of(self, name: str, num_options: int) -> tuple[nn.Parameter, nn.Parameter]:
        question = (name, num_options)
        if question not in self._heads:
            self._embeddings[question] = self._parameter(f"embedding/{name}", num_options, self._size)
            self._heads[question] = self._parameter(f"head/{name}", num_options, self._size + 1)
            added = [self._embeddings[question], self._heads[question]]
            self._optimizer.add_param_group({"params": added})
        return self._embeddings[question], self._heads[question]

    def _parameter(self, name: str, rows: int, columns: int) -> nn.Parameter:
        data = torch.empty(rows, columns, dtype=torch.float64)
        return nn.Parameter(data.uniform_(-_INIT_RANGE, _INIT_RANGE, generator=self._generator(f"{name}/{rows}")))

    def _generator(self, name: str) -> torch.Generator:
        digest = hashlib.sha256(f"{self._seed}/{name}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


class Walk:
    """One pass through the questions. `choices` and `log_prob` are what was answered so far."""

    def __init__(self, policy: Policy, condition: float) -> None:
        self._policy, self._condition = policy, condition
        self._state: tuple[Tensor, Tensor] | None = None
        self.choices: list[Choice] = []
        self.log_prob = 0.0

    def probabilities(self, name: str, num_options: int) -> list[float]:
        """Of each option, given what was answered so far; does not answer."""
        with torch.no_grad(), one_thread():
            probabilities: list[float] = torch.softmax(self._logits(name, num_options)[0], 0).tolist()
        return probabilities

    def draw(self, name: str, num_options: int, uniform: float) -> int:
        """Answer by inversion: `uniform` in 0..1 picks the option."""
        with torch.no_grad(), one_thread():
            logits, state = self._logits(name, num_options)
            log_probs: list[float] = torch.log_softmax(logits, 0).tolist()
        self._state = state
        index, below = 0, math.exp(log_probs[0])
        while uniform >= below and index + 1 < num_options:
            index += 1
            below += math.exp(log_probs[index])
        self.choices.append((name, num_options, index))
        self.log_prob += log_probs[index]
        return index

    def take(self, name: str, num_options: int, index: int) -> int:
        """Answer with `index`."""
        with torch.no_grad(), one_thread():
            logits, self._state = self._logits(name, num_options)
            self.log_prob += float(torch.log_softmax(logits, 0)[index])
        self.choices.append((name, num_options, index))
        return index

    def replay(self, choices: Sequence[Choice]) -> tuple[Tensor, Tensor]:
        """(log-probability of all, mean entropy of a choice), with gradients; for a fresh walk."""
        log_probs, entropies = [], []
        for choice in choices:
            logits, self._state = self._logits(choice[0], choice[1])
            log_N = torch.log_softmax(logits, 0)
            log_probs.append(log_N[choice[2]])
            entropies.append(-(log_N.exp() * log_N).sum())
            self.choices.append(choice)
        return torch.stack(log_probs).sum(), torch.stack(entropies).mean()

    def _logits(self, name: str, num_options: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        before = self._state if self._policy.condition_on == "actions" else None
        if before is None:
            entering_1E = self._policy.first_input(self._condition)
        else:
            entering_1E = self._policy.next_input(self.choices[-1], before[0])
        state = self._policy.cell(entering_1E, before)
        return self._policy.logits(name, num_options, state[0]), state
