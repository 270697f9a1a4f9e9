"""Training: deterministic, learns, obeys its options, fails loudly; batches keep motion what it was."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import evaluators.segmentation as segmentation
from evaluators.batches import augmented, batches
from evaluators.datasets.base import IGNORE
from evaluators.datasets.clips import ClipPool, clip_pool
from evaluators.datasets.registry import open_dataset
from evaluators.options import TrainOptions, train_options
from evaluators.segmentation import evaluate_model, predictor
from evaluators.train import DivergedError, TrainResult, _groups, train_network
from evaluators.training_data import TrainingData, still_pool
from search_spaces.architecture import Architecture, TemporalSite, TrainingSpec
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.errors import InputError
from search_spaces.network import build
from search_spaces.presets import PRESETS

SMALL = PRESETS["plain_small"].architecture
WITH_GRU = Architecture(replace(SMALL.video, temporal=(TemporalSite("decoder", ConvGRUSpec(1)),)))
QUICK = TrainOptions(batch_frames=8, clip_frames=2, threads=1, device="cpu")


@pytest.fixture(scope="module")
def data() -> TrainingData:
    videos = open_dataset("moving_shapes", (48, 64)).videos("train")[:4]
    clips = clip_pool(videos, sparse=False, clip_frames=2, num_clips=32, seed=0)
    return TrainingData(still_pool(videos), clips, 64, 6)


def _train(data: TrainingData, seed: int = 0, epochs: int = 1, **changes: object) -> TrainResult:
    architecture = changes.pop("architecture", WITH_GRU)
    assert isinstance(architecture, Architecture)
    return train_network(architecture, data, replace(QUICK, **changes), epochs=epochs, seed=seed)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data: TrainingData) -> None:
    one, again, other = _train(data), _train(data), _train(data, seed=1)
    pairs = zip(one.model.state_dict().values(), again.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert one.train_loss == again.train_loss != other.train_loss


def test_training_draws_nothing_from_the_global_generator(data: TrainingData) -> None:
    before = torch.random.get_rng_state()
    _train(data)
    assert torch.equal(before, torch.random.get_rng_state())


def test_weights_of_convolutions_alone_decay() -> None:
    """Not the slopes of PReLU: pulled to zero it would become ReLU (He et al. 2015, arXiv:1502.01852, section 2)."""
    stage = replace(SMALL.video.stages[0], activation="prelu", attention="squeeze_excitation")
    model = build(Architecture(replace(SMALL.video, stages=(stage, *SMALL.video.stages[1:]))), 5)
    decayed, kept = ({id(p) for p in group["params"]} for group in _groups(model, 0.1))  # type: ignore[attr-defined]
    assert decayed == {id(m.weight) for m in model.modules() if isinstance(m, nn.Conv2d)}
    slopes = {id(m.weight) for m in model.modules() if isinstance(m, nn.PReLU)}
    assert slopes
    assert slopes <= kept


def test_it_learns(data: TrainingData) -> None:
    first, later = _train(data, epochs=1), _train(data, epochs=8)
    assert later.train_loss < 0.8 * first.train_loss
    assert later.frames_seen == 8 * first.frames_seen == 8 * 64
    assert not later.model.training


def test_it_goes_on_from_given_weights(data: TrainingData) -> None:
    start = _train(data, epochs=8)
    going_on = train_network(
        WITH_GRU, data, replace(QUICK, learning_rate=1e-6), epochs=1, seed=3, init=start.model.state_dict()
    )
    fresh = _train(data, seed=3, learning_rate=1e-6)
    assert going_on.train_loss < 0.8 * fresh.train_loss


def test_of_epochs_behind_only_the_rest_is_trained_with_a_schedule_of_its_own(data: TrainingData) -> None:
    start = _train(data, epochs=2).model.state_dict()
    rates: list[float] = []

    def rest(epochs: int, behind: int) -> TrainResult:
        return train_network(WITH_GRU, data, QUICK, epochs=epochs, seed=0, init=start, epochs_behind=behind)

    with pytest.MonkeyPatch.context() as patch:
        step = torch.optim.AdamW.step
        patch.setattr(torch.optim.AdamW, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), step(self))[1])
        going_on = rest(8, 2)
    per_epoch = 64 // QUICK.batch_frames
    assert going_on.frames_seen == 6 * 64
    assert len(rates) == 6 * per_epoch
    assert rates[0] < 0.3 * max(rates), "AdamW knows nothing yet: the rate warms up again"
    assert max(rates) == QUICK.learning_rate
    assert rates[-1] < 0.1 * max(rates), "and decays over the rest, so that the result can be judged"


def test_a_continuation_sees_other_batches_than_those_behind(data: TrainingData) -> None:
    """Under one seed, what is trained is the same but for the batches that are drawn."""
    start = _train(data, epochs=1).model.state_dict()
    losses = {
        behind: train_network(
            WITH_GRU, data, QUICK, epochs=1 + behind, seed=0, init=start, epochs_behind=behind
        ).train_loss
        for behind in (0, 1, 2)
    }  # fmt: skip
    assert len(set(losses.values())) == 3


@pytest.mark.parametrize(("epochs", "start"), [(2, True), (1, True), (3, False)])
def test_epochs_behind_need_weights_and_leave_epochs(data: TrainingData, epochs: int, start: bool) -> None:
    weights = build(WITH_GRU, 6).state_dict() if start else None
    with pytest.raises(InputError, match=f"epochs: {epochs} given with 2 behind .*more epochs than"):
        train_network(WITH_GRU, data, QUICK, epochs=epochs, seed=0, init=weights, epochs_behind=2)


def test_the_temporal_weight_comes_from_the_architecture_unless_given(data: TrainingData) -> None:
    heavy = replace(WITH_GRU, training=TrainingSpec(5.0))
    plain = _train(data).train_loss
    decided = _train(data, architecture=heavy).train_loss
    assert decided > plain
    assert decided == _train(data, temporal_weight=5.0).train_loss
    assert plain == _train(data, architecture=heavy, temporal_weight=0.0).train_loss


@pytest.mark.parametrize("balance", ["sqrt", "enet", "ohem", "none"])
def test_every_balance_trains(data: TrainingData, balance: str) -> None:
    assert math.isfinite(_train(data, balance=balance).train_loss)


def test_a_loss_that_is_no_number_is_an_error_and_no_accuracy(data: TrainingData) -> None:
    weights = {name: tensor.clone() for name, tensor in _train(data).model.state_dict().items()}
    weights["decoder.classify.bias"].fill_(math.nan)
    with pytest.raises(DivergedError, match=r"the loss is nan in epoch 1 of 1"):
        train_network(WITH_GRU, data, QUICK, epochs=1, seed=0, init=weights)


def test_unknown_and_ill_typed_options_are_refused() -> None:
    with pytest.raises(InputError, match=r"training option 'speed' is unknown; allowed: .*batch_frames"):
        train_options({"speed": 3})
    with pytest.raises(InputError, match=r"field learning_rate: given 'fast'"):
        train_options({"learning_rate": "fast"})
    assert train_options({"learning_rate": 1}).learning_rate == 1.0


def _moving_pool() -> ClipPool:
    """Random pictures that move 3 pixels right and 2 down a frame; labels are the picture's first channel / 64."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (6, 3, 48, 64), dtype=torch.uint8, generator=generator)
    frames = torch.stack([pictures.roll((2 * t, 3 * t), dims=(2, 3)) for t in range(3)], 1)
    flow = torch.zeros(6, 3, 2, 48, 64, dtype=torch.float16)
    flow[:, 1:, 0], flow[:, 1:, 1] = -3.0, -2.0
    visible = torch.ones(6, 3, 48, 64, dtype=torch.bool)
    visible[:, 0] = False
    visible[:, :, :2], visible[..., :3] = False, False
    return ClipPool(frames, frames[:, :, 0] // 64, flow, visible)


@pytest.mark.parametrize("seed", range(6))
def test_augmented_labels_still_move_with_the_flow(seed: int) -> None:
    batch = augmented(
        _moving_pool(),
        torch.arange(6),
        replace(QUICK, min_crop=1.0),
        motion=True,
        generator=torch.Generator().manual_seed(seed),
    )
    assert batch.flow_BT2HW is not None
    assert batch.visible_BTHW is not None
    b, y, x = batch.visible_BTHW[:, 1].nonzero(as_tuple=True)
    flow = batch.flow_BT2HW[:, 1].float()
    before = batch.labels_BTHW[b, 0, (y + flow[b, 1, y, x]).long(), (x + flow[b, 0, y, x]).long()]
    assert len(b) > 1000
    assert torch.equal(before, batch.labels_BTHW[b, 1, y, x])


def test_a_crop_scales_the_flow_and_hides_what_comes_from_outside() -> None:
    generator = torch.Generator().manual_seed(1)
    batch = augmented(_moving_pool(), torch.arange(6), replace(QUICK, min_crop=0.5), motion=True, generator=generator)
    assert batch.flow_BT2HW is not None
    assert batch.visible_BTHW is not None
    assert batch.frames_BTCHW.shape == (6, 3, 3, 48, 64)
    sizes = batch.flow_BT2HW[:, 1, 0].abs().unique()
    assert len(sizes) == 1
    assert sizes.item() > 3.0
    x = torch.arange(64) + batch.flow_BT2HW[:, 1, 0].float()
    outside = (x < -0.5 * sizes.item() / 3) | (x > 63 + 0.5 * sizes.item() / 3)
    assert not (batch.visible_BTHW[:, 1] & outside).any()


def test_frames_are_between_zero_and_one_and_channels_last() -> None:
    (batch,) = batches(_moving_pool(), 1, QUICK, motion=False, generator=torch.Generator().manual_seed(0))
    assert batch.frames_BTCHW.min() >= 0.0
    assert batch.frames_BTCHW.max() <= 1.0
    assert batch.frames_BTCHW.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    assert batch.flow_BT2HW is None


def test_every_clip_is_seen_before_any_is_seen_again() -> None:
    pool = _moving_pool()
    plain = replace(QUICK, min_crop=1.0, jitter=0.0, batch_frames=6)
    seen = [
        tuple(b.labels_BTHW[i].sort(-1).values.flatten().tolist())
        for b in batches(pool, 3, plain, motion=False, generator=torch.Generator().manual_seed(0))
        for i in range(2)
    ]
    assert len(set(seen)) == 6


def test_prediction_streams_in_chunks_and_resets(data: TrainingData) -> None:
    model = _train(data, epochs=2).model
    dataset = open_dataset("moving_shapes", (48, 64))
    video = dataset.videos("val")[0]
    labels = predictor(model)(video)
    state = model.initial_state(1, 48, 64)
    for t, frame in enumerate(video.frames_TCHW):
        with torch.no_grad():
            logits, state = model.step(frame[None].float() / 255, state)
        # Rows of a batch may be summed in another order: a handful of undecided pixels may differ.
        assert (logits.argmax(1)[0] != labels[t]).float().mean() < 1e-3
    assert torch.equal(labels, predictor(model)(video))
    report = evaluate_model(model, dataset, "val")
    assert 0.0 < report.metrics["miou"] < 1.0
    assert IGNORE not in labels


def test_large_frames_run_in_shorter_chunks(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the class scores of a chunk; the state goes on all the same."""
    model = _train(data).model
    video = open_dataset("moving_shapes", (48, 64)).videos("val")[0]
    sizes: list[int] = []
    roll = model.roll

    def watched(clip_BTCHW: torch.Tensor, state: tuple[torch.Tensor, ...], phase: int) -> tuple[torch.Tensor, object]:
        sizes.append(clip_BTCHW.shape[1])
        return roll(clip_BTCHW, state, phase)

    monkeypatch.setattr(model, "roll", watched)
    whole = predictor(model)(video)
    for limit, expected in ((5 * 6 * 48 * 64, [5, 5, 2]), (1, [1] * 12)):
        sizes.clear()
        monkeypatch.setattr(segmentation, "CHUNK_LOGITS", limit)
        assert (predictor(model)(video) != whole).float().mean() < 1e-3
        assert sizes == expected
