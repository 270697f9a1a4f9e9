"""Training and scoring of networks with a schedule: phases go on between chunks, single frames train all stages."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from evaluators.datasets.base import Video
from evaluators.datasets.clips import clip_pool
from evaluators.datasets.registry import open_dataset
from evaluators.options import TrainOptions
from evaluators.segmentation import CHUNK_FRAMES, predictor
from evaluators.train import train_network
from evaluators.training_data import TrainingData, still_pool
from latency_tables.random_weights import build_random
from search_spaces.architecture import Architecture, TrainingSpec
from search_spaces.network import build
from search_spaces.presets import PRESETS
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec, ScheduleSpec

SMALL = PRESETS["plain_small"].architecture.video
QUICK = TrainOptions(batch_frames=8, clip_frames=4, threads=1, device="cpu")
SCHEDULES = [ClockworkSpec((1, 4, 4, 4)), KeyframesSpec(3, "warp"), DistributedSpec(4, "concat")]


@pytest.fixture(scope="module")
def data() -> TrainingData:
    videos = open_dataset("moving_shapes", (48, 64)).videos("train")[:2]
    clips = clip_pool(videos, sparse=False, clip_frames=4, num_clips=8, seed=0)
    return TrainingData(still_pool(videos), clips, 32, 6)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.kind)
def test_a_scheduled_network_learns_from_single_frames_and_clips(schedule: ScheduleSpec, data: TrainingData) -> None:
    heads = TrainingSpec(boundary=not isinstance(schedule, KeyframesSpec), temporal_weight=1.0)
    architecture = Architecture(replace(SMALL, schedule=schedule), heads)
    first, later = (train_network(architecture, data, QUICK, epochs=epochs, seed=0) for epochs in (1, 6))
    assert later.train_loss < 0.9 * first.train_loss
    assert later.frames_seen == 6 * 32
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = build(architecture, 6)
    moved = {n: p for n, p in later.model.named_parameters() if not torch.equal(p, fresh.get_parameter(n))}
    assert set(moved) == {name for name, _ in fresh.named_parameters()}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.kind)
def test_scoring_in_chunks_is_streaming(schedule: ScheduleSpec) -> None:
    """A period of 3 does not divide a chunk: the phase goes on with the state."""
    num_frames = 2 * CHUNK_FRAMES + 3
    # Every frame has other patches, and classes that know no bias, so that labels change with the key frame.
    patches = torch.rand(num_frames, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    frames = (255 * patches.round()).to(torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    video = Video(
        "v", frames, torch.zeros(num_frames, 32, 40, dtype=torch.uint8), torch.ones(num_frames, dtype=torch.bool)
    )
    model = build_random(Architecture(replace(SMALL, schedule=schedule)), 4, seed=0)
    nn.init.zeros_(model.decoder.classify.bias)  # type: ignore[arg-type]
    labels = predictor(model)(video)
    assert (labels[1:] != labels[:-1]).float().mean() > 0.01, "it says the same of every frame"
    state = model.initial_state(1, 32, 40)
    for t in range(num_frames):
        with torch.inference_mode():
            logits, state = model.step(frames[t : t + 1].float() / 255, state, t)
        assert (labels[t] != logits[0].argmax(0)).float().mean() < 0.01, t
