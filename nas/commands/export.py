"""`vidseg-nas export`: a checked ONNX file in a model folder. Knows nothing of ONNX."""

from typing import Annotated

import typer

from nas.commands.options import ModelDir, SizeOption
from nas.commands.output import Answer, DebugOption, JsonOption, answer
from nas.commands.parse import size_hw


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", epilog="Example: vidseg-nas export my-model --size 360x480")(export)


def export(
    model_dir: ModelDir,
    runtime: Annotated[
        str, typer.Option("--runtime", help="The runtime to check the file in: onnxruntime or openvino.")
    ] = "onnxruntime",
    size: SizeOption = None,
    json_output: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write MODEL_DIR/model.onnx: one frame and its state, compared with torch before it gets its name.

    A network with a schedule gets model.phase0.onnx and so on, one for every phase.
    """

    def work() -> Answer:
        from nas.export import export_model

        done = export_model(model_dir, runtime, size_hw(size) if size else None)
        height, width = done.size_hw
        facts = {
            "files": [str(path) for path in done.paths],
            "size_hw": [height, width],
            "runtime": done.runtime,
            "max_abs_difference": done.max_abs,
            "relative_difference": done.relative,
            "frames_compared": done.num_frames,
        }
        files = ", ".join(map(str, done.paths))
        line = (
            f"written: {files} ({height}x{width}); equals torch over {done.num_frames} frames in "
            f"{done.runtime} within {done.relative:.2g} of the logits' range"
        )
        return Answer(facts, (line,))

    answer(json_output, work)
