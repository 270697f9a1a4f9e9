"""Learned key frames in a model folder: the threshold travels, the Streamer and whoever runs the files switch by it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from latency_tables.random_weights import build_random
from nas.export import export_model
from nas.model_folder import DatasetFacts, ModelConfig, TrainingFacts, read_model, schedule_of, write_model
from nas.streamer import Streamer, UInt8Array
from search_spaces.architecture import Architecture
from search_spaces.change_gate import gate_of
from search_spaces.network import VideoSegmenter
from search_spaces.presets import PRESETS
from search_spaces.schedule_spec import KeyframesSpec

SIZE_HW = (48, 64)
PROPAGATIONS = ("copy", "warp")


def _frames() -> list[UInt8Array]:
    """Pictures of large patches; some stand still."""
    rng = np.random.default_rng(0)
    pictures = [np.kron(rng.integers(0, 256, (6, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8)) for _ in range(9)]
    return [pictures[number] for number in (0, 0, 0, 1, 2, 2, 3, 3, 4, 5, 6, 7, 7, 8)]


def _phases(network: VideoSegmenter, frames: list[UInt8Array]) -> tuple[list[int], list[float], list[UInt8Array]]:
    """(what ran, the score after every frame, labels), by steps and the gate."""
    gate = gate_of(network)
    assert gate is not None
    state = network.initial_state(1, *SIZE_HW)
    phases, shares, labels = [], [], []
    for frame in frames:
        phases.append(gate.next_phase(state))
        with torch.inference_mode():
            logits, state = network.step(_given(frame), state, phases[-1])
        shares.append(float(state[-1][0, 0]))
        labels.append(logits[0].argmax(0).to(torch.uint8).numpy())
    return phases, shares, labels


def _given(frame_HWC: UInt8Array) -> torch.Tensor:
    return torch.from_numpy(frame_HWC).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(params=PROPAGATIONS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Of a network whose threshold lies amid its scores."""
    spec = replace(PRESETS["plain_small"].architecture.video, schedule=KeyframesSpec(3, request.param, "learned"))
    architecture = Architecture(spec)
    network = build_random(architecture, 3, seed=0)
    gate = gate_of(network)
    assert gate is not None
    torch.nn.init.zeros_(network.decoder.classify.bias)  # type: ignore[arg-type]
    found = sorted({share for share in _phases(network, _frames())[1] if share})
    gate.threshold.fill_((found[len(found) // 2] + found[len(found) // 2 - 1]) / 2)
    config = ModelConfig(
        architecture=architecture, classes=("a", "b", "c"), palette=((0, 0, 0), (9, 9, 9), (99, 99, 99)), size=SIZE_HW,
        schedule=schedule_of(architecture), dataset=DatasetFacts(spec="x", fingerprint="f"),
        training=TrainingFacts(epochs=0, seed=0, frames_seen=0),
    )  # fmt: skip
    write_model(tmp_path / "model", config, {}, "train", network)
    return tmp_path / "model"


def test_the_threshold_travels_and_the_streamer_switches_by_it(folder: Path) -> None:
    network = read_model(folder).network
    gate = gate_of(network)
    assert gate is not None
    assert 0 < gate.threshold < 1
    phases, _, labels = _phases(network, _frames())
    assert phases[0] == 0
    assert phases != [t % 3 for t in range(14)]
    assert phases != [min(t % 6, 1) for t in range(14)]
    streamer = Streamer(folder)
    for _ in range(2):  # the second time from the middle of an interval
        streamer.reset()
        for frame, wanted in zip(_frames(), labels, strict=True):
            assert np.array_equal(streamer.step(frame), wanted)
    card = (folder / "README.md").read_text()
    assert "every 3 frames is what the threshold is fitted to and 6 the most" in card
    assert "modulo" not in card


def test_whoever_runs_the_files_switches_by_their_metadata(folder: Path) -> None:
    """As README.md says, with two sessions and one dictionary of states."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from latency_tables.onnx_export import read_metadata

    done = export_model(folder, "onnxruntime")
    assert len(done.paths) == 3, "the cycle that is verified and timed"
    trigger = json.loads(read_metadata(done.paths[1])["trigger"])
    sessions = [onnxruntime.InferenceSession(str(path)) for path in done.paths[:2]]
    state = {i.name: np.zeros(i.shape, np.float32) for i in sessions[0].get_inputs() if i.name != "frame"}
    phases, _, labels = _phases(read_model(folder).network, _frames())
    for frame, phase, wanted in zip(_frames(), phases, labels, strict=True):
        share, left = state[trigger["state"]].ravel()
        assert phase == (0 if share > trigger["threshold"] or left <= 0 else 1)
        logits, *following = sessions[phase].run(None, {"frame": _given(frame).numpy(), **state})
        state = dict(zip(state, following, strict=True))
        assert (logits[0].argmax(0) != wanted).mean() < 0.01
