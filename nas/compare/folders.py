"""Search folders as arms and runs, read from their files alone. Knows nothing of curves and tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.compare.arms import arm_names, refuse_mixed
from nas.compare.runs import Arm, Run, Step
from nas.compare.spending import Rates, Spending, frame_rates, price, spendings
from nas.objectives import Objective, losses, parse_objectives
from nas.recipe import Recipe
from nas.records import Record, history, read_records
from nas.result import may_stand_on_front
from nas.search_folder import JOURNAL, read_recipe, read_run, read_status
from nas.trial import Trial
from search_spaces.errors import InputError

CONTROL = "random"


@dataclass(frozen=True, slots=True)
class Material:
    """What the folders hold, ready to be compared.

    The first of `objectives` is the one whose regret is looked at. `cost` is the metric that the hidden budgets
    bound, None where neither the other objectives nor the constraints have a cost. `unit` says what the
    axis of budgets counts. `warnings` are sentences a user must see.
    """

    arms: tuple[Arm, ...]
    objectives: tuple[Objective, ...]
    cost: str | None
    unit: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Folder:
    name: str
    recipe: Recipe
    records: Sequence[Record]
    spent: Sequence[Spending]
    state: str
    processor: str


def read_material(folders: Sequence[Path]) -> Material:
    """Every folder a run, whether it is finished, interrupted or running; sorted, so that their order is nothing.

    Raises:
        InputError: a folder is no search folder, is damaged, has no finished trial, cannot be compared with the
            others, or is a second one of the same arm and seed.
    """
    found = [_read(folder) for folder in sorted(folders, key=str)]
    recipes = {folder.name: folder.recipe for folder in found}
    if len(recipes) < len(folders):
        twice = next(name for name in recipes if [folder.name for folder in found].count(name) > 1)
        raise InputError(f"{twice}: given twice; each folder is one run, and counts once")
    refuse_mixed(recipes)
    objectives, cost = _figures_of(found[0].recipe)
    rates = frame_rates(spending for folder in found for spending in folder.spent)
    names = arm_names(recipes)
    runs: dict[str, list[Run]] = {}
    for folder in found:
        runs.setdefault(names[folder.name], []).append(_run(folder, objectives, cost, rates))
    _refuse_equal_seeds(runs)
    controls = {names[folder.name] for folder in found if folder.recipe.searcher == CONTROL}
    arms = tuple(
        Arm(name, tuple(sorted(members, key=lambda run: run.seed)), name in controls)
        for name, members in sorted(runs.items())
    )
    unit = "training epochs + measurements" if rates is None else "training frames + measurements"
    return Material(arms, objectives, cost, unit, tuple(_warnings(found, arms, rates)))


def _read(path: Path) -> _Folder:
    recipe = read_recipe(path)
    state = read_status(path).state
    journal = path / JOURNAL
    records = read_records(journal) if journal.is_file() else []
    spent = spendings(records, recipe.epochs)
    if not spent:
        raise InputError(f"{path}: no trial is finished yet ({state}); wait for the first, or leave the folder out")
    return _Folder(str(path), recipe, records, spent, state, read_run(path).machine.get("processor", ""))


def _figures_of(recipe: Recipe) -> tuple[tuple[Objective, ...], str | None]:
    """The objectives, those that are costs last, and the metric that hidden budgets are put on.

    That is a latency, else any counted cost, among the other objectives and the constraints.
    """
    objectives = tuple(sorted(parse_objectives(recipe.objectives), key=lambda objective: _is_cost(objective.name)))
    others = [*(objective.name for objective in objectives[1:]), *recipe.constraints]
    costs = [name for name in others if _is_cost(name) and name != objectives[0].name]
    return objectives, min(costs, key=lambda name: not _is_latency(name), default=None)


def _is_latency(name: str) -> bool:
    return name.startswith("latency") and name.endswith("_ms")


def _is_cost(name: str) -> bool:
    return _is_latency(name) or name in ("macs_m", "params_k", "state_kb")


def _run(folder: _Folder, objectives: Sequence[Objective], cost: str | None, rates: Rates | None) -> Run:
    trials = {trial.number: trial for trial in history(folder.records).trials}
    steps = tuple(_step(spending, trials[spending.trial], objectives, cost, rates) for spending in folder.spent)
    return Run(folder.name, folder.recipe.seed, steps, folder.state)


def _step(
    spending: Spending, trial: Trial, objectives: Sequence[Objective], cost: str | None, rates: Rates | None
) -> Step:
    spent, evaluations = price(spending, rates), int(spending.anew)
    if not may_stand_on_front(trial, [objective.name for objective in objectives]):
        return Step(spent, evaluations)
    reached = losses(objectives, trial.metrics)
    return Step(spent, evaluations, reached, None if cost is None else trial.metrics.get(cost))


def _refuse_equal_seeds(runs: Mapping[str, Sequence[Run]]) -> None:
    for arm, members in runs.items():
        by_seed: dict[int, str] = {}
        for run in members:
            if run.seed in by_seed:
                raise InputError(
                    f"{by_seed[run.seed]} and {run.name} are the same arm ({arm}) with the same seed {run.seed}: not "
                    "two independent runs; give one of them, or search again with another --seed"
                )
            by_seed[run.seed] = run.name


def _warnings(found: Sequence[_Folder], arms: Sequence[Arm], rates: Rates | None) -> list[str]:
    said = [
        f"{folder.name} is {folder.state}: {len(folder.spent)} trials are told so far"
        for folder in found
        if folder.state != "finished"
    ]
    controls = [arm.name for arm in arms if arm.control]
    if not controls:
        said.append(
            f"NO CONTROL: none of the arms is {CONTROL!r}, so nothing shows that any of them is better than chance; "
            f"search with --searcher {CONTROL} too"
        )
    if len(controls) > 1:
        said.append(f"several arms search at random ({', '.join(controls)}); {controls[0]} is the control")
    if len(arms) == 1:
        said.append("one arm: there is nothing to compare it with")
    said += [f"arm {arm.name} has one seed: chance alone may explain it" for arm in arms if len(arm.runs) == 1]
    if rates is None:
        said.append("no training says how many frames it saw; epochs are counted in their place")
    processors = sorted({folder.processor for folder in found if folder.processor})
    if len(processors) > 1 and any(spending.measurements for folder in found for spending in folder.spent):
        said.append(
            f"the searches ran on different processors ({'; '.join(processors)}): latencies that were measured there, "
            "and not read from a table, do not compare"
        )
    return said
