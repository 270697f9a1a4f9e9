"""The Streamer: labels of a video frame by frame, from a model folder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from model_folders import AT_HEAD, SMALL, config_of

from latency_tables.random_weights import build_random
from nas.model_folder import (
    write_model,
)
from nas.streamer import Streamer
from search_spaces.errors import InputError


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write_model(folder, config_of(), {"miou": 0.5, "train_loss": 0.25}, "train", build_random(SMALL, 3, seed=0))
    return folder


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
