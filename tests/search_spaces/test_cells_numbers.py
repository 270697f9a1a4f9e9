"""Cells against their equations, written anew: closed forms, counts by hand."""

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from search_spaces.cell_costs import cell_cost, forms_of
from search_spaces.cells.diagonal_state_space import DiagonalStateSpace
from search_spaces.cells.feedback import Feedback
from search_spaces.cells.flow_gated_warp import FlowGatedWarp
from search_spaces.cells.registry import CELLS, build_cell
from search_spaces.cells.specs import (
    CellSpec,
    ConvGRUSpec,
    ConvLSTMSpec,
    DiagonalStateSpaceSpec,
    FeedbackSpec,
    FlowGatedWarpSpec,
    MinGRUSpec,
    StackedConvGRUSpec,
    StreamedConvSpec,
)
from search_spaces.cells.stacked_conv_gru import StackedConvGRU
from search_spaces.network_spec import TemporalSite

CHANNELS, FRAMES_HW = 6, (7, 9)
PIXELS = 45 * 60


def _clip(num_frames: int = 5, channels: int = CHANNELS) -> Tensor:
    return torch.randn(2, num_frames, channels, *FRAMES_HW, generator=torch.Generator().manual_seed(1))


class TestEquations:
    def test_conv_lstm(self) -> None:
        cell = build_cell(ConvLSTMSpec(1), 1)
        x, h, c = torch.tensor(0.7), torch.tensor(-0.2), torch.tensor(0.4)
        conv = cell.gates
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        assert conv.bias.tolist() == [0.0, 1.0, 0.0, 0.0]
        admit, keep, show, new = conv.weight[:, :, 0, 0] @ torch.stack([x, h]) + conv.bias
        memory = keep.sigmoid() * c + admit.sigmoid() * new.tanh()
        out, state = cell.step(x.view(1, 1, 1, 1), (h.view(1, 1, 1, 1), c.view(1, 1, 1, 1)))
        assert state[1].item() == pytest.approx(memory.item(), abs=1e-6)
        assert out.item() == pytest.approx((show.sigmoid() * memory.tanh()).item(), abs=1e-6)

    @torch.no_grad()
    def test_stacked_gru_is_one_on_the_other(self) -> None:
        cell = build_cell(StackedConvGRUSpec(), 3)
        assert isinstance(cell, StackedConvGRU)
        clip = _clip(channels=3)
        out, _ = cell.scan(clip, cell.initial_state(2, *FRAMES_HW))
        lower, _ = cell.lower.scan(clip, cell.lower.initial_state(2, *FRAMES_HW))
        upper, _ = cell.upper.scan(lower, cell.upper.initial_state(2, *FRAMES_HW))
        assert torch.equal(out, upper)

    @torch.no_grad()
    @pytest.mark.parametrize("states", [1, 2])
    def test_state_space_is_a_convolution_in_time(self, states: Literal[1, 2]) -> None:
        """y_t = d x_t + sum over s and k of c_s a_s^k b_s x_{t-k}, as long as the clip."""
        cell = build_cell(DiagonalStateSpaceSpec(states), CHANNELS).eval()
        assert isinstance(cell, DiagonalStateSpace)
        for parameter in (cell.log_decay_SC11, cell.out_SC11, cell.through_C11):
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
        clip = _clip()
        out, _ = cell.scan(clip, cell.initial_state(2, *FRAMES_HW))
        a = torch.exp(-torch.exp(cell.log_decay_SC11.double()))
        read = cell.through_C11 * clip.double()
        for t in range(clip.shape[1]):
            for k in range(t + 1):
                read[:, t] += (cell.out_SC11 * a**k * (1 - a**2).sqrt()).sum(0) * clip[:, t - k]
        expected = clip + cell.mix(read.float().flatten(0, 1)).view_as(clip)
        assert (out - expected).abs().max() < 1e-4

    @pytest.mark.parametrize("log_decay", [-12.0, 3.0])
    def test_state_space_stays_stable_whatever_is_learned(self, log_decay: float) -> None:
        cell = build_cell(DiagonalStateSpaceSpec(), 2)
        assert isinstance(cell, DiagonalStateSpace)
        nn.init.constant_(cell.log_decay_SC11, log_decay)
        out, (hidden,) = cell.scan(torch.ones(1, 400, 2, 1, 1), cell.initial_state(1, 1, 1))
        assert hidden.abs().max() < 400 * 0.01
        out.square().sum().backward()
        assert cell.log_decay_SC11.grad is not None
        assert torch.isfinite(cell.log_decay_SC11.grad).all()


