"""What a user may name as a network: DIR#N, an architecture's JSON, a preset, a model folder. Trains nothing."""

import re
from dataclasses import dataclass
from pathlib import Path

from nas.model_folder import is_model_folder, read_architecture, read_config
from nas.recipe import Recipe
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError

_TRIAL = re.compile(r"(.+)#(\d{1,9})", re.ASCII)
FORMS = "DIR#N (trial N of a search), a model folder, ARCH.json, preset:NAME"


@dataclass(frozen=True)
class Source:
    """A network, how the user named it, and what is known with it: the recipe of its search, its model folder."""

    architecture: Architecture
    origin: str
    recipe: Recipe | None = None
    model_folder: Path | None = None


def open_source(text: str) -> Source:
    """Find the network that `text` names; it can be built (it is no point of a recorded benchmark).

    Raises:
        InputError: nothing of that name, or what it names is damaged.
    """
    source = _find(text)
    source.architecture.video  # noqa: B018  (raises InputError where there is nothing to build)
    return source


def _find(text: str) -> Source:
    if text.startswith("preset:"):
        from search_spaces.presets import preset

        return Source(preset(text.removeprefix("preset:")).architecture, text)
    path = Path(text)
    if path.is_dir() and is_model_folder(path):
        config = read_config(path)
        return Source(config.architecture, f"model {config.architecture.key[:12]}", model_folder=path)
    if path.is_file():
        return Source(read_architecture(path), path.name)
    found = _TRIAL.fullmatch(text)
    if found:
        return _trial(Path(found[1]), int(found[2]))
    if path.is_dir():
        raise InputError(f"{text}: a folder, but no model folder; a trial of a search is written {text}#N")
    raise InputError(f"network {text!r}: nothing of that name; allowed: {FORMS}")


def _trial(folder: Path, number: int) -> Source:
    from nas.search_folder import load, trial_of

    result = load(folder)
    trial = trial_of(result, number)
    return Source(trial.proposal.architecture, f"trial {number} of {folder.name}", result.recipe)
