"""The model folder: what is written is read back, and nothing damaged, changed or foreign is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model_folders import SMALL, config_of

from latency_tables.random_weights import build_random
from nas.model_folder import read_config, read_model, write_model, write_sums
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.presets import PRESETS


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


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_folder_of_every_preset_is_read_back(name: str, tmp_path: Path) -> None:
    architecture = PRESETS[name].architecture
    write_model(tmp_path / "model", config_of(architecture), {}, "val", build_random(architecture, 3, seed=0))
    assert read_model(tmp_path / "model").config.architecture == architecture


def test_a_point_of_a_benchmark_is_no_model() -> None:
    from search_spaces.architecture import PointSpec

    with pytest.raises(InputError, match="cannot be built"):
        replace(config_of(), architecture=Architecture(PointSpec((("a", 1),))))
