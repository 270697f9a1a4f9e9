"""A search, its report included, never opens val or test: the process may not even open the files."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluators.dataset_makers import make_camvid, make_folder, write_pair

ROOT = Path(__file__).parents[2]

SEARCH = """
import sys
from pathlib import Path

data, out, objectives = sys.argv[1:4]
forbidden = [str(Path(path).resolve()) for path in sys.argv[4:]]


def hook(event, arguments):
    if event in ("open", "os.open") and isinstance(arguments[0], str):
        path = str(Path(arguments[0]).resolve())
        if any(path.startswith(part + "/") for part in forbidden):
            raise RuntimeError("opened " + path)


sys.addaudithook(hook)
from evaluators.datasets import moving_shapes
from nas.api import Recipe, search
from nas.report.write import write_examples

render = moving_shapes._rendered
moving_shapes._rendered = lambda split, size: render(split, size) if split == "train" else 1 / 0
recipe = Recipe(searcher="random", data=data, size_hw=(32, 48), objectives=tuple(objectives.split()), trials=1,
                epochs=1, training={"clip_frames": 2, "device": "cpu", "threads": 1, "temporal_weight": 1.0})
result = search(recipe, out=out)
assert [trial.status for trial in result.trials] == ["complete"], result.trials
write_examples(result, Path(out))
"""


def _run(data: str, objectives: str, out: Path, *forbidden: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", SEARCH, data, str(out), objectives, *map(str, forbidden)]
    return subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=False)


def _folder(root: Path) -> Path:
    make_folder(root, splits={"train": ["a", "b", "small"], "val": ["v"], "test": ["w"]})
    shutil.copytree(root / "v", root / "w")
    return root


def _camvid(root: Path) -> Path:
    make_camvid(root)
    write_pair(root / "test" / "0016E5_00700.png", root / "testannot" / "0016E5_00700.png")
    (root / "test.txt").write_text("test/0016E5_00700.png testannot/0016E5_00700.png\n")
    return root


@pytest.mark.slow
class TestASearch:
    def test_on_own_folders(self, tmp_path: Path) -> None:
        root = _folder(tmp_path / "data")
        done = _run(f"folder:{root}", "miou", tmp_path / "run", root / "v", root / "w")
        assert done.returncode == 0, done.stderr[-2000:]

    def test_on_camvid(self, tmp_path: Path) -> None:
        root = _camvid(tmp_path / "data")
        forbidden = [root / f"{split}{kind}" for split in ("val", "test") for kind in ("", "annot")]
        done = _run(f"camvid:{root}", "miou tc", tmp_path / "run", *forbidden)
        assert done.returncode == 0, done.stderr[-2000:]

    def test_on_rendered_video(self, tmp_path: Path) -> None:
        done = _run("moving_shapes", "miou tc", tmp_path / "run")
        assert done.returncode == 0, done.stderr[-2000:]

    def test_the_guard_itself_sees_what_is_opened(self, tmp_path: Path) -> None:
        """The same run, with the training sequences forbidden."""
        root = _folder(tmp_path / "data")
        done = _run(f"folder:{root}", "miou", tmp_path / "run", root / "a")
        assert done.returncode != 0
        assert "opened " in done.stderr
