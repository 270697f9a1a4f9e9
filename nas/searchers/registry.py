"""The searchers by name, and how one is made from options. Knows nothing of how they search."""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from nas.objectives import Objective
from nas.searchers.common import Scalar, Setup
from nas.trial import Searcher
from search_spaces.architecture import Architecture
from search_spaces.decisions import Genotype, SearchSpace
from search_spaces.door import parse_json
from search_spaces.errors import InputError


@dataclass(frozen=True, slots=True)
class SearcherInfo:
    """`module` has `Options` and `make(setup, options)`; it is imported when the searcher is made.

    `variants` are what may follow a colon in the name: a fixed set, or "*" for anything the module
    understands.
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
) -> Searcher:
    """The searcher called `name` (or `name:variant`), fresh.

    Raises:
        InputError: the name, variant or an option is unknown, an option's value is not allowed, or a starting
            genotype is not of the space; what is allowed is listed.
    """
    base, _, variant = name.partition(":")
    info = SEARCHERS.get(base)
    if info is None:
        raise InputError(f"searcher: {name!r} given; allowed: {', '.join(names())}")
    if "*" not in info.variants and variant not in (info.variants or ("",)):
        raise InputError(f"searcher: {name!r} given; allowed: {', '.join(names())}")
    module = importlib.import_module(info.module)
    allowed = [field.name for field in fields(module.Options)]
    for option in options or {}:
        if option not in allowed:
            listed = ", ".join(allowed) or "none"
            raise InputError(f"searcher_options: {option!r} given for searcher {name!r}; allowed: {listed}")
    parsed = parse_json(module.Options, json.dumps(dict(options or {})), f"searcher_options of {name}")
    setup = Setup(
        space=space, seed=seed, objectives=objectives, start=start, options=dict(options or {}),
        variant=variant, cost=cost, cost_name=cost_name, features=features,
    )  # fmt: skip
    searcher: Searcher = module.make(setup, parsed)
    return searcher


def names() -> list[str]:
    """Every name that `make_searcher` takes; `name:S` where the variant is open."""
    found: list[str] = []
    for name, info in SEARCHERS.items():
        found += [f"{name}:{'S' if variant == '*' else variant}" for variant in info.variants] or [name]
    return found
