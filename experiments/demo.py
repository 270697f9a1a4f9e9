"""The demo: search, look, train the winner longer, export it, check it, draw it. Runs the commands a user would.

Usage: python -m experiments.demo --out runs/demo
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path


def run(*arguments: str) -> None:
    """Show and run one command; a failure ends the demo."""
    print(f"\n$ vidseg-nas {' '.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", "nas.cli", *arguments], check=True)


def fresh(out: Path) -> Path:
    """`out`, or `out`-2, `out`-3, ...: an earlier demo is never overwritten."""
    number = 2
    path = out
    while path.exists():
        path = out.with_name(f"{out.name}-{number}")
        number += 1
    return path


def winner(folder: Path) -> int:
    """The most accurate trial of the front."""
    front = json.loads((folder / "front.json").read_text())
    best = max(front, key=lambda member: member["metrics"]["miou"])
    return int(best["trial"])


def main() -> None:
    """Search, report, train, export, measure, segment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    out = fresh(parser.parse_args().out)
    run("search", "quickstart", "--out", str(out))
    number = winner(out)
    model = out / "model"
    run("train", f"{out}#{number}", "--data", "moving_shapes", "--epochs", "6", "--out", str(model))
    run("evaluate", str(model), "--data", "moving_shapes", "--split", "val")
    run("export", str(model))
    frames = out / "frames"
    write_frames(frames)
    run("segment", str(model), str(frames), "--out", str(out / "overlay"))
    run("report", str(out))
    print(
        f"\nWhere to look\n"
        f"  {out / 'report.html'}        the front, the history, the architectures\n"
        f"  {model / 'model.onnx'}    the winner: one frame and its state in, scores and state out\n"
        f"  {out / 'overlay'}            its segmentation drawn over a video it has not seen\n"
        f"  {out / 'journal.jsonl'}      every decision and result; `vidseg-nas resume {out} --trials 24` goes on"
    )


def write_frames(folder: Path) -> None:
    """A video of the val split as pictures, as a user's own frames would be."""
    from PIL import Image

    from evaluators.datasets.registry import open_dataset

    folder.mkdir(parents=True)
    video = open_dataset("moving_shapes").videos("val")[0]
    for index, frame_CHW in enumerate(video.frames_TCHW):
        Image.fromarray(frame_CHW.permute(1, 2, 0).numpy()).save(folder / f"{index:06d}.png")


if __name__ == "__main__":
    main()
