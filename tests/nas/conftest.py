"""What tests here share: helpers that workers can import, the command line, a search, a model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli import main
from nas.model_folder import DatasetFacts, ModelConfig, TrainingFacts, schedule_of, write_model
from search_spaces.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]

# The helpers of this folder are importable, here and in the workers that tests spawn.
HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), HERE, *filter(None, [os.environ.get("PYTHONPATH")])])


class Ran:
    """What a command left: status, stdout, stderr."""

    def __init__(self, status: object, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def facts(self) -> dict[str, object]:
        """The one JSON object on stdout."""
        assert self.out.count("\n") == 1, self.out
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main sets it; put it back

    def run(*arguments: object) -> Ran:
        with pytest.raises(SystemExit) as ended:  # noqa: PT012
            main([str(argument) for argument in arguments])
            raise SystemExit(0)
        out, err = capfd.readouterr()
        return Ran(ended.value.code or 0, out, err)

    return run


@pytest.fixture
def subprocess_run() -> object:
    return _subprocess_run


def _subprocess_run(*arguments: object, **environment: str) -> Ran:
    command = [sys.executable, "-m", "nas.cli", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def search_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from nas import api
    from nas.recipe import Recipe

    folder = tmp_path_factory.mktemp("runs") / "toy"
    api.search(Recipe(space="toy", searcher="random", trials=5), out=folder)
    return folder


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from latency_tables.random_weights import build_random

    architecture = PRESETS["plain_small"].architecture
    folder = tmp_path_factory.mktemp("models") / "m"
    config = ModelConfig(
        architecture=architecture,
        classes=("a", "b"),
        palette=((0, 0, 0), (255, 0, 0)),
        size=(64, 64),
        schedule=schedule_of(architecture),
        dataset=DatasetFacts(spec="moving_shapes", fingerprint="0" * 64),
        training=TrainingFacts(epochs=1, seed=0, frames_seen=1),
    )
    write_model(folder, config, {"miou": 0.5}, "train", build_random(architecture, 2, seed=0))
    return folder
