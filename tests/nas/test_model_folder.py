"""The model folder: what is written is read back, and nothing damaged, changed or foreign is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from latency_tables.random_weights import build_random
from nas.model_folder import (
    DatasetFacts,
    ModelConfig,
    TrainingFacts,
    read_config,
    read_model,
    schedule_of,
    write_model,
    write_sums,
)
from nas.streamer import Streamer
from search_spaces.architecture import (
    Architecture,
    ConvSpec,
    DecoderSpec,
    NetworkSpec,
    StageSpec,
    StemSpec,
    TemporalSite,
)
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.errors import InputError
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec, ScheduleSpec

SEPARABLE = ConvSpec("depthwise_separable")
SMALL = Architecture(
    NetworkSpec(
        stem=StemSpec(8),
        stages=(StageSpec("plain", 1, 12, 2, SEPARABLE), StageSpec("residual", 1, 16, 2, SEPARABLE)),
        decoder=DecoderSpec("skip_add", 8, 4),
        temporal=(TemporalSite("bottleneck", ConvGRUSpec()),),
    )
)


AT_HEAD = Architecture(replace(SMALL.video, decoder=DecoderSpec("skip_add", 8, 4, logits="head")))


def config_of(architecture: Architecture = SMALL) -> ModelConfig:
    return ModelConfig(
        architecture=architecture,
        classes=("ground", "a|b <i>", "sky"),
        palette=((0, 0, 0), (255, 0, 0), (0, 0, 255)),
        size=(48, 64),
        schedule=schedule_of(architecture),
        dataset=DatasetFacts(spec="folder:somewhere/secret", fingerprint="f" * 64, fps=12.5),
        training=TrainingFacts(epochs=3, seed=1, frames_seen=120, options={"learning_rate": 0.01}, origin="preset:x"),
    )


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write_model(folder, config_of(), {"miou": 0.5, "train_loss": 0.25}, "train", build_random(SMALL, 3, seed=0))
    return folder


def test_what_is_written_is_read_back(model_dir: Path) -> None:
    model = read_model(model_dir)
    assert model.config == config_of()
    assert model.metrics.metrics == {"miou": 0.5, "train_loss": 0.25}
    frame = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    expected = build_random(SMALL, 3, seed=0)
    with torch.inference_mode():
        state = expected.initial_state(1, 48, 64)
        for _ in range(2):
            wanted, state = expected.step(frame, state)
        given_state = model.network.initial_state(1, 48, 64)
        for _ in range(2):
            given, given_state = model.network.step(frame, given_state)
    assert torch.equal(given, wanted)
    assert sorted(path.name for path in model_dir.iterdir()) == [
        "README.md", "SHA256SUMS", "config.json", "metrics.json", "model.safetensors",
    ]  # fmt: skip


def test_config_has_the_fields_of_the_contract(model_dir: Path) -> None:
    config = json.loads((model_dir / "config.json").read_text())
    assert set(config) == {
        "schema", "architecture", "classes", "palette", "size", "schedule", "dataset", "training",
    }  # fmt: skip
    assert config["size"] == [48, 64]


def test_card_has_front_matter_and_the_facts_and_no_path(model_dir: Path) -> None:
    card = (model_dir / "README.md").read_text()
    front, body = card.removeprefix("---\n").split("\n---\n", 1)
    assert "pipeline_tag: image-segmentation" in front
    assert 'metrics: ["miou", "train_loss"]' in front
    assert SMALL.key in body
    assert "| miou | 0.5 |" in body
    assert "a\\|b &lt;i>" in body
    assert "secret" not in front


def test_an_existing_folder_is_not_overwritten(model_dir: Path) -> None:
    before = (model_dir / "config.json").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        write_model(model_dir, config_of(), {}, "train", build_random(SMALL, 3, seed=1))
    assert (model_dir / "config.json").read_bytes() == before


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        write_model(tmp_path / "m", config_of(), {"miou": float("nan")}, "train", build_random(SMALL, 3, seed=0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "metrics.json", "README.md"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_any_damage_is_refused_by_name(model_dir: Path, name: str, damage: str) -> None:
    path = model_dir / name
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "truncate":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_model(model_dir)


def test_foreign_lines_in_the_sums_are_refused(model_dir: Path) -> None:
    sums = model_dir / "SHA256SUMS"
    good = sums.read_text()
    for line in ("0" * 64 + "  ../../secret\n", "0" * 64 + "  evil.bin\n", "hello\n"):
        sums.write_text(good + line)
        with pytest.raises(InputError, match="SHA256SUMS: line 5 is no checksum"):
            read_config(model_dir)
    sums.write_text("".join(line for line in good.splitlines(keepends=True) if "safetensors" not in line))
    with pytest.raises(InputError, match=r"model\.safetensors is not listed"):
        read_config(model_dir)
    sums.unlink()
    with pytest.raises(InputError, match="not a model folder, SHA256SUMS is missing"):
        read_config(model_dir)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("schema", 2, "schema"),
        ("size", [16, 64], "size.0"),
        ("size", [48, 10**9], "size.1"),
        ("classes", [], "classes"),
        ("classes", ["only"], "classes"),
        ("palette", [[0, 0, 0]] * 2, "palette has 2 colours for 3 classes"),
        ("schedule", [2, 1], "the architecture's is"),
        ("extra", 1, "extra"),
    ],
)
def test_a_consistent_folder_with_bad_fields_is_refused(model_dir: Path, field: str, value: object, said: str) -> None:
    config = json.loads((model_dir / "config.json").read_text())
    config[field] = value
    (model_dir / "config.json").write_text(json.dumps(config))
    write_sums(model_dir)
    with pytest.raises(InputError, match=f"config.json.*{said}"):
        read_config(model_dir)


def test_weights_of_another_network_are_refused(model_dir: Path) -> None:
    config = json.loads((model_dir / "config.json").read_text())
    config["architecture"]["network"]["stem"]["channels"] = 1024
    (model_dir / "config.json").write_text(json.dumps(config))
    write_sums(model_dir)
    with pytest.raises(InputError, match=r"model\.safetensors: tensor .* the architecture needs"):
        read_model(model_dir)
    config["architecture"]["network"]["temporal"] = []
    (model_dir / "config.json").write_text(json.dumps(config))
    write_sums(model_dir)
    with pytest.raises(InputError, match=r"model\.safetensors: tensor .* is unknown to the architecture"):
        read_model(model_dir)


def test_a_pickle_in_place_of_weights_is_refused(model_dir: Path) -> None:
    torch.save({"a": torch.zeros(1)}, model_dir / "model.safetensors")
    write_sums(model_dir)
    with pytest.raises(InputError, match="no readable safetensors file"):
        read_model(model_dir)


class TestStreamer:
    def test_labels_have_the_frames_size_and_follow_the_state(self, model_dir: Path) -> None:
        frames = np.random.default_rng(0).integers(0, 256, (3, 50, 70, 3), np.uint8)
        streamer = Streamer(model_dir)
        first = streamer.step(frames[0])
        assert first.shape == (50, 70)
        assert first.dtype == np.uint8
        assert first.max() < 3
        carried = streamer.step(frames[1])
        streamer.reset()
        assert not np.array_equal(streamer.step(frames[1]), carried)  # the past matters
        streamer.reset()
        assert np.array_equal(streamer.step(frames[0]), first)

    def test_at_its_own_size_it_is_the_networks_step(self, model_dir: Path) -> None:
        frames = np.random.default_rng(1).integers(0, 256, (2, 48, 64, 3), np.uint8)
        network = build_random(SMALL, 3, seed=0)
        state = network.initial_state(1, 48, 64)
        streamer = Streamer(model_dir)
        for frame in frames:
            with torch.inference_mode():
                logits, state = network.step(torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255, state)
            assert np.array_equal(streamer.step(frame), logits[0].argmax(0).numpy())

    @pytest.mark.parametrize("size_hw", [(48, 64), (50, 70)])
    def test_where_the_scores_are_enlarged_changes_no_label(
        self, model_dir: Path, tmp_path: Path, size_hw: tuple[int, int]
    ) -> None:
        """A network that leaves it to the caller, with the same weights, says the same."""
        network = build_random(AT_HEAD, 3, seed=0)
        write_model(tmp_path / "head", config_of(AT_HEAD), {}, "train", network)
        assert network.step(torch.zeros(1, 3, 48, 64), network.initial_state(1, 48, 64))[0].shape == (1, 3, 12, 16)
        card = (tmp_path / "head" / "README.md").read_text()
        assert "at stride 4; enlarge them bilinearly" in card
        assert "| logits of a step | at the frame's size |" in (model_dir / "README.md").read_text()
        full, head = Streamer(model_dir), Streamer(tmp_path / "head")
        for frame in np.random.default_rng(3).integers(0, 256, (2, *size_hw, 3), np.uint8):
            assert np.array_equal(head.step(frame), full.step(frame))

    def test_another_size_starts_a_new_video(self, model_dir: Path) -> None:
        rng = np.random.default_rng(2)
        streamer, fresh = Streamer(model_dir), Streamer(model_dir)
        small, large = rng.integers(0, 256, (40, 40, 3), np.uint8), rng.integers(0, 256, (64, 64, 3), np.uint8)
        streamer.step(small)
        assert np.array_equal(streamer.step(large), fresh.step(large))

    @pytest.mark.parametrize(
        "frame",
        [np.zeros((48, 64, 3), np.float32), np.zeros((48, 64), np.uint8), np.zeros((31, 64, 3), np.uint8)],
    )
    def test_bad_frames_are_refused(self, model_dir: Path, frame: np.ndarray) -> None:
        with pytest.raises(InputError, match="given"):
            Streamer(model_dir).step(frame)


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


def test_a_point_of_a_benchmark_is_no_model() -> None:
    from search_spaces.architecture import PointSpec

    with pytest.raises(InputError, match="cannot be built"):
        replace(config_of(), architecture=Architecture(PointSpec((("a", 1),))))


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
