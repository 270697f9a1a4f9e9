"""Heads that only train: what they learn from, and that nothing of them is left in what is exported or timed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from evaluators.datasets.base import IGNORE
from evaluators.datasets.clips import clip_pool
from evaluators.datasets.registry import open_dataset
from evaluators.losses import cross_entropy
from evaluators.options import TrainOptions
from evaluators.train import TrainResult, train_network
from evaluators.training_data import TrainingData, still_pool
from evaluators.training_heads import AUXILIARY_WEIGHT, TrainingHeads, boundaries, boundary_loss
from latency_tables.onnx_export import ExportError, export_step
from latency_tables.random_weights import build_random
from latency_tables.runtimes.torch_eager import TorchStep
from search_spaces.architecture import Architecture, TemporalSite, TrainingSpec
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.network import VideoSegmenter, build
from search_spaces.presets import PRESETS
from search_spaces.resizing import resize
from search_spaces.training_only import training_only_parts

PLAIN = Architecture(
    replace(PRESETS["plain_small"].architecture.video, temporal=(TemporalSite("decoder", ConvGRUSpec(1)),))
)
BOTH = replace(PLAIN, training=TrainingSpec(auxiliary=True, boundary=True))
QUICK = TrainOptions(batch_frames=8, clip_frames=2, threads=1, device="cpu")


@pytest.fixture(scope="module")
def data() -> TrainingData:
    videos = open_dataset("moving_shapes", (48, 64)).videos("train")[:2]
    clips = clip_pool(videos, sparse=False, clip_frames=2, num_clips=16, seed=0)
    return TrainingData(still_pool(videos), clips, 32, 6)


def _train(data: TrainingData, training: TrainingSpec, **changes: object) -> TrainResult[VideoSegmenter]:
    options = replace(QUICK, **changes)  # type: ignore[arg-type]
    return train_network(replace(PLAIN, training=training), data, options, epochs=1, seed=0)


class TestTheyAreDropped:
    def test_the_networks_key_is_the_same_and_the_trainings_is_not(self) -> None:
        assert BOTH.network_key == PLAIN.network_key
        keys = {replace(PLAIN, training=TrainingSpec(0.0, a, b)).key for a in (False, True) for b in (False, True)}
        assert len(keys) == 4

    def test_weights_and_taps_of_a_trained_network_are_its_own(self, data: TrainingData) -> None:
        trained = _train(data, BOTH.training).model
        assert set(trained.state_dict()) == set(build(PLAIN, 6).state_dict())
        assert training_only_parts(trained) == []
        without = _train(data, TrainingSpec()).model
        assert any(not torch.equal(a, b) for a, b in zip(trained.parameters(), without.parameters(), strict=True))

    def test_the_exported_file_is_the_same(self, tmp_path: Path) -> None:
        pytest.importorskip("onnx")
        for name, architecture in (("without", PLAIN), ("with", BOTH)):
            export_step(build_random(architecture, 6, seed=0), (48, 64), tmp_path / name, {})
        assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()

    def test_a_network_that_still_has_them_is_not_exported_or_timed(self, tmp_path: Path) -> None:
        model = build(BOTH, 6).eval()
        heads = TrainingHeads(model, BOTH.training).eval()
        with heads.tapped(model):
            with pytest.raises(ExportError, match=r"^stages\.2 is there for training alone"):
                export_step(model, (48, 64), tmp_path / "m.onnx", {})
            with pytest.raises(ValueError, match=r"^stages\.2 is there for training alone"):
                TorchStep(model, (48, 64))
        assert training_only_parts(model) == []
        model.heads = heads
        with pytest.raises(ExportError, match=r"^heads is there for training alone"):
            export_step(model, (48, 64), tmp_path / "m.onnx", {})
        with pytest.raises(ValueError, match=r"^heads is there for training alone"):
            TorchStep(model, (48, 64))

    def test_taps_go_when_training_fails(self) -> None:
        model = build(BOTH, 6)
        heads = TrainingHeads(model, BOTH.training)
        with pytest.raises(RuntimeError, match="in between"), heads.tapped(model):
            raise RuntimeError("in between")
        assert training_only_parts(model) == []


class TestTheyTrain:
    @pytest.mark.parametrize("balance", ["sqrt", "ohem"])
    def test_the_loss_is_the_networks_and_theirs(self, data: TrainingData, balance: str) -> None:
        plain, auxiliary, boundary, both = (
            _train(data, TrainingSpec(auxiliary=a, boundary=b), balance=balance, learning_rate=1e-12).train_loss
            for a, b in ((False, False), (True, False), (False, True), (True, True))
        )
        assert min(auxiliary, boundary) > plain
        # At (almost) no learning rate the only difference between the runs is what the heads add.
        assert both - plain == pytest.approx(auxiliary - plain + boundary - plain, rel=0.3)

    def test_the_auxiliary_loss_is_by_hand_that_of_the_stage_but_one(self) -> None:
        model = build(BOTH, 6).eval()
        heads = TrainingHeads(model, TrainingSpec(auxiliary=True)).eval()
        frames = torch.rand(1, 2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
        labels = torch.randint(0, 6, (2, 48, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
        with heads.tapped(model):
            model(frames)
            given = heads.loss(labels, None, False)
            with pytest.raises(KeyError, match="auxiliary"):
                heads.loss(labels, None, False)
        feature = (frames.flatten(0, 1) - model.mean) / model.std
        feature = model.stages[2](model.stages[1](model.stages[0](model.stem(feature))))
        scores = resize(heads.heads["auxiliary"](feature), 48, 64)
        assert given.item() == pytest.approx(AUXILIARY_WEIGHT * cross_entropy(scores, labels, None, False).item())

    def test_every_head_and_the_network_below_get_gradients(self) -> None:
        model = build(BOTH, 6).train()
        heads = TrainingHeads(model, BOTH.training).train()
        labels = torch.zeros(2, 48, 64, dtype=torch.uint8)
        labels[:, 10:30, 20:40] = 3
        with heads.tapped(model):
            model(torch.rand(1, 2, 3, 48, 64, generator=torch.Generator().manual_seed(0)))
            heads.loss(labels, None, False).backward()
        parameters = [
            *heads.named_parameters(),
            *model.stem.named_parameters(),
            *model.decoder.mixes.named_parameters(),
        ]
        for name, parameter in parameters:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


class TestBoundaries:
    def test_by_hand(self) -> None:
        labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1], [IGNORE, 0, 0, 0]]], dtype=torch.uint8)
        expected = torch.tensor([[[0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]], dtype=torch.bool)
        assert torch.equal(boundaries(labels), expected)

    def test_both_sides_weigh_as_much_and_unlabelled_pixels_nothing(self) -> None:
        labels = torch.zeros(1, 4, 10, dtype=torch.uint8)
        labels[..., 5:] = 1  # columns 4 and 5 of ten are boundary: a fifth
        logits = torch.randn(1, 4, 10, generator=torch.Generator().manual_seed(0))
        loss = F.binary_cross_entropy_with_logits(logits, boundaries(labels).float(), reduction="none")
        expected = (0.8 * loss[..., 4:6].sum() + 0.2 * (loss.sum() - loss[..., 4:6].sum())) / 40
        assert boundary_loss(logits, labels).item() == pytest.approx(expected.item())
        half = labels.clone()
        half[:, 2:] = IGNORE
        assert boundary_loss(logits, half).item() == pytest.approx(boundary_loss(logits[:, :2], labels[:, :2]).item())
        assert boundary_loss(logits, torch.full_like(labels, IGNORE)).item() == 0.0
