"""The command line: its options are frozen, its answers are JSON or text, its errors one sentence and a status."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from nas.cli import app, main
from nas.model_folder import DatasetFacts, ModelConfig, TrainingFacts, schedule_of, write_model
from PIL import Image
from search_spaces.presets import PRESETS
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
COMMON = {"--json", "--debug"}
OPTIONS = {
    "search": {
        "--out", "--searcher", "--space", "--data", "--device", "--trials", "--time-limit", "--max-latency-ms",
        "--workers", "--engine", "--ray-address", "--seed", "--start", "--set",
    },
    "resume": {"--trials", "--engine", "--workers", "--ray-address", "--warm"},
    "status": set(),
    "report": set(),
    "train": {"--data", "--epochs", "--out", "--seed", "--size", "--set"},
    "evaluate": {"--data", "--split", "--size"},
    "export": {"--runtime", "--size"},
    "measure": {"--device", "--fps", "--size", "--classes"},
    "segment": {"--out"},
    "list": set(),
    "data check": set(),
    "doctor": set(),
}  # fmt: skip
KINDS = ("spaces", "presets", "cells", "ops", "activations", "searchers", "datasets", "runtimes", "devices")
TOY = ("--space", "toy", "--searcher", "random", "--trials", "5")


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


def subprocess_run(*arguments: object, **environment: str) -> Ran:
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


def commands() -> dict[str, object]:
    group = typer.main.get_command(app)
    found = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        nested = getattr(command, "commands", None)
        found.update({f"{name} {inner}": c for inner, c in nested.items()} if nested else {name: command})
    return found


def test_the_options_of_every_command_are_these() -> None:
    found = {
        name: {option for parameter in command.params for option in parameter.opts if option.startswith("-")}  # type: ignore[attr-defined]
        for name, command in commands().items()
    }
    assert found == {name: options | COMMON for name, options in OPTIONS.items()}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_help_has_an_example_that_names_the_command(name: str) -> None:
    result = CliRunner().invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert f"Example: vidseg-nas {name}" in " ".join(result.stdout.split())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['vidseg-nas', '--help']\n"
        "from nas.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'ray', 'optuna', 'pydantic', 'rich', 'matplotlib', 'PIL', 'onnx'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "search" in done.stdout


class TestAnswers:
    def test_search_status_report_resume(self, cli: object, tmp_path: Path) -> None:
        folder = tmp_path / "s"
        ran = cli("search", "quickstart", *TOY, "--out", folder, "--json")
        assert ran.status == 0
        assert ran.facts["trials"] == {"complete": 5, "infeasible": 0, "failed": 0}
        assert json.loads((folder / "front.json").read_text()) == ran.facts["front"]
        assert "[5/5] trial #4 complete" in ran.err  # progress goes to stderr
        status = cli("status", folder, "--json")
        assert (status.status, status.facts["state"]) == (0, "finished")
        assert "finished" in cli("status", folder).out
        again = cli("resume", folder, "--trials", 7, "--json")
        assert again.facts["trials"]["complete"] == 7
        report = cli("report", folder)
        assert report.status == 0
        assert "latency_ms" in report.out
        pytest.importorskip("matplotlib")
        assert (folder / "report.html").read_text().startswith("<!doctype html>")

    def test_options_override_the_recipe(self, cli: object, tmp_path: Path) -> None:
        ran = cli(
            "search", "quickstart", *TOY, "--out", tmp_path / "s", "--seed", 7, "--workers", 2, "--time-limit", "1h",
            "--max-latency-ms", 6, "--set", "in_order=false",
        )  # fmt: skip
        assert ran.status == 0
        recipe = json.loads((tmp_path / "s" / "recipe.json").read_text())
        wanted = {"seed": 7, "slots": 2, "time_limit_s": 3600.0, "constraints": {"latency_ms": 6.0}, "in_order": False}
        assert {name: recipe[name] for name in wanted} == wanted
        metrics = [row["metrics"] for row in json.loads((tmp_path / "s" / "front.json").read_text())]
        assert all(row["latency_ms"] <= 6 for row in metrics)

    def test_a_search_that_completes_nothing_fails(self, cli: object, tmp_path: Path) -> None:
        ran = cli("search", "quickstart", *TOY, "--out", tmp_path / "s", "--max-latency-ms", 0.5)
        assert ran.status == 1
        assert "no trial is complete" in ran.out
        assert "over the budget 0.5" in ran.out

    @pytest.mark.parametrize("kind", KINDS)
    def test_list(self, cli: object, kind: str) -> None:
        ran = cli("list", kind, "--json")
        assert ran.status == 0
        assert ran.facts[kind]
        text = cli("list", kind).out
        assert all(name in text for name in ran.facts[kind])

    def test_doctor(self, cli: object) -> None:
        ran = cli("doctor", "--json")
        assert ran.status == (0 if ran.facts["healthy"] else 1)
        assert ran.facts["versions"]["torch"]
        assert {"write access, HOME", "/dev/shm", "ray"} <= {check["name"] for check in ran.facts["checks"]}

    def test_doctor_sees_what_cannot_be_written(self, cli: object, tmp_path: Path, monkeypatch: object) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "absent"))
        ran = cli("doctor", "--json")
        home = next(check for check in ran.facts["checks"] if check["name"] == "write access, HOME")
        assert home["ok"] is False
        monkeypatch.setattr("nas.commands.doctor.MIN_MEMORY_BYTES", 2**60)
        assert cli("doctor").status == 1

    def test_segment_writes_frames_and_says_the_cost(self, cli: object, model_dir: Path, tmp_path: Path) -> None:
        frames = tmp_path / "frames"
        frames.mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 56, 3), np.uint8)
        for number, picture in enumerate(pixels):
            Image.fromarray(picture).save(frames / f"{number}.png")
        ran = cli("segment", model_dir, frames, "--out", tmp_path / "out", "--json")
        assert ran.status == 0
        assert ran.facts["num_frames"] == 3
        assert len(list((tmp_path / "out").glob("*.png"))) == 3

    @pytest.mark.slow
    def test_export_and_measure(self, cli: object, model_dir: Path) -> None:
        pytest.importorskip("onnxruntime")
        exported = cli("export", model_dir, "--json")
        assert exported.facts["relative_difference"] < 1e-4
        for network in (model_dir, model_dir / "model.onnx"):
            ran = cli("measure", network, "--device", "onnxruntime:f32:1@thiscpu", "--fps", 25, "--json")
            assert ran.status == 0, ran.err
            assert ran.facts["size_hw"] == [64, 64]
            assert ran.facts["measurement"]["latency_ms"] > 0
            assert 0 <= ran.facts["measurement"]["deadline_miss_rate"] <= 1

    def test_json_is_alone_on_stdout_even_where_libraries_print(self, tmp_path: Path) -> None:
        recipe = tmp_path / "loud.py"
        recipe.write_text(
            "import os\nfrom nas.recipe import Recipe\n\ndef loud():\n"
            "    print('noise from python')\n    os.write(1, b'noise from C')\n"
            "    return Recipe(space='toy', searcher='random', trials=2)\n"
        )
        ran = subprocess_run("search", f"{recipe}:loud", "--out", tmp_path / "s", "--json")
        assert ran.facts["trials"] == {"complete": 2, "infeasible": 0, "failed": 0}
        assert "noise from python" in ran.err
        assert "noise from C" in ran.err


def bad_input(search_dir: Path, model_dir: Path, tmp_path: Path) -> dict[str, tuple[tuple[object, ...], str]]:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "recipe.json").write_bytes((search_dir / "recipe.json").read_bytes())
    (broken / "journal.jsonl").write_text("foreign\n")
    (tmp_path / "arch.json").write_text('{"network": {"kind": "video"}}')
    (tmp_path / "deep.json").write_text("[" * 200_000)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in model_dir.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    weights = bytearray((damaged / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(weights)
    out = tmp_path / "out"
    train = ("--data", "moving_shapes", "--epochs", 1, "--out", out)
    return {
        "recipe": (("search", "nothing"), "recipe 'nothing' is unknown; allowed"),
        "recipe file": (("search", "absent.py:f"), "recipe file absent.py does not exist"),
        "searcher": (("search", "quickstart", "--searcher", "x", "--out", out), "searcher: 'x' given; allowed"),
        "space": (("search", "quickstart", "--space", "x", "--out", out), "space 'x' is unknown; allowed"),
        "data": (("search", "quickstart", "--data", "folder:absent", "--out", out), "absent"),
        "device": (("search", "quickstart", "--device", "x", "--out", out), "target 'x'"),
        "engine": (("search", "quickstart", *TOY, "--engine", "x", "--out", out), "engine: 'x' given; allowed"),
        "set": (("search", "quickstart", "--set", "x=1", "--out", out), "--set 'x': unknown; allowed"),
        "time limit": (("search", "quickstart", "--time-limit", "soon", "--out", out), "--time-limit: 'soon'"),
        "taken": (("search", "quickstart", *TOY, "--out", search_dir), "holds a search already"),
        "folder": (("status", tmp_path / "absent"), "no such search folder"),
        "journal": (("status", broken), "journal.jsonl line 1: is no journal record"),
        "journal resume": (("resume", broken), "journal.jsonl line 1: is no journal record"),
        "journal report": (("report", broken), "journal.jsonl line 1: is no journal record"),
        "preset": (("train", "preset:x", *train), "preset 'x' is unknown; allowed"),
        "network": (("train", "x", *train), "network 'x': nothing of that name; allowed"),
        "search without number": (("train", search_dir, *train), "#N"),
        "trial": (("train", f"{search_dir}#99", *train), "no such trial; finished ones: 0..4"),
        "point": (("train", f"{search_dir}#0", *train), "cannot be built"),
        "architecture": (("train", tmp_path / "arch.json", *train), "arch.json: field network"),
        "deep json": (("train", tmp_path / "deep.json", *train), "deep.json"),
        "train set": (("train", "preset:plain_small", *train, "--set", "epochs=1"), "allowed here: training.NAME"),
        "train out": (("train", "preset:plain_small", *train[:-1], model_dir), "exists already"),
        "size": (("train", "preset:plain_small", *train, "--size", "1x1"), "--size: '1x1' given"),
        "checkpoint": (("evaluate", damaged, "--data", "moving_shapes"), "model.safetensors: its checksum"),
        "checkpoint export": (("export", damaged), "model.safetensors: its checksum"),
        "no model": (("evaluate", tmp_path, "--data", "moving_shapes"), "not a model folder"),
        "runtime": (("export", model_dir, "--runtime", "x"), "--runtime: 'x' given; allowed"),
        "target": (("measure", model_dir, "--device", "onnxruntime@elsewhere"), "elsewhere"),
        "fps": (("measure", model_dir, "--fps", 0), "--fps: 0 given"),
        "no size": (("measure", "preset:plain_small"), "--size HxW is needed"),
        "no onnx": (("measure", tmp_path / "absent.onnx"), "no such file"),
        "no video": (("segment", model_dir, tmp_path / "absent.mp4", "--out", out), "absent.mp4"),
        "list": (("list", "x"), "list: 'x' given; allowed: spaces"),
        "check": (("data", "check", "x"), "data 'x' is unknown; allowed"),
    }


CASES = (
    "recipe", "recipe file", "searcher", "space", "data", "device", "engine", "set", "time limit", "taken", "folder",
    "journal", "journal resume", "journal report", "preset", "network", "search without number", "trial", "point",
    "architecture", "deep json", "train set", "train out", "size", "checkpoint", "checkpoint export", "no model",
    "runtime", "target", "fps", "no size", "no onnx", "no video", "list", "check",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence_and_status_2(
    case: str, cli: object, search_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    arguments, said = bad_input(search_dir, model_dir, tmp_path)[case]
    ran = cli(*arguments)
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert ran.status == 2, ran.err
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in ran.err
    assert ran.out == ""
    assert not (tmp_path / "out").exists()  # nothing is left of what was refused


def test_the_matrix_of_bad_input_is_whole(search_dir: Path, model_dir: Path, tmp_path: Path) -> None:
    assert tuple(bad_input(search_dir, model_dir, tmp_path)) == CASES


def test_debug_shows_the_traceback_and_json_has_the_error(cli: object) -> None:
    ran = cli("status", "absent", "--debug", "--json")
    assert ran.status == 2
    assert "Traceback" in ran.err
    assert ran.facts == {"error": "absent: no such search folder"}


@pytest.mark.parametrize(
    "arguments",
    [("nothing",), ("search",), ("status", "x", "--colour"), ("train", "x"), ("search", "q", "--trials", "many")],
)
def test_wrong_usage_is_status_2(cli: object, arguments: tuple[str, ...]) -> None:
    ran = cli(*arguments)
    assert ran.status == 2
    assert "Usage: vidseg-nas" in ran.err


def test_any_other_failure_is_status_1_and_one_sentence(tmp_path: Path) -> None:
    recipe = tmp_path / "bad.py"
    recipe.write_text("def wrong():\n    raise KeyError('what the recipe did')\n")
    ran = subprocess_run("search", f"{recipe}:wrong", "--json")
    assert ran.status == 1
    assert re.fullmatch(r"error: KeyError: 'what the recipe did' \(--debug shows where\)\n", ran.err)
    assert "KeyError" in str(ran.facts["error"])
    assert "Traceback" in subprocess_run("search", f"{recipe}:wrong", "--debug").err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_is_status_130_and_can_be_resumed(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "a search"
    command = [sys.executable, "-m", "nas.cli", "search", "quickstart", *TOY[:-1], "1000000", "--out", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        journal = folder / "journal.jsonl"
        deadline = time.monotonic() + 60
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 5):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        running = subprocess_run("status", folder, "--json").facts
        assert running["state"] == "running"
        assert running["holder"] == f"pid {process.pid} on {os.uname().nodename}"
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert f"go on with: vidseg-nas resume '{folder}'" in err
    assert subprocess_run("status", folder, "--json").facts["state"] == "interrupted"
    told = read_told(folder)
    again = subprocess_run("resume", folder, "--trials", told + 2, "--json")
    assert again.status == 0, again.err
    assert again.facts["trials"]["complete"] == told + 2


def read_told(folder: Path) -> int:
    return (folder / "journal.jsonl").read_bytes().count(b'"type":"asked"')


def test_without_matplotlib_the_table_still_comes(search_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('blocked')\n")
    (search_dir / "report.html").unlink(missing_ok=True)
    ran = subprocess_run("report", search_dir, "--json", PYTHONPATH=str(tmp_path))
    assert ran.status == 0
    assert ran.facts["report"] is None
    assert "pip install 'vidseg-nas[report]'" in str(ran.facts["reason"])
    assert not (search_dir / "report.html").exists()
