"""Export from a model folder: files that were checked, one a phase of the schedule."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_folders import AT_HEAD, SMALL, config_of

from latency_tables.random_weights import build_random
from nas.model_folder import (
    read_model,
    write_model,
)
from nas.streamer import Streamer
from search_spaces.architecture import (
    Architecture,
)
from search_spaces.errors import InputError
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec, ScheduleSpec


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write_model(folder, config_of(), {"miou": 0.5, "train_loss": 0.25}, "train", build_random(SMALL, 3, seed=0))
    return folder


class TestExport:
    def test_the_file_is_checked_and_listed(self, model_dir: Path) -> None:
        pytest.importorskip("onnxruntime")
        from latency_tables.onnx_export import read_metadata
        from nas.export import export_model

        done = export_model(model_dir, "onnxruntime")
        assert done.relative < 1e-4
        assert "model.onnx" in (model_dir / "SHA256SUMS").read_text()
        metadata = read_metadata(model_dir / "model.onnx")
        assert metadata["key"] == SMALL.key
        assert json.loads(metadata["classes"]) == ["ground", "a|b <i>", "sky"]
        assert json.loads(metadata["logits_hw"]) == [48, 64]
        assert read_model(model_dir).config == config_of()
        (model_dir / "model.onnx").write_bytes(b"changed")
        with pytest.raises(InputError, match=r"model\.onnx"):
            read_model(model_dir)

    def test_scores_left_small_are_said_so_in_the_file(self, tmp_path: Path) -> None:
        onnx = pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
        from latency_tables.onnx_export import read_metadata
        from nas.export import export_model

        write_model(tmp_path / "head", config_of(AT_HEAD), {}, "train", build_random(AT_HEAD, 3, seed=0))
        done = export_model(tmp_path / "head", "onnxruntime", (50, 70))
        metadata = read_metadata(done.paths[0])
        (shape,) = [
            [side.dim_value for side in value.type.tensor_type.shape.dim]
            for value in onnx.load(str(done.paths[0])).graph.output
            if value.name == "logits"
        ]
        assert shape == [1, 3, *json.loads(metadata["logits_hw"])] == [1, 3, 13, 18]
        assert metadata["logits"].startswith("at stride 4; enlarge them bilinearly")

    def test_a_file_that_disagrees_is_not_left_behind(self, model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("onnxruntime")
        import nas.export as module
        from latency_tables import onnx_export

        honest = onnx_export.export_step
        other = build_random(SMALL, 3, seed=9)
        monkeypatch.setattr(onnx_export, "export_step", lambda _, *rest: honest(other, *rest))
        before = {path.name: path.read_bytes() for path in model_dir.iterdir()}
        with pytest.raises(module.ParityError, match="differs from torch"):
            module.export_model(model_dir, "onnxruntime")
        assert {path.name: path.read_bytes() for path in model_dir.iterdir()} == before


@pytest.mark.parametrize(
    "schedule",
    [ClockworkSpec((1, 2)), KeyframesSpec(3, "copy"), DistributedSpec(2, "attention")],
    ids=lambda spec: spec.kind,
)
class TestSchedules:
    @pytest.fixture
    def scheduled(self, schedule: ScheduleSpec, tmp_path: Path) -> tuple[Path, Architecture]:
        architecture = Architecture(replace(SMALL.video, schedule=schedule))
        folder = tmp_path / "scheduled"
        write_model(folder, config_of(architecture), {}, "train", build_random(architecture, 3, seed=0))
        return folder, architecture

    def test_the_folder_says_what_runs_when(self, scheduled: tuple[Path, Architecture], schedule: ScheduleSpec) -> None:
        folder, architecture = scheduled
        model = read_model(folder)
        assert model.config.architecture == architecture
        assert model.config.schedule == architecture.video.refresh_periods != (1, 1)
        card = (folder / "README.md").read_text()
        assert f"frame t after a reset runs phase t modulo {schedule.num_phases}" in card
        assert ("no warm-up" in card) == (schedule.warmup_frames == 0)

    def test_the_streamer_switches_phases(self, scheduled: tuple[Path, Architecture]) -> None:
        folder, architecture = scheduled
        network = build_random(architecture, 3, seed=0)
        frames = np.random.default_rng(1).integers(0, 256, (7, 48, 64, 3), np.uint8)
        streamer = Streamer(folder)
        for part in (frames[:4], frames):  # the second time from the middle of a cycle
            streamer.reset()
            state = network.initial_state(1, 48, 64)
            for t, frame in enumerate(part):
                with torch.inference_mode():
                    given = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
                    logits, state = network.step(given, state, t)
                assert np.array_equal(streamer.step(frame), logits[0].argmax(0).numpy())

    def test_every_phase_is_exported_and_listed(self, scheduled: tuple[Path, Architecture]) -> None:
        pytest.importorskip("onnxruntime")
        from latency_tables.onnx_export import read_metadata
        from latency_tables.parity import verify_step
        from nas.export import export_model

        folder, architecture = scheduled
        done = export_model(folder, "onnxruntime")
        num_phases = architecture.video.num_phases
        names = [f"model.phase{phase}.onnx" for phase in range(num_phases)]
        assert [path.name for path in done.paths] == names
        assert sorted(path.name for path in folder.glob("*.onnx")) == names
        assert not list(folder.glob(".*"))
        listed = (folder / "SHA256SUMS").read_text()
        assert all(name in listed for name in names)
        assert verify_step(read_model(folder).network, done.paths, (48, 64), seed=5).ok
        for phase, path in enumerate(done.paths):
            facts = read_metadata(path)
            assert phase in json.loads(facts["phases"])
            assert facts["num_phases"] == str(num_phases)
        done.paths[-1].write_bytes(b"changed")
        with pytest.raises(InputError, match=names[-1]):
            read_model(folder)
