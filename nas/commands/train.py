"""`vidseg-nas train`: one network, trained into a model folder. Knows nothing of how training works."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from nas.commands.options import SettingsOption, SizeOption
from nas.commands.output import Answer, DebugOption, JsonOption, answer, progress
from nas.commands.parse import size_hw


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "train", epilog="Example: vidseg-nas train runs/first#7 --data moving_shapes --epochs 50 --out my-model"
    )(train)


def train(
    network: Annotated[str, typer.Argument(metavar="DIR#N|ARCH.json|preset:NAME", help="The network to train.")],
    data: Annotated[str, typer.Option("--data", help="moving_shapes, camvid:PATH, folder:PATH ...")],
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="How long to train.")],
    out: Annotated[Path, typer.Option("--out", metavar="MODEL_DIR", help="Where the model folder goes.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")] = 0,
    size: SizeOption = None,
    settings: SettingsOption = None,
    json_output: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a network from scratch and write a model folder: config, weights, metrics, card, checksums."""

    def work() -> Answer:
        from nas.training import train_to_folder

        def on_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
            found = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
            progress(f"epoch {epoch}/{epochs}: {found}")

        trained = train_to_folder(
            network,
            data=data,
            epochs=epochs,
            out=out,
            seed=seed,
            size_hw=None if size is None else size_hw(size),
            settings=settings or (),
            on_epoch=on_epoch,
        )
        facts = {"model": str(out), "key": trained.key, "split": trained.split, "metrics": dict(trained.metrics)}
        lines = [f"{name}: {value:.4g}" for name, value in sorted(trained.metrics.items())]
        following = (["evaluate", str(out), "--data", data, "--split", "val"], ["export", str(out)])
        go_on = [shlex.join(["vidseg-nas", *words]) for words in following]
        return Answer(facts, (*lines, f"written: {out}", "go on with:", *go_on))

    answer(json_output, work)
