"""Stand-alone training and scoring of a network on a dataset. Knows nothing of searchers or devices' latency.

Legend: B batch, T frames, H/W pixels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from evaluators.checkpoint import load_weights, save_weights
from evaluators.datasets.base import Video, VideoDataset
from evaluators.datasets.clips import select_clips
from evaluators.datasets.registry import open_dataset
from evaluators.datasets.splits import fit_and_select
from evaluators.job import EPOCHS_BEHIND, Job, Outcome
from evaluators.options import TrainOptions, identity_of
from evaluators.scoring import ScoreReport, score_videos
from evaluators.train import TrainResult, train_network
from evaluators.training_data import POOL_SEED, TrainingData, training_data
from search_spaces.cells.base import State
from search_spaces.change_gate import gate_of, phase_at
from search_spaces.network import VideoSegmenter

CHUNK_FRAMES = 16
"""Frames that run as one batch while scoring, at most; the state goes on between chunks."""

CHUNK_LOGITS = 2**26
"""Class scores of a chunk (256 MB of float32): large frames run in shorter chunks, down to one by one."""

SELECT_CLIP_FRAMES = 8
"""Length of the seeded clips that a sparse held-out part is scored as."""


class StreamingModel(Protocol):
    """What is streamed over videos: the part of a VideoSegmenter that this takes."""

    num_classes: int

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """Zeros for frames of this size."""

    def roll(self, clip_BTCHW: Tensor, state: State, phase: int = 0) -> tuple[Tensor, State]:
        """A clip that goes on from `state` with frame number `phase`: (logits_BTKHW, next state)."""

    def eval(self) -> object:
        """Into eval mode, in place."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """They say which device the model is on."""


@dataclass(frozen=True, slots=True)
class SegmentationEvaluator:
    """Trains a job's architecture on part of `train`, scores it on the held-out part; never opens val or test.

    `folder` receives the averaged weights as checkpoints/<identity>.safetensors.
    """

    data: str
    size_hw: tuple[int, int] | None
    folder: str
    options: TrainOptions = field(default_factory=TrainOptions)

    @property
    def dataset(self) -> str:
        """Names data, split, training options and torch, whose versions train differently: part of an identity."""
        info = _opened(self.data, self.size_hw).info
        return f"{info.fingerprint}|fit/select|{identity_of(self.options)}|torch {torch.__version__}"

    def __call__(self, job: Job) -> Outcome:
        """Train and score. Raises DivergedError or InputError; the caller records the reason."""
        data, select, last_frame_only = search_data(self.data, self.size_hw, self.options)
        init, behind = None, dict(job.payload).get(EPOCHS_BEHIND, 0)
        if job.init_from is not None:
            init = load_weights(Path(self.folder) / checkpoint_name(job.init_from))
        trained = train_network(
            job.architecture, data, self.options, epochs=job.epochs, seed=job.seed, init=init, epochs_behind=int(behind)
        )
        report = score_videos(predictor(trained.model), select, data.num_classes, last_frame_only=last_frame_only)
        name = checkpoint_name(job.identity(self.dataset))
        save_weights(Path(self.folder) / name, trained.model.state_dict())
        return Outcome({**report.metrics, **facts(trained)}, artefact=name)


def checkpoint_name(identity: str) -> str:
    """Where the weights of a result lie in a search folder."""
    return f"checkpoints/{identity}.safetensors"


def facts(trained: TrainResult[VideoSegmenter]) -> Mapping[str, float]:
    """What training itself reports, under the metric vocabulary."""
    return {"train_loss": trained.train_loss, "frames_seen": float(trained.frames_seen)}


@lru_cache(maxsize=4)
def _opened(spec: str, size_hw: tuple[int, int] | None) -> VideoDataset:
    return open_dataset(spec, size_hw)


@lru_cache(maxsize=2)
def search_data(
    spec: str, size_hw: tuple[int, int] | None, options: TrainOptions
) -> tuple[TrainingData, Sequence[Video], bool]:
    """(what a search trains on, what it selects on, whether only last frames are scored), once a process."""
    dataset = _opened(spec, size_hw)
    fit, select = fit_and_select(dataset)
    sparse = dataset.info.sparse
    held_out = select_clips(select, sparse=sparse, num_frames=SELECT_CLIP_FRAMES, seed=POOL_SEED)
    return training_data(dataset, fit, options), held_out, sparse


def evaluate_model(model: VideoSegmenter, dataset: VideoDataset, split: str) -> ScoreReport:
    """Score a trained network on a split, state carried through every video."""
    return score_videos(predictor(model), dataset.videos(split), len(dataset.info.classes), last_frame_only=False)


def predictor(model: StreamingModel) -> Callable[[Video], Tensor]:
    """A function from a video to its labels, uint8 THW: streamed in chunks, state reset for every video.

    Frame by frame where the state says which graph the next one runs.
    """
    device = next(model.parameters()).device
    gate = gate_of(model)
    model.eval()

    @torch.inference_mode()
    def predict(video: Video) -> Tensor:
        height, width = video.frames_TCHW.shape[-2:]
        state = model.initial_state(1, height, width)
        affordable = 1 if gate is not None else CHUNK_LOGITS // (model.num_classes * height * width)
        labels: list[Tensor] = []
        num_seen = 0
        for chunk in torch.split(video.frames_TCHW, min(CHUNK_FRAMES, max(1, affordable))):
            frames = chunk.to(device).contiguous(memory_format=torch.channels_last).float() / 255
            logits, state = model.roll(frames.unsqueeze(0), state, phase_at(gate, num_seen, state))
            num_seen += len(chunk)
            labels.append(logits[0].argmax(1).to("cpu", torch.uint8))
        return torch.cat(labels)

    return predict
