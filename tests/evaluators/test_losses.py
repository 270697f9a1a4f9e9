"""Losses: hand-computed cases."""

import math

import pytest
import torch

from evaluators.datasets.base import IGNORE
from evaluators.losses import class_weights, cross_entropy, temporal_consistency


def test_class_weights_follow_the_shares_and_skip_the_ignore_label() -> None:
    labels = torch.tensor([[0, 0, 0, 1], [IGNORE, IGNORE, IGNORE, IGNORE]], dtype=torch.uint8)
    expected = [1 / math.log(1.02 + 0.75), 1 / math.log(1.02 + 0.25), 1 / math.log(1.02)]
    assert class_weights(labels, 3, "enet").tolist() == pytest.approx(expected)
    assert class_weights(labels, 3, "sqrt").tolist() == pytest.approx([0.75**-0.5, 0.25**-0.5, 0.001**-0.5])


def test_cross_entropy_ignores_unlabelled_pixels() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]]).T.reshape(1, 2, 1, 2).contiguous()
    labels = torch.tensor([[[0, IGNORE]]], dtype=torch.uint8)
    assert cross_entropy(logits, labels, None, False).item() == pytest.approx(math.log(1 + math.exp(-2.0)))


@pytest.mark.parametrize("ohem", [False, True])
def test_a_batch_without_any_label_costs_nothing_and_moves_nothing(ohem: bool) -> None:
    logits = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = cross_entropy(logits, torch.full((1, 4, 4), IGNORE, dtype=torch.uint8), None, ohem)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_ohem_keeps_the_hardest() -> None:
    logits = torch.zeros(1, 2, 1, 32)
    logits[0, 0, 0, :31] = 10.0  # easy and right; the last pixel is undecided
    labels = torch.zeros(1, 1, 32, dtype=torch.uint8)
    easy, hard = math.log(1 + math.exp(-10.0)), math.log(2.0)
    assert cross_entropy(logits, labels, None, True).item() == pytest.approx((hard + easy) / 2)


def _moving_logits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A picture of random scores that moves two pixels to the right every frame, and its motion."""
    picture = torch.randn(3, 16, 24, generator=torch.Generator().manual_seed(0)) * 4
    clip = torch.stack([picture.roll(2 * t, dims=2) for t in range(3)])[None]
    flow = torch.zeros(1, 3, 2, 16, 24)
    flow[:, 1:, 0] = -2.0
    visible = torch.ones(1, 3, 16, 24, dtype=torch.bool)
    visible[..., :2] = False
    return clip, flow, visible


@pytest.mark.parametrize("offset", [(0, 0), (1, 3), (3, 2)])
def test_moving_with_the_motion_costs_nothing_and_against_it_something(offset: tuple[int, int]) -> None:
    clip, flow, visible = _moving_logits()
    with_motion = temporal_consistency(clip, flow, visible, offset).item()
    assert with_motion == pytest.approx(0.0, abs=1e-6)
    assert temporal_consistency(clip, -flow, visible, offset).item() > 0.05


def test_hidden_pixels_do_not_count() -> None:
    clip, flow, visible = _moving_logits()
    assert temporal_consistency(clip, -flow, torch.zeros_like(visible), (0, 0)).item() == 0.0


def test_one_changed_pixel_costs_its_squared_change() -> None:
    clip = torch.zeros(1, 2, 2, 4, 4)
    clip[0, 1, 0, 0, 0] = math.log(3.0)  # probabilities there: 3/4 and 1/4 instead of 1/2 and 1/2
    flow = torch.zeros(1, 2, 2, 4, 4)
    visible = torch.ones(1, 2, 4, 4, dtype=torch.bool)
    assert temporal_consistency(clip, flow, visible, (0, 0)).item() == pytest.approx(0.25**2)
