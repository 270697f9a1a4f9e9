"""The command line: its options are frozen, its answers are JSON or text, its errors one sentence and a status."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from nas.cli import app

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
    "compare": {"--reference", "--plot"},
    "list": set(),
    "data check": set(),
    "doctor": set(),
}  # fmt: skip
KINDS = ("spaces", "presets", "cells", "ops", "activations", "searchers", "datasets", "runtimes", "devices")
TOY = ("--space", "toy", "--searcher", "random", "--trials", "5")


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
        "heavy = {'torch', 'numpy', 'ray', 'optuna', 'pydantic', 'rich', 'matplotlib', 'PIL', 'onnx'}\n"
        "heavy &= set(sys.modules)\n"
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

    def test_cells_are_listed_with_what_they_cost(self, cli: object) -> None:
        """At 64 channels and 45 x 60: a ConvGRU has 6 k^2 C^2 products a pixel and carries C values."""
        cells = cli("list", "cells", "--json").facts["cells"]
        gru = cells["conv_gru"]
        assert gru["at"] == {"channels": 64, "height": 45, "width": 60}
        assert (gru["survey"], gru["states"]) == ("4.2", 1)
        assert gru["macs"] == 6 * 9 * 64**2 * 45 * 60
        assert gru["state_bytes"] == 4 * 64 * 45 * 60
        assert gru["parameters"] == 6 * 9 * 64**2 + 3 * 64
        assert {(v["spec"]["kernel"], v["spec"]["factorization"]) for v in gru["variants"]} == {
            (3, "dense"), (3, "depthwise_separable"), (1, "dense"),
        }  # fmt: skip
        for name, cell in cells.items():
            assert cell["source"] in cell["summary"], name
            assert cell["survey"] == "" or cell["survey"][0] in "45", name
            assert cell["variants"], name

    def test_presets_are_listed_with_what_they_cost(self, cli: object) -> None:
        presets = cli("list", "presets", "--json").facts["presets"]
        assert set(presets) >= {f"{name}_like" for name in ("fast_scnn", "lraspp", "ddrnet", "enet", "contextnet")}
        for name, preset in presets.items():
            assert set(preset) == {"summary", "source", "survey", "at", "parameters", "macs", "state_bytes"}, name
            assert preset["at"] == {"height": 360, "width": 480, "classes": 19}, name
            assert preset["source"] in preset["summary"], name
            assert preset["macs"] > preset["parameters"] > 10_000, name
            assert preset["state_bytes"] == 0, name

    def test_operations_are_listed_with_origin_and_cost(self, cli: object) -> None:
        ops = cli("list", "ops", "--json").facts["ops"]
        assert ops["dense"]["macs"] == 9 * 64 * 64 * 45 * 60
        assert ops["shift"]["survey"] == "5.4.3"
        assert ops["shufflenet_v2"]["kind"] == "block"
        for name, entry in ops.items():
            facts = {"kind", "source", "survey", "parameters", "macs", "state_bytes", "latency", "at"}
            assert set(entry) - {"note", "summary"} == facts, name
            assert ("note" in entry) == (entry["latency"] is None), name
        clocked = ops["clockwork"]
        assert clocked["kind"] == "schedule"
        assert clocked["macs"] < int(clocked["summary"].split(" MACs")[0].rsplit(" ", 1)[1])
        assert clocked["state_bytes"] == 3 * 4 * 64 * 45 * 60  # three stages at stride 8

    @pytest.mark.parametrize("kind", ["cells", "ops", "activations"])
    def test_what_is_listed_has_been_measured(self, cli: object, kind: str) -> None:
        """A member without a row: measure it with the command that the table's header names."""
        for name, entry in cli("list", kind, "--json").facts[kind].items():
            if "note" in entry:
                continue
            for form in entry["latency"]["forms"]:
                assert form.get("note") or set(form["latency_ms"]) == {"onnxruntime", "torch"}, name
            assert entry["latency"]["device"], name
            assert isinstance(entry["macs"], int), name
            assert isinstance(entry["parameters"], int), name

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

    @pytest.mark.slow
    def test_from_search_to_a_checked_file(self, cli: object, tmp_path: Path) -> None:
        pytest.importorskip("onnxruntime")
        folder, model = tmp_path / "s", tmp_path / "m"
        small = ("--set", "size_hw=48x64", "--set", "epochs=1")
        found = cli("search", "quickstart", "--searcher", "random", "--trials", 2, *small, "--out", folder, "--json")
        assert found.status == 0, found.err
        best = found.facts["front"][0]
        assert 0 <= best["metrics"]["miou"] <= 1
        assert best["metrics"]["latency_ms"] > 0
        report = cli("report", folder, "--json")
        assert report.facts["notes"] == []
        assert "data:image/png;base64," in (folder / "report.html").read_text()
        network = f"{folder}#{best['trial']}"
        data = ("--data", "moving_shapes")
        trained = cli("train", network, *data, "--epochs", 1, "--size", "48x64", "--out", model, "--json")
        assert trained.status == 0, trained.err
        assert trained.facts["key"] == best["key"]
        scores = cli("evaluate", model, *data, "--split", "val", "--json")
        assert scores.status == 0, scores.err
        assert 0 <= scores.facts["metrics"]["miou"] <= 1
        assert scores.facts["size_hw"] == [48, 64]
        assert cli("evaluate", model, *data, "--split", "nothing").status == 2
        assert cli("export", model, "--json").facts["relative_difference"] < 1e-4

    def test_data_check(self, cli: object, tmp_path: Path) -> None:
        ran = cli("data", "check", "moving_shapes", "--json")
        assert ran.status == 0
        assert ran.facts["problems"] == []
        sequence = tmp_path / "d" / "one"
        for part in ("input", "label"):
            (sequence / part).mkdir(parents=True)
        facts = {"classes": ["a", "b"], "ignore_label": 255, "fps": 10, "splits": {"train": ["one"]}}
        (tmp_path / "d" / "dataset.json").write_text(json.dumps(facts))
        for number in range(2):
            Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(sequence / "input" / f"{number}.png")
            Image.fromarray(np.full((40, 40), 7 * number, np.uint8)).save(sequence / "label" / f"{number}.png")
        damaged = cli("data", "check", f"folder:{tmp_path / 'd'}")
        assert damaged.status == 2
        assert "PROBLEM" in damaged.out
        assert "1.png" in damaged.out

    def test_json_is_alone_on_stdout_even_where_libraries_print(self, subprocess_run: object, tmp_path: Path) -> None:
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
