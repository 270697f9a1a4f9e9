"""An architecture whose every field is allowed but whose whole is not is refused at each door it can come in by."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.export import export_model
from nas.measuring import measure_named
from nas.model_folder import DatasetFacts, ModelConfig, TrainingFacts, write_model
from nas.training import train_to_folder
from search_spaces.architecture import Architecture, ConvSpec, DecoderSpec, NetworkSpec, StageSpec, StemSpec
from search_spaces.errors import InputError
from search_spaces.network import build

HUGE = Architecture(
    NetworkSpec(
        stem=StemSpec(1024),
        stages=tuple(StageSpec("residual", 16, 1024, 1, ConvSpec("dense", 5)) for _ in range(8)),
        decoder=DecoderSpec("bilinear", 1024),
    )
)
WIDE = Architecture(NetworkSpec(StemSpec(1024), (StageSpec("plain", 1, 8, 2),), DecoderSpec("bilinear", 8)))


def _train(network: str, folder: Path) -> None:
    train_to_folder(
        network, data="moving_shapes", epochs=1, out=folder / "model", seed=0, size_hw=(32, 32), settings=()
    )


def _measure(network: str, folder: Path) -> None:
    measure_named(network, "torch@thiscpu", (4096, 4096), 5, None)


@pytest.mark.parametrize("door", [_train, _measure])
def test_too_many_parameters(door: Callable[[str, Path], None], tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    path.write_text(HUGE.to_json())
    with pytest.raises(InputError, match=r"\d{10} parameters given, at most 134217728 allowed"):
        door(str(path), tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_too_large_a_feature(tmp_path: Path) -> None:
    path = tmp_path / "wide.json"
    path.write_text(json.dumps(json.loads(WIDE.to_json()), indent=1))
    with pytest.raises(InputError, match=r"at 4096x4096: a feature of \d+ values given, at most 536870912 allowed"):
        _measure(str(path), tmp_path)


def test_an_export_for_too_large_frames(tmp_path: Path) -> None:
    """A model folder that is fine at its own size."""
    architecture = Architecture(NetworkSpec(StemSpec(16), (StageSpec("plain", 1, 8, 2),), DecoderSpec("bilinear", 8)))
    config = ModelConfig(
        architecture=architecture,
        classes=tuple(f"class {k}" for k in range(40)),
        palette=((0, 0, 0),) * 40,
        size=(32, 32),
        schedule=(1,),
        dataset=DatasetFacts(spec="moving_shapes", fingerprint="f"),
        training=TrainingFacts(epochs=1, seed=0, frames_seen=1.0),
    )
    write_model(tmp_path / "model", config, {"miou": 0.5}, "train", build(architecture, 40))
    with pytest.raises(InputError, match=r"at 4096x4096: a feature of 671088640 values given"):
        export_model(tmp_path / "model", "onnxruntime", (4096, 4096))
    assert not (tmp_path / "model" / "model.onnx").exists()
