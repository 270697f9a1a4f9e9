"""`vidseg-nas evaluate`: score a model folder on a split. Knows nothing of metrics."""

from typing import Annotated

import typer

from nas.commands.options import ModelDir, SizeOption
from nas.commands.output import Answer, DebugOption, JsonOption, answer
from nas.commands.parse import size_hw


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate", epilog="Example: vidseg-nas evaluate my-model --data camvid:PATH --split val")(evaluate)


def evaluate(
    model_dir: ModelDir,
    data: Annotated[str, typer.Option("--data", help="moving_shapes, camvid:PATH, folder:PATH ...")],
    split: Annotated[str, typer.Option("--split", help="A split of the dataset.")] = "val",
    size: SizeOption = None,
    json_output: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Score a network on a split of a dataset: accuracy, and consistency in time."""

    def work() -> Answer:
        from evaluators.datasets.registry import open_dataset
        from evaluators.segmentation import evaluate_model
        from nas.model_folder import read_model
        from search_spaces.errors import InputError

        model = read_model(model_dir)
        dataset = open_dataset(data, size_hw(size) if size else model.config.size)
        classes = tuple(dataset.info.classes)
        if classes != model.config.classes:
            raise InputError(
                f"--data {data}: its classes are {', '.join(classes)}; {model_dir} was trained for "
                f"{', '.join(model.config.classes)}"
            )
        scores = evaluate_model(model.network, dataset, split)
        per_class = dict(zip(classes, scores.per_class_iou, strict=True))
        facts = {
            "model": str(model_dir),
            "key": model.config.architecture.key,
            "data": data,
            "fingerprint": dataset.info.fingerprint,
            "split": split,
            "size_hw": list(dataset.info.size_hw),
            "metrics": dict(scores.metrics),
            "per_class_iou": per_class,
        }
        lines = [f"{name}: {value:.4f}" for name, value in sorted(scores.metrics.items())]
        lines += [f"IoU {name}: {'absent' if iou is None else f'{iou:.4f}'}" for name, iou in per_class.items()]
        return Answer(facts, tuple(lines))

    answer(json_output, work)
