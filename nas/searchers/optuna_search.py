"""Optuna's samplers as searchers, through ask and tell: TPE, NSGA-II, Gaussian process. Knows nothing of networks.

Source: Akiba et al. 2019, Optuna, arXiv:1907.10902 (define-by-run: every decision is a categorical parameter that is
suggested when the space asks for it, so conditional spaces need nothing more). Samplers: TPE, Watanabe 2023,
arXiv:2304.11127, several objectives after Ozaki et al. 2022, doi:10.1613/jair.1.13188; NSGA-II, Deb et al. 2002,
doi:10.1109/4235.996017; Gaussian process with expected improvement or hypervolume improvement, Ament et al. 2023,
arXiv:2310.20708, Daulton et al. 2020, arXiv:2006.05078. NSGA-II crosses, and the Gaussian process models, only what
every trial so far was asked; what lies behind a condition they draw uniformly.
Differs from a study of Optuna's own: a known architecture is drawn again, and after some attempts a uniform unseen one
takes its place; an infeasible trial has a broken constraint, and the worst value seen for what nobody measured of it;
a failed one is told as failed. The study lives in memory alone: the journal is the record, resume replays it.
"""

import importlib.util
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from nas.objectives import losses
from nas.searchers.common import Setup, Start, restored_on_failure, unseen_sample
from nas.trial import Proposal, Trial
from search_spaces.decisions import Decoded, Genotype, Pick, decode
from search_spaces.door import STRICT
from search_spaces.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import optuna

_REDRAWS = 5
"""Draws of the sampler before a uniform draw takes the place of a known key; some samplers take a second for one."""

_CONSTRAINT, _KEPT, _BROKEN = "feasible", -1.0, 1.0
"""Optuna's convention: above 0 is a violation. Every trial has it, as the Gaussian process wants all or none."""

_USED_BY = {"startup": ("tpe", "gp"), "joint": ("tpe",), "population": ("nsga2",)}


@dataclass(frozen=True, slots=True)
class Options:
    """`startup`: uniform trials before the model (tpe, gp); `population` (nsga2): Optuna's defaults.

    `joint` (tpe): decisions that are asked together are modelled together (multivariate, in groups).
    """

    __pydantic_config__: ClassVar = STRICT
    startup: Annotated[int, Field(ge=1, le=10_000)] = 10
    population: Annotated[int, Field(ge=2, le=10_000)] = 50
    joint: bool = True


