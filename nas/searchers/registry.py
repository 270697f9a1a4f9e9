"""The searchers by name, and how one is made from options. Knows nothing of how they search."""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from nas.objectives import Objective
from nas.recipe import EPOCHS
from nas.searchers.common import Scalar, Setup
from nas.trial import Searcher
from search_spaces.architecture import Architecture
from search_spaces.decisions import Genotype, SearchSpace
from search_spaces.door import parse_json
from search_spaces.errors import InputError


@dataclass(frozen=True, slots=True)
class SearcherInfo:
    """`module` has `Options` and `make(setup, options)`; it is imported when the searcher is made.

    `variants` are what may follow a colon in the name: a fixed set, or "*" for another searcher inside.
    """

    summary: str
    source: str
    module: str
    variants: tuple[str, ...] = ()


SEARCHERS: dict[str, SearcherInfo] = {
    "random": SearcherInfo(
        "uniform, no repeats: the control arm of every comparison",
        "arXiv:1902.07638", "nas.searchers.random_search",
    ),
    "evolution": SearcherInfo(
        "regularized evolution; a Pareto front where there are several objectives and no target",
        "arXiv:1802.01548", "nas.searchers.evolution",
    ),
    "ppo": SearcherInfo(
        "autoregressive LSTM controller, PPO or REINFORCE; MnasNet's or TuNAS's reward",
        "arXiv:1707.06347, arXiv:1807.11626, arXiv:2008.06120", "nas.searchers.ppo",
    ),
    "surrogate": SearcherInfo(
        "Gaussian process on answers and traced numbers; improves the front under every budget at once",
        "doi:10.1023/A:1008306431147, arXiv:2006.07556", "nas.searchers.surrogate",
    ),
    "halving": SearcherInfo(
        "asynchronous successive halving around the searcher S: few epochs for all, more for the best",
        "arXiv:1810.05934", "nas.searchers.halving", ("*",),
    ),
    "optuna": SearcherInfo(
        "Optuna's samplers through ask and tell: TPE, NSGA-II, Gaussian process",
        "arXiv:1907.10902", "nas.searchers.optuna_search", ("tpe", "nsga2", "gp"),
    ),
}  # fmt: skip


def make_searcher(
    name: str,
    space: SearchSpace,
    *,
    seed: int,
    objectives: tuple[Objective, ...],
    options: Mapping[str, Scalar] | None = None,
    start: tuple[Genotype | Architecture, ...] = (),
    cost: Callable[[Architecture], float] | None = None,
    cost_name: str = "",
    features: Callable[[Architecture], Sequence[float]] | None = None,
    epochs: int = EPOCHS,
    fidelities: tuple[int, ...] = (),
) -> Searcher:
    """The searcher called `name` (or `name:variant`), fresh.

    Raises:
        InputError: the name, variant or an option is unknown, an option's value is not allowed, or a starting
            genotype is not of the space; what is allowed is listed.
    """
    setup = Setup(
        space=space, seed=seed, objectives=objectives, start=start, options=dict(options or {}), cost=cost,
        cost_name=cost_name, features=features,
        epochs=epochs, fidelities=fidelities,
    )  # fmt: skip
    allowed = [option for module in _modules(name, name) for option in _options(module)]
    for option in setup.options:
        if option not in allowed:
            listed = ", ".join(allowed) or "none"
            raise InputError(f"searcher_options: {option!r} given for searcher {name!r}; allowed: {listed}")
    return searcher_of(name, setup)


def searcher_of(name: str, setup: Setup) -> Searcher:
    """The searcher called `name` from a setup whose variant is yet to be set; errors as `make_searcher`."""
    module = _modules(name, name)[0]
    own = {option: value for option, value in setup.options.items() if option in _options(module)}
    parsed = parse_json(module.Options, json.dumps(own), f"searcher_options of {name}")
    searcher: Searcher = module.make(replace(setup, variant=name.partition(":")[2]), parsed)
    return searcher


def _modules(name: str, given: str) -> list[Any]:
    """The module of the searcher called `name`, and of those inside it. Raises InputError quoting `given`."""
    base, _, variant = name.partition(":")
    info = SEARCHERS.get(base)
    open_variant = info is not None and info.variants == ("*",)
    if info is None or (not open_variant and variant not in (info.variants or ("",))):
        raise InputError(f"searcher: {given!r} given; allowed: {', '.join(names())}")
    inside = []
    if open_variant:
        if variant.partition(":")[0] in ("", base):
            allowed = ", ".join(f"{base}:{other}" for other in names() if not other.startswith(base))
            raise InputError(f"searcher: {given!r} given; {base} needs another searcher inside: {allowed}")
        inside = _modules(variant, given)
    return [importlib.import_module(info.module), *inside]


def _options(module: Any) -> list[str]:
    return [field.name for field in fields(module.Options)]


def names() -> list[str]:
    """Every name that `make_searcher` takes; `name:S` where the variant is open."""
    found: list[str] = []
    for name, info in SEARCHERS.items():
        found += [f"{name}:{'S' if variant == '*' else variant}" for variant in info.variants] or [name]
    return found
