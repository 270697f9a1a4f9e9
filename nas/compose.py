"""From a recipe to the parts of a search: searcher, stages, starting points. Runs nothing and writes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evaluators.tabular import TabularEvaluator, open_benchmark
from evaluators.toy import ToyEvaluator
from nas.objectives import DIRECTIONS, parse_objectives
from nas.recipe import Recipe
from nas.searchers.registry import make_searcher
from nas.sources import open_source
from nas.stages import Stage
from nas.trial import Searcher
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.recorded_table import absolute_spec, is_tabular
from search_spaces.spaces import make_space

MEASURE_BATCH = 4
"""Candidates a device lease: draining the trainers costs more than measuring, timing more at once saves little."""

MEASURE_TIMEOUT_S, TRAIN_TIMEOUT_S = 900.0, 24 * 3600.0


@dataclass(frozen=True)
class Parts:
    """What the loop is given."""

    searcher: Searcher
    stages: tuple[Stage, ...]


def make_parts(recipe: Recipe, folder: Path) -> Parts:
    """The parts, after every field of the recipe has been looked at.

    Raises:
        InputError: an unknown name or option, data that cannot be opened, a target that is not this machine.
    """
    objectives = parse_objectives(recipe.objectives)
    costs = [name for name, direction in DIRECTIONS.items() if direction == "min"]
    for name, bound in recipe.constraints.items():
        if name not in costs:
            raise InputError(f"constraints: {name!r} given; allowed (an upper bound each): {', '.join(costs)}")
        if bound <= 0:
            raise InputError(f"constraints.{name}: {bound:g} given; nothing can be below it, more than 0 is needed")
    space = make_space(recipe.space)
    start = tuple(open_source(text).architecture for text in recipe.start)
    evaluation = _evaluation(recipe, folder)
    searcher = make_searcher(
        recipe.searcher,
        space,
        seed=recipe.seed,
        objectives=objectives,
        options=recipe.searcher_options,
        start=start,
        cost=evaluation.cost,
        cost_name=evaluation.cost_name,
        epochs=recipe.epochs,
        fidelities=_fidelities(recipe),
    )
    return Parts(searcher, evaluation.stages)


@dataclass(frozen=True)
class _Evaluation:
    """The stages of a trial, and what predicts a loss; `cost_name` where it does so exactly and at no expense."""

    stages: tuple[Stage, ...]
    cost: Callable[[Architecture], float] | None = None
    cost_name: str = ""


def _evaluation(recipe: Recipe, folder: Path) -> _Evaluation:
    if recipe.space == "toy":
        return _toy()
    return _tabular(recipe) if is_tabular(recipe.space) else _video(recipe, folder)


def _fidelities(recipe: Recipe) -> tuple[int, ...]:
    """The only epochs that can be asked for; none: any."""
    return open_benchmark(absolute_spec(recipe.space)).epochs if is_tabular(recipe.space) else ()


def _toy() -> _Evaluation:
    return _Evaluation((Stage("train", ToyEvaluator()),))


def _tabular(recipe: Recipe) -> _Evaluation:
    """Recorded costs, then recorded trainings: no dataset is opened and nothing is timed."""
    spec = absolute_spec(recipe.space)  # a worker of a cluster has another working folder than the driver
    benchmark = open_benchmark(spec)
    for name in (*recipe.objectives, *recipe.constraints):
        if not benchmark.reports(name):
            raise InputError(f"{recipe.space}: {name!r} is not recorded; name its column, as in ?{name}=COLUMN")
    if benchmark.epochs and recipe.epochs not in benchmark.epochs:
        recorded = ", ".join(map(str, benchmark.epochs))
        raise InputError(f"epochs: {recipe.epochs} given; {recipe.space} records {recorded}")
    evaluator = TabularEvaluator(spec)
    stages = (Stage("measure", evaluator, where="driver"), Stage("train", evaluator))

    def latency_ms(architecture: Architecture) -> float:
        return benchmark.measured(architecture)["latency_ms"]

    return _Evaluation(stages, latency_ms, "latency_ms") if benchmark.reports("latency_ms") else _Evaluation(stages)


def _video(recipe: Recipe, folder: Path) -> _Evaluation:
    """Counted cost, then latency where anything asks for it, then training: the cheapest first."""
    from evaluators.datasets.registry import absolute_spec, open_dataset
    from evaluators.latency import CostEvaluator, LatencyEvaluator
    from evaluators.options import train_options
    from evaluators.segmentation import SegmentationEvaluator
    from latency_tables.device import parse_target
    from latency_tables.runtimes.registry import load_runtime
    from search_spaces.trace import num_macs

    folder = folder.absolute()  # a worker of a cluster has another working folder than the driver
    options = train_options(recipe.training)
    info = open_dataset(recipe.data, recipe.size_hw).info
    size_hw, num_classes = info.size_hw, len(info.classes)
    stages = [Stage("cost", CostEvaluator(size_hw, num_classes), where="driver")]
    if any(name.startswith("latency") for name in (*recipe.objectives, *recipe.constraints)):
        target = parse_target(recipe.target)
        if not target.is_local:
            raise InputError(f"target {recipe.target!r}: only devices called thiscpu can be measured from here")
        load_runtime(target.runtime)  # absent: said now, not by every trial
        latency = LatencyEvaluator(target, size_hw, num_classes, folder / "exports", recipe.seed)
        stages.append(Stage("measure", latency, exclusive=True, batch=MEASURE_BATCH, timeout_s=MEASURE_TIMEOUT_S))
    training = SegmentationEvaluator(absolute_spec(recipe.data), recipe.size_hw, str(folder), options)
    stages.append(Stage("train", training, timeout_s=TRAIN_TIMEOUT_S))

    def macs_m(architecture: Architecture) -> float:
        return num_macs(architecture, size_hw, num_classes) / 1e6

    # No `cost_name`: tracing takes tenths of a second, and a searcher asks for the cost of hundreds of candidates.
    return _Evaluation(tuple(stages), macs_m)
