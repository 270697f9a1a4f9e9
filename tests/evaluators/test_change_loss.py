"""Learned key frames: what the gate is taught, that it learns it, the threshold, and scoring that switches by it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from evaluators.change_loss import ChangeLoss, fit_threshold
from evaluators.datasets.base import IGNORE, Video
from evaluators.datasets.clips import ClipPool
from evaluators.datasets.registry import open_dataset
from evaluators.options import TrainOptions
from evaluators.segmentation import predictor
from evaluators.train import train_network
from evaluators.training_data import TrainingData, still_pool
from latency_tables.random_weights import build_random
from search_spaces.architecture import Architecture
from search_spaces.change_gate import ChangeGate, gate_of
from search_spaces.network import VideoSegmenter
from search_spaces.presets import PRESETS
from search_spaces.schedule_spec import KeyframesSpec
from search_spaces.training_only import training_only_parts

SMALL = PRESETS["plain_small"].architecture.video
QUICK = TrainOptions(batch_frames=8, clip_frames=4, threads=1, device="cpu", min_crop=1.0)


def _architecture(period: int = 3, propagate: str = "copy") -> Architecture:
    return Architecture(replace(SMALL, schedule=KeyframesSpec(period, propagate, "learned")))  # type: ignore[arg-type]


def _gate(model: VideoSegmenter) -> ChangeGate:
    gate = gate_of(model)
    assert gate is not None
    return gate


def _one_hot(labels_BTHW: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(labels_BTHW.long(), 2).movedim(-1, 2).float()


class TestLoss:
    def _loss(self, says: list[float], predicted_BTHW: Tensor, labels_BTHW: Tensor) -> Tensor:
        """The loss of a gate that says these logits, a frame each."""
        loss = ChangeLoss(_gate(build_random(_architecture(), 4, seed=0)), 3)
        loss._seen = torch.tensor(says).view(-1, 1, 1, 1)
        return loss.loss(_one_hot(predicted_BTHW), labels_BTHW)

    def test_the_target_is_how_many_more_are_wrong_than_at_the_key_frame(self) -> None:
        """Period 3: of 16 x 16 pixels a quarter is wrong at the key frame, and in between a half and three quarters."""
        labels = torch.zeros(1, 4, 16, 16, dtype=torch.uint8)
        predicted = labels.clone()
        for t, columns in enumerate((4, 8, 12, 16)):
            predicted[0, t, :, :columns] = 1
        logits = [9.0, -0.4, 1.3, 9.0]  # what is said of the key frames, 0 and 3, does not count
        given = self._loss(logits, predicted, labels)
        targets = torch.tensor([0.25, 0.5])
        expected = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(logits[1:3]), targets)
        assert torch.allclose(given, expected)
        labels[0, 2] = IGNORE
        first = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(logits[1:2]), targets[:1])
        assert torch.allclose(self._loss(logits, predicted, labels), first)
        labels[0, 0] = IGNORE  # the key frame that both are compared with
        assert self._loss(logits, predicted, labels) == 0

    def test_single_frames_teach_nothing_and_taps_are_removed(self) -> None:
        model = build_random(_architecture(), 4, seed=0)
        loss = ChangeLoss.of(model)
        assert loss is not None
        with loss.tapped():
            assert training_only_parts(model)
            labels = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
            assert loss.loss(model(torch.rand(2, 1, 3, 32, 32)), labels) == 0
        assert not training_only_parts(model)
        assert ChangeLoss.of(build_random(Architecture(SMALL), 4, seed=0)) is None

    @pytest.mark.parametrize("propagate", ["copy", "warp"])
    def test_it_reaches_the_gate_alone(self, propagate: str) -> None:
        model = build_random(_architecture(3, propagate), 4, seed=0).train()
        loss = ChangeLoss.of(model)
        assert loss is not None
        with loss.tapped():
            logits = model(torch.rand(2, 4, 3, 32, 48, generator=torch.Generator().manual_seed(0)))
            loss.loss(logits, torch.zeros(2, 4, 32, 48, dtype=torch.uint8)).backward()  # type: ignore[no-untyped-call]
        for name, parameter in model.named_parameters():
            in_gate = name.startswith("keyframes.gate.")
            assert (parameter.grad is not None) == in_gate, name
            if parameter.grad is not None:
                assert torch.isfinite(parameter.grad).all(), name
                assert parameter.grad.abs().sum() > 0, name


def _clips(num_clips: int, num_frames: int) -> ClipPool:
    """Every odd clip moves, every even one stands still; nothing but a bright square, which is class 1."""
    frames = torch.full((num_clips, num_frames, 3, 32, 48), 40, dtype=torch.uint8)
    labels = torch.zeros(num_clips, num_frames, 32, 48, dtype=torch.uint8)
    for clip in range(num_clips):
        for t in range(num_frames):
            left = 2 + (7 * clip) % 9 + (8 * t if clip % 2 else 0)
            window = (clip, t, ..., slice(8, 24), slice(left, left + 16))
            frames[window] = 220
            labels[clip, t, 8:24, left : left + 16] = 1
    return ClipPool(frames, labels, None, None)


@pytest.fixture(scope="module")
def trained() -> VideoSegmenter:
    """A network of copied key frames that saw what moves and what does not."""
    clips = _clips(16, 4)
    stills = ClipPool(clips.frames_NTCHW.flatten(0, 1)[:, None], clips.labels_NTHW.flatten(0, 1)[:, None], None, None)
    data = TrainingData(stills, clips, 64, 2)
    return train_network(_architecture(), data, QUICK, epochs=12, seed=0).model


def _video(moving: bool, num_frames: int) -> Video:
    pool = _clips(2, num_frames)
    clip = int(moving)
    known = torch.ones(num_frames, dtype=torch.bool)
    return Video("v", pool.frames_NTCHW[clip], pool.labels_NTHW[clip], known)


@torch.no_grad()
def _phases(model: VideoSegmenter, video: Video) -> list[int]:
    state = model.initial_state(1, 32, 48)
    phases = []
    for t in range(len(video.frames_TCHW)):
        phases.append(_gate(model).next_phase(state))
        _, state = model.step(video.frames_TCHW[t : t + 1].float() / 255, state, phases[-1])
    return phases


@pytest.mark.slow
class TestTrained:
    def test_what_moves_gets_more_key_frames_than_what_stands_still(self, trained: VideoSegmenter) -> None:
        assert 0 < _gate(trained).threshold < 1
        assert _phases(trained, _video(False, 4)) == [0, 1, 1, 1]
        assert _phases(trained, _video(True, 4)).count(0) == 2

    def test_scoring_switches_by_the_score(self, trained: VideoSegmenter) -> None:
        video = _video(True, 4)
        labels = predictor(trained)(video)
        phases = _phases(trained, video)
        state = trained.initial_state(1, 32, 48)
        with torch.no_grad():
            for t, phase in enumerate(phases):
                logits, state = trained.step(video.frames_TCHW[t : t + 1].float() / 255, state, phase)
                assert torch.equal(labels[t], logits[0].argmax(0).to(torch.uint8))


class TestThreshold:
    @pytest.mark.parametrize(("num_frames", "age", "factor"), [(6, 2, 1.0), (2, 1, 2.0)])
    def test_it_is_the_median_at_the_end_of_a_period(self, num_frames: int, age: int, factor: float) -> None:
        """Of clips shorter than the period of 3, in proportion."""
        model = build_random(_architecture(), 2, seed=0)
        clips = _clips(7, num_frames)
        fit_threshold(model, clips)
        shares = []
        for frames in clips.frames_NTCHW.float() / 255:
            state = model.initial_state(1, 32, 48)
            for t in range(age + 1):
                with torch.no_grad():
                    _, state = model.step(frames[t : t + 1], state, t)
            shares.append(float(state[-1][0, 0]))
        assert float(_gate(model).threshold) == pytest.approx(factor * sorted(shares)[3], rel=1e-4)
        assert len(set(shares)) > 1

    def test_without_clips_or_gate_nothing_is_fitted(self) -> None:
        model = build_random(_architecture(), 2, seed=0)
        fit_threshold(model, _clips(2, 1))
        assert _gate(model).threshold == 1
        fit_threshold(build_random(Architecture(SMALL), 2, seed=0), _clips(2, 4))


def test_a_training_moves_every_parameter_and_fits_the_threshold() -> None:
    videos = open_dataset("moving_shapes", (48, 64)).videos("train")[:1]
    clips = ClipPool(videos[0].frames_TCHW[:4][None], videos[0].labels_THW[:4][None], None, None)
    data = TrainingData(still_pool(videos), clips, 16, 6)
    one, two = (train_network(_architecture(2, "warp"), data, QUICK, epochs=1, seed=seed).model for seed in (0, 0))
    assert 0 < _gate(one).threshold < 1
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert not training_only_parts(one)
