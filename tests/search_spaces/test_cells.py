"""The contract of temporal cells, over every cell, placement and fusion, alone and in a network."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import (
    DecoderSpec,
    TemporalSite,
)
from search_spaces.cell_costs import forms_of
from search_spaces.cells.base import TemporalCell
from search_spaces.cells.registry import CELLS, build_cell
from search_spaces.cells.specs import CellSpec, ConvGRUSpec, ExponentialAverageSpec
from search_spaces.network import build
from search_spaces.site import Site
from search_spaces.temporal_questions import FUSIONS, SHARES
from tests.search_spaces.small_networks import TOLERANCE, built, clip_of, largest_difference, network


def _said(given: CellSpec | TemporalSite) -> str:
    cell = given.cell if isinstance(given, TemporalSite) else given
    values = [str(value) for name, value in asdict(cell).items() if name != "kind"]
    where = [given.placement, given.fusion, given.share] if isinstance(given, TemporalSite) else []
    return "-".join([cell.kind, *values, *where])


def _cell(spec: CellSpec, channels: int, seed: int = 0) -> TemporalCell:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_cell(spec, channels)


VARIANTS = [
    TemporalSite(place, spec)
    for kind in sorted(CELLS)
    for place in ("bottleneck", "logits")
    for spec in forms_of(kind, place)
]
SITES = [
    *(TemporalSite("decoder", CELLS[kind].spec()) for kind in sorted(CELLS)),
    *(TemporalSite(place, ConvGRUSpec(), "add", "1/2") for place in network().video.placements),
    *(TemporalSite("decoder", ConvGRUSpec(), fusion, share) for fusion in FUSIONS for share in SHARES),
    TemporalSite("decoder", ConvGRUSpec(gate="hard_sigmoid")),
]


@pytest.mark.parametrize("site", [*SITES, *VARIANTS], ids=_said)
def test_a_clip_equals_its_frames_one_by_one_at_odd_sizes(site: TemporalSite) -> None:
    model = built(network(temporal=(site,)))
    assert largest_difference(model, clip_of(4, 37, 51)) < TOLERANCE


CELL_SPECS = [spec for kind in sorted(CELLS) for spec in forms_of(kind)]


@pytest.mark.parametrize("spec", CELL_SPECS, ids=_said)
class TestEveryCell:
    def test_keeps_shape_and_every_parameter_learns(self, spec: CellSpec) -> None:
        cell = _cell(spec, 8).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Some forms have no parameters; the feature learns through all of them.
        feature = torch.randn(2, 3, 8, 5, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
        out, state = cell.scan(feature, cell.initial_state(2, 5, 7))
        assert out.shape == feature.shape
        assert len(state) == cell.num_states
        out.square().sum().backward()
        assert feature.grad is not None
        assert torch.isfinite(feature.grad).all()
        for name, parameter in cell.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name

    @torch.no_grad()
    @pytest.mark.parametrize("channels", [1, 3])
    def test_goes_on_from_any_state_on_any_number_of_channels(self, spec: CellSpec, channels: int) -> None:
        """Clips of one frame, of fewer frames than a cell remembers and of more, one after the other."""
        cell = _cell(spec, channels).eval()
        clip = torch.randn(2, 8, channels, 5, 7, generator=torch.Generator().manual_seed(0))
        stepped = scanned = cell.initial_state(2, 5, 7)
        for part in clip.split([1, 2, 4, 1], 1):  # type: ignore[no-untyped-call]
            out, scanned = cell.scan(part, scanned)
            for t in range(part.shape[1]):
                expected, stepped = cell.step(part[:, t], stepped)
                assert (out[:, t] - expected).abs().max() < TOLERANCE
            for one, other in zip(scanned, stepped, strict=True):
                assert one.shape == other.shape
                assert (one - other).abs().max() < TOLERANCE

    def test_remembers(self, spec: CellSpec) -> None:
        """What was seen before changes the answer: a cell that drops its state fails here."""
        cell = _cell(spec, 8).eval()
        past, now = torch.randn(2, 1, 8, 5, 7, generator=torch.Generator().manual_seed(0)).unbind(0)
        with torch.no_grad():
            _, state = cell.step(past, cell.initial_state(1, 5, 7))
            after_past, _ = cell.step(now, state)
            fresh, _ = cell.step(now, cell.initial_state(1, 5, 7))
        assert (after_past - fresh).abs().max() > 1e-3


def test_the_average_starts_at_the_first_frame_and_halves_from_there() -> None:
    cell = build_cell(ExponentialAverageSpec(), 1)
    one, three = torch.full((1, 1, 1, 1), 1.0), torch.full((1, 1, 1, 1), 3.0)
    first, state = cell.step(one, cell.initial_state(1, 1, 1))
    second, _ = cell.step(three, state)
    assert first.item() == 1.0
    assert second.item() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("gate", "sigmoid"), [("sigmoid", torch.sigmoid), ("hard_sigmoid", lambda x: (x / 6 + 0.5).clamp(0, 1))]
)
def test_a_gru_matches_its_equations(
    gate: Literal["sigmoid", "hard_sigmoid"], sigmoid: Callable[[Tensor], Tensor]
) -> None:
    cell = build_cell(ConvGRUSpec(1, gate=gate), 1)
    x, h = torch.tensor(0.7), torch.tensor(-0.2)
    gates, candidate = cell.gates, cell.candidate
    assert isinstance(gates, nn.Conv2d)
    assert isinstance(candidate, nn.Conv2d)
    pre = gates.weight[:, :, 0, 0] @ torch.stack([x, h]) + gates.bias
    reset, update = sigmoid(pre)
    new = torch.tanh(candidate.weight[0, :, 0, 0] @ torch.stack([x, reset * h]) + candidate.bias[0])
    expected = (1 - update) * new + update * h
    out, _ = cell.step(x.view(1, 1, 1, 1), (h.view(1, 1, 1, 1),))
    assert out.item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("share", ["1/2", "1/4"])
def test_channels_beyond_the_state_pass_by(share: str) -> None:
    site = Site(TemporalSite("decoder", ConvGRUSpec(), share=share), 8)  # type: ignore[arg-type]
    feature = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    state = site.initial_state(1, 4, 4)
    out, _ = site.step(feature, state)
    kept = state[0].shape[1]
    assert kept == {"1/2": 4, "1/4": 2}[share]
    assert torch.equal(out[:, kept:], feature[:, kept:])
    assert not torch.equal(out[:, :kept], feature[:, :kept])


@pytest.mark.parametrize("spec", CELL_SPECS, ids=_said)
def test_every_cell_learns_under_mixed_precision(spec: CellSpec) -> None:
    """As on CUDA: features in bfloat16 meet a state that begins in float32."""
    model = build(network(temporal=(TemporalSite("decoder", spec),)), 5).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(clip_of(3, 37, 51))
        loss = logits.float().square().mean()
    assert logits.shape == (2, 3, 5, 37, 51)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("site", SITES, ids=_said)
@pytest.mark.parametrize("scale", ["1", "3/4", "1/2"])
@pytest.mark.parametrize("size_hw", [(32, 32), (33, 95)])
def test_the_state_promised_is_the_state_returned(
    site: TemporalSite, scale: Literal["1", "3/4", "1/2"], size_hw: tuple[int, int]
) -> None:
    """Features are ceil(size / stride) of the scaled frame, down to the smallest frame; nothing is computed here."""
    for decoder in (DecoderSpec("bilinear", 16), DecoderSpec("skip_add", 16)):
        if site.placement.startswith("skip") and decoder.kind == "bilinear":
            continue
        with torch.device("meta"):
            model = build(network(temporal=(site,), input_scale=scale, decoder=decoder), 5).eval()
            state = model.initial_state(1, *size_hw)
            logits, following = model.step(torch.empty(1, 3, *size_hw), state)
        assert logits.shape == (1, 5, *size_hw)
        assert [tensor.shape for tensor in following] == [tensor.shape for tensor in state]
