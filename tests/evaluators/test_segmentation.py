"""The evaluator of training: what names a result, what a repetition gives, where weights come from."""

import hashlib
import pickle
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from evaluators import segmentation
from evaluators.checkpoint import load_weights, save_weights
from evaluators.job import EPOCHS_BEHIND, METRICS, Job
from evaluators.options import TrainOptions
from evaluators.segmentation import SegmentationEvaluator, checkpoint_name
from search_spaces.architecture import (
    Architecture,
    DecoderSpec,
    NetworkSpec,
    StageSpec,
    StemSpec,
    TrainingSpec,
)
from search_spaces.errors import InputError
from search_spaces.network import build
from tests.evaluators.dataset_makers import make_folder, write_pair

TINY = Architecture(NetworkSpec(StemSpec(4), (StageSpec("plain", 1, 8, 2),), DecoderSpec("bilinear", 8)))
OPTIONS = TrainOptions(clip_frames=2, batch_frames=4, device="cpu", threads=1)
OTHER_VALUES = {
    "batch_frames": 8, "clip_frames": 3, "stills_share": 0.25, "learning_rate": 1e-3, "weight_decay": 0.0,
    "warmup_share": 0.2, "decay_share": 0.2, "average_share": 0.5, "balance": "enet", "temporal_weight": 2.0,
    "min_crop": 1.0, "jitter": 0.0, "clips_per_frame": 2.0,
}  # fmt: skip
WHERE = {"device": "cuda", "threads": 2}
"""What only says where training runs: not part of a result's name."""


@pytest.fixture
def evaluator(tmp_path: Path) -> SegmentationEvaluator:
    root = make_folder(tmp_path / "data")
    return SegmentationEvaluator(f"folder:{root}", (32, 48), str(tmp_path / "run"), OPTIONS)


def _job(**changes: object) -> Job:
    return replace(Job("train", TINY, epochs=1), **changes)  # type: ignore[arg-type]


class TestIdentity:
    def test_everything_that_changes_a_result_changes_its_name(self, evaluator: SegmentationEvaluator) -> None:
        base = evaluator.dataset
        names = [_job().identity(base)]
        names += [
            _job(**change).identity(base)
            for change in (
                {"architecture": replace(TINY, training=TrainingSpec(1.0))},
                {"architecture": replace(TINY, network=replace(TINY.video, stem=StemSpec(8)))},
                {"epochs": 2},
                {"seed": 1},
                {"init_from": "0123"},
                {"payload": (("share", 0.5),)},
                {"kind": "prune"},
            )
        ]
        names.append(_job().identity(replace(evaluator, size_hw=(32, 64)).dataset))
        for name, value in OTHER_VALUES.items():
            names.append(_job().identity(replace(evaluator, options=replace(OPTIONS, **{name: value})).dataset))  # type: ignore[arg-type]
        assert len(set(names)) == len(names)

    def test_every_option_is_accounted_for(self) -> None:
        assert set(OTHER_VALUES) | set(WHERE) == {field.name for field in fields(TrainOptions)}

    @pytest.mark.parametrize("name", sorted(WHERE))
    def test_where_it_runs_does_not(self, evaluator: SegmentationEvaluator, name: str) -> None:
        other = replace(evaluator, options=replace(OPTIONS, **{name: WHERE[name]}))  # type: ignore[arg-type]
        assert other.dataset == evaluator.dataset

    def test_changed_data_is_another_dataset(self, evaluator: SegmentationEvaluator) -> None:
        root = Path(evaluator.data.removeprefix("folder:"))
        before = evaluator.dataset
        write_pair(root / "a" / "input" / "6.jpg", root / "a" / "label" / "6.png", seed=99)
        segmentation._opened.cache_clear()
        assert evaluator.dataset != before

    def test_another_torch_is_another_result(
        self, evaluator: SegmentationEvaluator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = evaluator.dataset
        monkeypatch.setattr(torch, "__version__", "2.99.0")
        assert evaluator.dataset != before


class TestTraining:
    def test_the_same_job_gives_the_same_figures_and_weights(self, evaluator: SegmentationEvaluator) -> None:
        first, again = evaluator(_job()), evaluator(_job())
        assert first == again
        assert set(first.metrics) <= set(METRICS)
        assert {"miou", "train_loss", "frames_seen"} <= set(first.metrics)
        assert first.artefact == checkpoint_name(_job().identity(evaluator.dataset))
        weights = load_weights(Path(evaluator.folder, first.artefact))
        build(TINY, 2).load_state_dict(weights)  # strict: the names are the network's
        assert evaluator(_job(seed=1)).metrics != first.metrics

    def test_it_goes_on_from_the_job_it_names(self, evaluator: SegmentationEvaluator) -> None:
        parent = _job().identity(evaluator.dataset)
        evaluator(_job())
        child = evaluator(_job(init_from=parent))
        assert child.metrics["train_loss"] != evaluator(_job()).metrics["train_loss"]

    def test_it_trains_the_epochs_that_are_not_behind_its_parent(self, evaluator: SegmentationEvaluator) -> None:
        parent = _job().identity(evaluator.dataset)
        frames = evaluator(_job()).metrics["frames_seen"]
        more = _job(epochs=4, init_from=parent, payload=((EPOCHS_BEHIND, 1),))
        assert evaluator(more).metrics["frames_seen"] == 3 * frames
        assert evaluator(_job(epochs=4, init_from=parent)).metrics["frames_seen"] == 4 * frames

    def test_a_missing_parent_is_named(self, evaluator: SegmentationEvaluator) -> None:
        with pytest.raises(InputError, match=r"checkpoints/0123.safetensors: cannot be read \(No such file"):
            evaluator(_job(init_from="0123"))

    def test_it_travels_to_workers(self, evaluator: SegmentationEvaluator) -> None:
        assert pickle.loads(pickle.dumps(evaluator)) == evaluator


class TestCheckpoints:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        save_weights(tmp_path / "w.safetensors", {"a": torch.arange(6.0).view(2, 3)})
        return tmp_path / "w.safetensors"

    def test_what_is_saved_is_loaded(self, path: Path) -> None:
        assert torch.equal(load_weights(path)["a"], torch.arange(6.0).view(2, 3))
        assert [file.name for file in sorted(path.parent.iterdir())] == ["w.safetensors", "w.safetensors.sha256"]

    @pytest.mark.parametrize("damage", [b"", b"cut", b"\x80\x04pickle"])
    def test_damage_is_refused(self, path: Path, damage: bytes) -> None:
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"w.safetensors: sha256 \w+\.\.\. found, .*the file is damaged"):
            load_weights(path)

    def test_a_foreign_file_with_its_own_checksum_is_no_weights(self, path: Path) -> None:
        path.write_bytes(b"no weights")
        path.with_name("w.safetensors.sha256").write_text(hashlib.sha256(b"no weights").hexdigest())
        with pytest.raises(InputError, match=r"w.safetensors: no safetensors file"):
            load_weights(path)

    def test_a_missing_checksum_is_named(self, path: Path) -> None:
        path.with_name("w.safetensors.sha256").unlink()
        with pytest.raises(InputError, match=r"w.safetensors.sha256: cannot be read"):
            load_weights(path)
