"""Options that several commands share, written once. Knows nothing of what commands do with them."""

from pathlib import Path
from typing import Annotated

import typer

TrialsOption = Annotated[int | None, typer.Option("--trials", min=1, help="How many trials in all.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="How many trials at a time (the recipe's slots by default).")
]
EngineOption = Annotated[str, typer.Option("--engine", help="Where trials run: inline, process or ray.")]
RayAddressOption = Annotated[
    str | None, typer.Option("--ray-address", help="A running Ray cluster; without it Ray starts on this machine.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything random.")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a field of the recipe; may be given several times."),
]
SizeOption = Annotated[str | None, typer.Option("--size", metavar="HxW", help="Frame size, height x width in pixels.")]
SearchDir = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a search.")]
ModelDir = Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="A model folder, as `train` writes it.")]
