"""`vidseg-nas segment`: an overlay video from a model folder. Knows nothing of networks or video files."""

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.options import ModelDir
from nas.commands.output import Answer, DebugOption, JsonOption, answer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("segment", epilog="Example: vidseg-nas segment my-model drive.mp4 --out overlay.mp4")(segment)


def segment(
    model_dir: ModelDir,
    source: Annotated[Path, typer.Argument(metavar="VIDEO_OR_FRAMES", help="A video file or a folder of pictures.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE_OR_DIR", help=".mp4 or .mkv, or a new folder.")],
    json_output: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Segment a video frame by frame, write it with the labels laid over, and say what a frame cost."""

    def work() -> Answer:
        from dataclasses import asdict

        from nas.segmenting import segment as run

        cost = run(model_dir, source, out)
        height, width = cost.size_hw
        lines = (
            f"written: {out} ({cost.num_frames} frames, {height}x{width})",
            f"per frame (torch, wall): first {cost.first_ms:.1f} ms, p50 {cost.p50_ms:.1f}, p90 {cost.p90_ms:.1f}, "
            f"max {cost.max_ms:.1f}; `vidseg-nas measure` times it for a device",
        )
        return Answer({"out": str(out), **asdict(cost)}, lines)

    answer(json_output, work)
