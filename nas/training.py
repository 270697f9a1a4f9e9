"""Train a named network into a model folder. Knows nothing of the command line or of how training works."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nas.files import refuse_existing
from nas.model_folder import DatasetFacts, ModelConfig, TrainingFacts, schedule_of, write_model
from nas.recipe import Scalar
from nas.sources import Source, open_source
from search_spaces.errors import InputError

SPLIT = "train"
"""What training reports its metrics on. Scores on other splits are `evaluate`'s."""


@dataclass(frozen=True)
class Trained:
    """What came of it; `metrics` were measured on `split`."""

    key: str
    split: str
    metrics: Mapping[str, float]


def train_to_folder(
    network: str,
    *,
    data: str,
    epochs: int,
    out: Path,
    seed: int,
    size_hw: tuple[int, int] | None,
    settings: Sequence[str],
    on_epoch: Callable[[int, Mapping[str, float]], None] | None = None,
) -> Trained:
    """Train what `network` names from scratch on the whole `train` split and write the model folder `out`.

    A trial's training options are those of its search unless `settings` (`training.NAME=VALUE`) say otherwise.

    Raises:
        InputError: an unknown network, dataset or option, a network too large for memory, or `out` exists.
    """
    from evaluators.datasets.registry import open_dataset
    from evaluators.options import train_options
    from evaluators.segmentation import facts
    from evaluators.train import train_network
    from evaluators.training_data import training_data
    from search_spaces.trace import require_affordable

    refuse_existing(out)
    source = open_source(network)
    options = train_options(_options(source, settings))
    size = size_hw or (source.recipe.size_hw if source.recipe and source.recipe.data == data else None)
    dataset = open_dataset(data, size)
    require_affordable(source.architecture, dataset.info.size_hw, len(dataset.info.classes))
    pools = training_data(dataset, dataset.videos(SPLIT), options)
    trained = train_network(source.architecture, pools, options, epochs=epochs, seed=seed, on_epoch=on_epoch)
    info = dataset.info
    config = ModelConfig(
        architecture=source.architecture,
        classes=tuple(info.classes),
        palette=tuple(info.palette),
        size=info.size_hw,
        schedule=schedule_of(source.architecture),
        dataset=DatasetFacts(spec=data, fingerprint=info.fingerprint, fps=info.fps),
        training=TrainingFacts(
            epochs=epochs,
            seed=seed,
            frames_seen=trained.frames_seen,
            options={name: value for name, value in asdict(options).items() if value is not None},
            origin=source.origin,
        ),
    )
    metrics = facts(trained)
    write_model(out, config, metrics, SPLIT, trained.model)
    return Trained(source.architecture.key, SPLIT, metrics)


def _options(source: Source, settings: Sequence[str]) -> Mapping[str, Scalar]:
    from nas.overrides import override
    from nas.recipe import Recipe

    for setting in settings:
        if not setting.startswith("training."):
            raise InputError(f"--set {setting!r}: allowed here: training.NAME=VALUE")
    return override(source.recipe or Recipe(), {}, settings, "--set").training
