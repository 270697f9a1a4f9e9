"""The training loop. Knows nothing of searchers, files or devices' latency.

Legend: B batch, T frames, K classes, N = B * T.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from evaluators.batches import Batch, batches
from evaluators.change_loss import ChangeLoss, fit_threshold
from evaluators.losses import TEMPORAL_STRIDE, class_weights, cross_entropy, temporal_consistency
from evaluators.options import TrainOptions
from evaluators.training_data import TrainingData
from evaluators.training_heads import TrainingHeads
from search_spaces.architecture import Architecture, TrainingSpec
from search_spaces.errors import InputError
from search_spaces.network import VideoSegmenter, build


class DivergedError(RuntimeError):
    """Training produced a loss that is no finite number: the trial's failure, never an accuracy of zero."""


M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, slots=True, eq=False)
class TrainResult(Generic[M]):
    """The averaged network in eval mode, the mean loss of the last epoch and the frames seen."""

    model: M
    train_loss: float
    frames_seen: int


OnEpoch = Callable[[int, Mapping[str, float]], None]


def train_network(
    architecture: Architecture,
    data: TrainingData,
    options: TrainOptions,
    *,
    epochs: int,
    seed: int,
    init: Mapping[str, Tensor] | None = None,
    epochs_behind: int = 0,
    on_epoch: OnEpoch | None = None,
) -> TrainResult[VideoSegmenter]:
    """Train from scratch, or from the weights `init`; deterministic under `seed` for a number of threads.

    Of `epochs`, `init` has `epochs_behind` behind it already, and the rest is trained. The rest is a training of its
    own, a warm restart (Loshchilov and Hutter 2017, arXiv:1608.03983): the rate, which had decayed to zero, warms up,
    stays and decays again over the rest alone, AdamW's moments and the weight average begin anew, stills come before
    clips again, and the batches are others than those behind. `frames_seen` counts the rest.

    The schedule warms up, stays, and decays to zero (Zhai et al. 2022, arXiv:2106.04560; Hu et al. 2024,
    arXiv:2404.06395), with an exponential average of the weights: any stop after the plateau is a valid
    lower fidelity, and training goes on from its result.

    Raises:
        DivergedError: the loss is not finite.
        InputError: no epoch is left to train, or epochs are behind no weights.
    """
    if epochs_behind and (init is None or epochs_behind >= epochs):
        raise InputError(
            f"epochs: {epochs} given with {epochs_behind} behind {'no weights' if init is None else 'the weights'}; "
            "more epochs than the weights it starts from have behind them are needed"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(architecture, data.num_classes)
        heads = _heads(model, architecture.training)
    if init is not None:
        model.load_state_dict(init)
    weight = architecture.training.temporal_weight
    return train_model(
        model,
        data,
        options,
        temporal_weight=weight,
        epochs=epochs - epochs_behind,
        seed=_batch_seed(seed, epochs_behind),
        on_epoch=on_epoch,
        heads=heads,
    )


def _batch_seed(seed: int, epochs_behind: int) -> int:
    """Of what batches are drawn with: a continuation under the same seed must not see the same batches again."""
    if not epochs_behind:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{epochs_behind}".encode()).digest()[:8], "big") >> 1


def _heads(model: VideoSegmenter, training: TrainingSpec) -> TrainingHeads | None:
    """Built after the network, whose first weights are then the same with them and without."""
    return TrainingHeads(model, training) if training.auxiliary or training.boundary else None


def train_model(
    model: M,
    data: TrainingData,
    options: TrainOptions,
    *,
    temporal_weight: float,
    epochs: int,
    seed: int,
    on_epoch: OnEpoch | None = None,
    heads: TrainingHeads | None = None,
) -> TrainResult[M]:
    """As `train_network`, from the weights `model` has. It maps clip_BTCHW to logits_BTKHW.

    `temporal_weight` counts where the options name none. `heads`, made for a VideoSegmenter, train with it and are
    no part of the result. A gate of learned key frames gets its threshold at the end. Raises DivergedError.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = _device(options)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    weight = temporal_weight if options.temporal_weight is None else options.temporal_weight
    if heads is not None:
        heads = heads.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = _Loop(model, heads, data.to(device), options, weight, epochs, seed, device).run(on_epoch)
    fit_threshold(trained.model, data.clips)
    return trained


class _Loop(Generic[M]):
    """The state of one training: optimizer, schedule, average."""

    def __init__(
        self,
        model: M,
        heads: TrainingHeads | None,
        data: TrainingData,
        options: TrainOptions,
        temporal_weight: float,
        epochs: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.model, self.data, self.options, self.device = model.train(), data, options, device
        self.heads = heads
        self.change = ChangeLoss.of(model)
        self.trained = nn.ModuleList([model] if heads is None else [model, heads.train()])
        self.epochs = epochs
        self.generator = torch.Generator().manual_seed(seed)
        self.temporal_weight = temporal_weight
        self.steps_per_epoch = max(1, math.ceil(data.frames_per_epoch / options.batch_frames))
        self.total = self.steps_per_epoch * epochs
        self.optimizer = torch.optim.AdamW(
            _groups(self.trained, options.weight_decay), lr=options.learning_rate, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._factor)
        horizon = max(2.0, options.average_share * self.total)
        average = get_ema_multi_avg_fn(1.0 - 1.0 / horizon)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        self.weights_K = None
        if options.balance in ("enet", "sqrt"):
            weights_K = class_weights(data.stills.labels_NTHW, data.num_classes, options.balance)
            self.weights_K = weights_K.to(device)
        self.frames_seen = 0

    def _factor(self, step: int) -> float:
        warmup = max(1.0, self.options.warmup_share * self.total)
        decay = max(1.0, self.options.decay_share * self.total)
        return min(1.0, (step + 1) / warmup, max(0.0, (self.total - step) / decay))

    def run(self, on_epoch: OnEpoch | None) -> TrainResult[M]:
        """All epochs; the loss is read back once an epoch, so that a GPU is never waited for inside one."""
        with self._tapped():
            mean_loss = self._epochs(on_epoch)
        model = self.average.module.eval()
        return TrainResult(cast("M", model), mean_loss, self.frames_seen)

    def _tapped(self) -> AbstractContextManager[object]:
        """The heads see features of the trained network alone: the average was copied before, without taps."""
        taps = ExitStack()
        if self.heads is not None:
            assert isinstance(self.model, VideoSegmenter)
            taps.enter_context(self.heads.tapped(self.model))
        if self.change is not None:
            taps.enter_context(self.change.tapped())
        return taps

    def _epochs(self, on_epoch: OnEpoch | None) -> float:
        num_stills = round(self.options.stills_share * self.total) if self.options.clip_frames > 1 else 0
        motion = self.temporal_weight > 0
        streams = (
            batches(self.data.stills, num_stills, self.options, motion=False, generator=self.generator),
            batches(self.data.clips, self.total - num_stills, self.options, motion=motion, generator=self.generator),
        )
        losses: list[Tensor] = []
        mean_loss = math.nan
        step = 0
        for stream in streams:
            for batch in stream:
                losses.append(self._step(batch))
                step += 1
                if step % self.steps_per_epoch == 0:
                    mean_loss = float(torch.stack(losses).mean())
                    losses.clear()
                    self._report(step // self.steps_per_epoch, mean_loss, on_epoch)
        return mean_loss

    def _report(self, epoch: int, loss: float, on_epoch: OnEpoch | None) -> None:
        if not math.isfinite(loss):
            raise DivergedError(f"training diverged: the loss is {loss} in epoch {epoch} of {self.epochs}")
        if on_epoch is not None:
            on_epoch(epoch, {"train_loss": loss, "frames_seen": self.frames_seen})

    def _step(self, batch: Batch) -> Tensor:
        frames = batch.frames_BTCHW.to(self.device, non_blocking=True)
        self.frames_seen += frames.shape[0] * frames.shape[1]
        with _autocast(self.device):
            loss = self._loss(self.model(frames), batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.trained.parameters(), 5.0)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.model)
        return loss.detach()

    def _loss(self, logits_BTKHW: Tensor, batch: Batch) -> Tensor:
        labels = batch.labels_BTHW.to(self.device, non_blocking=True)
        loss = cross_entropy(
            logits_BTKHW.flatten(0, 1).float(),
            labels.flatten(0, 1),
            self.weights_K,
            self.options.balance == "ohem",
        )
        if self.heads is not None:
            loss = loss + self.heads.loss(labels.flatten(0, 1), self.weights_K, self.options.balance == "ohem")
        if self.change is not None:
            loss = loss + self.change.loss(logits_BTKHW, labels)
        if batch.flow_BT2HW is None or batch.visible_BTHW is None:
            return loss
        y, x = torch.randint(TEMPORAL_STRIDE, (2,), generator=self.generator).tolist()
        flow, visible = batch.flow_BT2HW.to(self.device), batch.visible_BTHW.to(self.device)
        return loss + self.temporal_weight * temporal_consistency(logits_BTKHW, flow, visible, (y, x))


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay on convolutions alone, not on biases, norms and rates."""
    decayed = [p for p in model.parameters() if p.dim() > 1 and p.shape[-1] * p.shape[0] > 1]
    kept = {id(p) for p in decayed}
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if id(p) not in kept], "weight_decay": 0.0},
    ]


def _device(options: TrainOptions) -> torch.device:
    if options.device != "auto":
        return torch.device(options.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    """Mixed precision on CUDA; on a CPU float32, which is what is exported and timed there."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