class OptunaSearch:
    """Start points first, then draws of the sampler; None once the space is exhausted."""

    def __init__(self, setup: Setup, study: "optuna.Study") -> None:
        self._space, self._objectives, self._study = setup.space, setup.objectives, study
        self._generational = setup.variant == "nsga2"
        self._rng = random.Random(setup.seed)
        self._start = Start(setup.space, setup.start)
        self._seen: dict[str, None] = {}
        self._pending: dict[str, optuna.Trial] = {}
        self._worst: tuple[float, ...] | None = None

    def ask(self) -> Proposal | None:
        """A start point, or a draw of the sampler; always a new key."""
        proposal = self._start.take(self._seen)
        if proposal is not None:
            if proposal.genotype:
                self._pending[proposal.architecture.key] = self._fixed(proposal.genotype)
        else:
            # First of all, so that the sampler is not asked in vain, which would leave its traces.
            with restored_on_failure(self._rng) as keep:
                uniform = unseen_sample(self._space, self._rng, self._seen)
                if uniform is None:
                    return None
                keep()
            found = self._drawn() or uniform[0]
            if found.architecture.key not in self._pending:
                self._pending[found.architecture.key] = self._fixed(found.genotype)
            proposal = Proposal(found.genotype, found.architecture)
        self._seen[proposal.architecture.key] = None
        return proposal

    def tell(self, trial: Trial) -> None:
        """Tell the study what it asked for, or enter what it did not."""
        proposal = trial.proposal
        key = proposal.architecture.key
        self._seen[key] = None
        asked = self._pending.pop(key, None)
        if not isinstance(proposal, Proposal) or not proposal.genotype:
            return
        values = self._values(trial)
        constraint = _KEPT if trial.status == "complete" else _BROKEN
        if asked is None and values is not None:
            asked = self._fixed(proposal.genotype)
        if asked is not None:
            self._finish(asked, values, constraint)

    def _finish(self, asked: "optuna.Trial", values: tuple[float, ...] | None, constraint: float) -> None:
        from optuna.trial import TrialState

        if values is None:
            self._study.tell(asked, state=TrialState.FAIL)
        else:
            asked.set_constraint(_CONSTRAINT, constraint)
            self._study.tell(asked, values)

    def _values(self, trial: Trial) -> tuple[float, ...] | None:
        """The trial's losses, the worst so far for what nobody measured; None: there is nothing to learn from."""
        if trial.status == "failed":
            return None
        if trial.status == "infeasible":
            if self._worst is None:
                return None
            pairs = zip(self._objectives, self._worst, strict=True)
            return tuple(losses((o,), trial.metrics)[0] if o.name in trial.metrics else worst for o, worst in pairs)
        found = losses(self._objectives, trial.metrics)
        self._worst = found if self._worst is None else tuple(map(max, found, self._worst))
        return found

    def _drawn(self) -> Decoded | None:
        """What the sampler draws; None: it was known every time."""
        for _ in range(_REDRAWS):
            asked = self._study.ask()
            decoded = decode(self._space, _suggested(asked))
            key = decoded.architecture.key
            if key not in self._seen:
                self._pending[key] = asked
                return decoded
            self._finish(asked, None, _KEPT)
        return None

    def _fixed(self, genotype: Genotype) -> "optuna.Trial":
        """A trial of the study with these answers."""
        num_options = decode(self._space, lambda name, _: genotype[name]).num_options
        self._study.enqueue_trial({_parameter(name, n): genotype[name] for name, n in num_options.items() if n > 1})
        asked = self._study.ask()
        decode(self._space, _suggested(asked))
        if self._generational:
            _ = asked.relative_params  # NSGA-II gives a trial its generation when it is asked for answers
        return asked


def _suggested(asked: "optuna.Trial") -> Pick:
    """Answers by suggestions; a question with one option is none."""
    return lambda name, n: 0 if n == 1 else int(asked.suggest_categorical(_parameter(name, n), tuple(range(n))))


def _parameter(name: str, num_options: int) -> str:
    """A decision as a parameter: Optuna refuses one whose options change, so their number is part of its name."""
    return f"{name}/{num_options}"


def make(setup: Setup, options: Options) -> OptunaSearch:
    """The searcher with the sampler that `setup.variant` names.

    Raises:
        MissingExtraError: optuna, or for gp scipy, is not installed.
        InputError: an option that the sampler does not use.
    """
    name = f"searcher optuna:{setup.variant}"
    for package in ("optuna", "scipy") if setup.variant == "gp" else ("optuna",):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "optuna", name)
    for option, users in _USED_BY.items():
        if option in setup.options and setup.variant not in users:
            raise InputError(f"searcher_options: {option!r} given for {name}; only {', '.join(users)} uses it")
    import optuna

    with _quiet():
        study = optuna.create_study(
            directions=["minimize"] * len(setup.objectives), sampler=_sampler(setup.variant, setup.seed, options)
        )
    return OptunaSearch(setup, study)


def _sampler(variant: str, seed: int, options: Options) -> "optuna.samplers.BaseSampler":
    from optuna.samplers import GPSampler, NSGAIISampler, TPESampler

    if variant == "nsga2":
        return NSGAIISampler(seed=seed, population_size=options.population)
    if variant == "gp":
        return GPSampler(seed=seed, n_startup_trials=options.startup, warn_independent_sampling=False)
    return TPESampler(
        seed=seed, n_startup_trials=options.startup, constant_liar=True,
        multivariate=options.joint, group=options.joint,
    )  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna announces every study and calls `group` experimental; its user's own settings come back."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
