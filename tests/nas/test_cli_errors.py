"""What goes wrong on the command line: one sentence, the right status, nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOY = ("--space", "toy", "--searcher", "random", "--trials", "5")


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
    video = tmp_path / "video.mp4"
    video.write_bytes(b"the user's own")
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
        "own input": (("segment", model_dir, video, "--out", video), "is the video to segment"),
        "compare": (("compare", search_dir, tmp_path / "absent"), "no such search folder"),
        "compare journal": (("compare", search_dir, broken), "journal.jsonl line 1: is no journal record"),
        "compare twice": (("compare", search_dir, search_dir), "given twice"),
        "reference": (("compare", search_dir, "--reference", "miou=1"), "--reference: 'miou=1' given; allowed"),
        "plot": (("compare", search_dir, "--plot", tmp_path / "a.pdf"), "allowed: a file that ends in .png or .svg"),
        "plot folder": (("compare", search_dir, "--plot", out / "a.png"), "does not exist"),
        "list": (("list", "x"), "list: 'x' given; allowed: spaces"),
        "check": (("data", "check", "x"), "data 'x' is unknown; allowed"),
    }


CASES = (
    "recipe", "recipe file", "searcher", "space", "data", "device", "engine", "set", "time limit", "taken", "folder",
    "journal", "journal resume", "journal report", "preset", "network", "search without number", "trial", "point",
    "architecture", "deep json", "train set", "train out", "size", "checkpoint", "checkpoint export", "no model",
    "runtime", "target", "fps", "no size", "no onnx", "no video", "own input", "compare", "compare journal",
    "compare twice", "reference", "plot", "plot folder", "list", "check",
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


def test_any_other_failure_is_status_1_and_one_sentence(subprocess_run: object, tmp_path: Path) -> None:
    recipe = tmp_path / "bad.py"
    recipe.write_text("def wrong():\n    raise KeyError('what the recipe did')\n")
    ran = subprocess_run("search", f"{recipe}:wrong", "--json")
    assert ran.status == 1
    assert re.fullmatch(r"error: KeyError: 'what the recipe did' \(--debug shows where\)\n", ran.err)
    assert "KeyError" in str(ran.facts["error"])
    assert "Traceback" in subprocess_run("search", f"{recipe}:wrong", "--debug").err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_is_status_130_and_can_be_resumed(
    subprocess_run: object, tmp_path: Path, number: signal.Signals
) -> None:
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


def test_without_matplotlib_the_table_still_comes(subprocess_run: object, search_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('blocked')\n")
    (search_dir / "report.html").unlink(missing_ok=True)
    ran = subprocess_run("report", search_dir, "--json", PYTHONPATH=str(tmp_path))
    assert ran.status == 0
    assert ran.facts["report"] is None
    assert "pip install 'vidseg-nas[report]'" in str(ran.facts["reason"])
    assert not (search_dir / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "quickstart", "--trials", "x"), "--trials"),
        (("search", "--no-such"), "--no-such"),
        (("nothing",), "nothing"),
        (("train", "preset:plain_small"), "--data"),
    ],
)
def test_wrong_usage_is_one_json_object_too(cli: object, arguments: tuple[str, ...], said: str) -> None:
    ran = cli(*arguments, "--json")
    assert ran.status == 2
    assert said in ran.facts["error"]
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert cli(*arguments).out == ""
