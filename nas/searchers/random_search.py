"""Uniform random search without repeats: the control arm of every comparison. Knows nothing of metrics.

Source: Li and Talwalkar 2019, Random search and reproducibility for NAS, arXiv:1902.07638. Uniform means:
every question is answered uniformly, so that genotypes with fewer questions are likelier than others.
Differs: an architecture whose key was proposed before is drawn again.
"""

import random
from dataclasses import dataclass
from typing import ClassVar

from nas.searchers.common import Setup, Start, restored_on_failure, unseen_sample
from nas.trial import Proposal, Trial
from search_spaces.door import STRICT


@dataclass(frozen=True, slots=True)
class Options:
    """It has none."""

    __pydantic_config__: ClassVar = STRICT


class RandomSearch:
    """Start points first, then uniform draws; None once the space is exhausted."""

    def __init__(self, setup: Setup, options: Options) -> None:
        self._space = setup.space
        self._rng = random.Random(setup.seed)
        self._start = Start(setup.space, setup.start)
        self._seen: dict[str, None] = {}

    def ask(self) -> Proposal | None:
        """A point not proposed or told before."""
        proposal = self._start.take(self._seen)
        if proposal is None:
            with restored_on_failure(self._rng) as keep:
                found = unseen_sample(self._space, self._rng, self._seen)
                if found is None:
                    return None
                keep()
                decoded, key = found
                proposal = Proposal(decoded.genotype, decoded.architecture)
        else:
            key = proposal.architecture.key
        self._seen[key] = None
        return proposal

    def tell(self, trial: Trial) -> None:
        """Only remembers the key: prior data is not drawn again."""
        self._seen[trial.proposal.architecture.key] = None


def make(setup: Setup, options: Options) -> RandomSearch:
    """The searcher."""
    return RandomSearch(setup, options)