def _moving(spec: FlowGatedWarpSpec, pixels: float) -> FlowGatedWarp:
    """A cell that believes everything moves by this many pixels in x."""
    cell = build_cell(spec, CHANNELS)
    assert isinstance(cell, FlowGatedWarp)
    last = cell.motion[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.copy_(torch.atanh(torch.tensor([pixels / 4.0, 0.0])) * 4.0)
    return cell.eval()


def _two_to_the_left(picture: Tensor) -> Tensor:
    return torch.cat([picture[..., 2:], picture[..., -1:], picture[..., -1:]], -1)


class TestFlowGatedWarp:
    @torch.no_grad()
    def test_channel_weighs_the_warped_feature_of_the_frame_before(self) -> None:
        cell = _moving(FlowGatedWarpSpec("channel"), 2.0)
        cell.weight_before.uniform_(0.1, 0.4, generator=torch.Generator().manual_seed(3))
        clip = _clip()
        out, _ = cell.scan(clip, cell.initial_state(2, *FRAMES_HW))
        expected = cell.weight_now * clip[:, 1:] + cell.weight_before * _two_to_the_left(clip)[:, :-1]
        assert (out[:, 1:] - expected).abs().max() < 1e-4
        assert (out[:, 0] - (cell.weight_now + cell.weight_before) * clip[:, 0]).abs().max() < 1e-5

    @torch.no_grad()
    def test_photometric_trusts_what_looks_alike(self) -> None:
        """The same frame again is averaged with the old output; one that looks different stands for itself."""
        cell = _moving(FlowGatedWarpSpec("photometric"), 0.0)
        nn.init.constant_(cell.doubt.weight, 50.0)
        first, other = _clip(2).unbind(1)
        _, (_, match, started) = cell.step(first, cell.initial_state(2, *FRAMES_HW))
        old = torch.randn(first.shape, generator=torch.Generator().manual_seed(4))
        same, _ = cell.step(first, (old, match, started))
        assert (same - (first + old) / 2).abs().max() < 1e-2
        different, _ = cell.step(other, (old, match, started))
        assert (different - other).abs().mean() < 0.02

    @torch.no_grad()
    def test_photometric_matches_its_equations(self) -> None:
        cell = _moving(FlowGatedWarpSpec("photometric"), 2.0)
        first, second = _clip(2).unbind(1)
        out, state = cell.step(first, cell.initial_state(2, *FRAMES_HW))
        assert torch.equal(out, first)
        trust = 1 - cell.doubt(cell.match(second) - _two_to_the_left(cell.match(first))).abs().tanh()
        out, _ = cell.step(second, state)
        assert (out - (second + 0.5 * trust * (_two_to_the_left(first) - second))).abs().max() < 1e-4


class TestFeedback:
    @torch.no_grad()
    def test_carries_a_prediction_at_the_scores(self) -> None:
        cell = build_cell(FeedbackSpec("softmax"), CHANNELS)
        assert isinstance(cell, Feedback)
        out, (carried,) = cell.step(_clip()[:, 0], cell.initial_state(2, *FRAMES_HW))
        assert torch.allclose(carried, out.exp() / out.exp().sum(1, keepdim=True), atol=1e-6)

    def test_is_asked_as_it_stands(self) -> None:
        assert list(forms_of("feedback", "logits")) == [FeedbackSpec("softmax")]
        assert list(forms_of("feedback", "decoder")) == [FeedbackSpec("tanh")]

    def test_any_other_spelling_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"cell.carries 'tanh' given; feedback at 'logits' carries 'softmax'"):
            TemporalSite("logits", FeedbackSpec("tanh"))
        with pytest.raises(ValueError, match=r"cell.carries 'softmax' given; feedback at 'skip4' carries 'tanh'"):
            TemporalSite("skip4", FeedbackSpec("softmax"))


C, M, K = 64, 32, 3
COUNTED: list[tuple[CellSpec, int, int]] = [
    (ConvGRUSpec(), 6 * K**2 * C**2, C),
    (ConvGRUSpec(1), 6 * C**2, C),
    (MinGRUSpec(), 2 * C**2, C),
    (FeedbackSpec(), 2 * C**2, C),
    (StackedConvGRUSpec(), 12 * K**2 * C**2, 2 * C),
    (ConvLSTMSpec(), 8 * K**2 * C**2, 2 * C),
    (ConvLSTMSpec(3, "depthwise_separable"), 2 * K**2 * C + 8 * C**2, 2 * C),
    (DiagonalStateSpaceSpec(2), C**2, 2 * C),
    *((StreamedConvSpec("full", t), t * K**2 * C**2, (t - 1) * C) for t in (2, 3)),
    *((StreamedConvSpec("r2plus1d", t), (K**2 + t) * C**2, (t - 1) * C) for t in (2, 3)),
    *((StreamedConvSpec("channel_separated", t), t * K**2 * C + C**2, (t - 1) * C) for t in (2, 3)),
    *(
        (StreamedConvSpec("perpendicular", t), t * C * M + K * (C + M) * M + K * (C + 2 * M) * C, (t - 1) * M)
        for t in (2, 3)
    ),
    (StreamedConvSpec("orthogonal", 3), 3 * (K**2 * C * M + K * M**2) + 3 * M * C, 2 * (C + M)),
    (FlowGatedWarpSpec(), 8 * C + K**2 * 16 * (16 + 2), C + 8),
    (FlowGatedWarpSpec("photometric"), 8 * C + K**2 * (16 * (16 + 2) + 8), C + 8),
]
"""(cell, multiply-accumulates a pixel, values a pixel of state), by the formulas of the papers; 64 channels."""


@pytest.mark.parametrize(("spec", "macs", "values"), COUNTED, ids=lambda value: getattr(value, "kind", None))
def test_costs_are_those_of_the_formulas(spec: CellSpec, macs: int, values: int) -> None:
    cost = cell_cost(spec)
    assert cost.macs == macs * PIXELS
    flag_bytes = 4 if isinstance(spec, FlowGatedWarpSpec) else 0
    assert cost.state_bytes == 4 * values * PIXELS + flag_bytes
    assert cost.parameters == sum(parameter.numel() for parameter in build_cell(spec, C).parameters())
    assert cost.states == len(build_cell(spec, C).initial_state(1, 2, 2))


def test_every_answer_leads_to_a_cell_of_its_own() -> None:
    for kind in CELLS:
        found = list(forms_of(kind))
        assert len(set(found)) == len(found) > 0
        assert all(spec.kind == kind for spec in found)
    # One question at a time is answered otherwise: five forms and two lengths, two kernels, factorizations and gates.
    assert len(list(forms_of("streamed_conv"))) == 6
    assert len(list(forms_of("conv_gru"))) == 4
    assert 5 < len(list(forms_of("dynamic_cell"))) < 50
