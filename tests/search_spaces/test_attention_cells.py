"""Cells that look for what to remember, against plain loops over pixels, and what the trace counts of them."""

import math

import pytest
import torch
from torch import Tensor

from search_spaces.architecture import Architecture, DecoderSpec, NetworkSpec, StageSpec, StemSpec, TemporalSite
from search_spaces.cells.adaptive_kernels import AdaptiveKernels
from search_spaces.cells.attention_propagation import AttentionPropagation
from search_spaces.cells.attention_specs import (
    AdaptiveKernelsSpec,
    AttentionPropagationSpec,
    LocalCorrelationSpec,
    MemoryAttentionSpec,
    TemporalAttentionSpec,
)
from search_spaces.cells.base import TemporalCell
from search_spaces.cells.local_correlation import LocalCorrelation
from search_spaces.cells.memory_attention import MemoryAttention
from search_spaces.cells.registry import build_cell
from search_spaces.cells.specs import CellSpec
from search_spaces.cells.temporal_attention import TemporalAttention
from search_spaces.trace import num_macs

H, W = 5, 7

SPECS: tuple[CellSpec, ...] = (
    AdaptiveKernelsSpec(),
    LocalCorrelationSpec(3),
    LocalCorrelationSpec(5),
    AttentionPropagationSpec(2, 4, 16),
    AttentionPropagationSpec(3, 3, 32),
    MemoryAttentionSpec(),
    TemporalAttentionSpec(2),
    TemporalAttentionSpec(3),
)


def _frames(count: int, channels: int, height: int = H, width: int = W) -> list[Tensor]:
    return list(torch.randn(count, 1, channels, height, width, generator=torch.Generator().manual_seed(2)).unbind(0))


def _built(spec: CellSpec, channels: int) -> TemporalCell:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_cell(spec, channels).eval()


def _at(map_1CHW: Tensor, y: int, x: int) -> Tensor:
    """The column of a pixel; outside the picture that of its edge."""
    return map_1CHW[0, :, min(max(y, 0), map_1CHW.shape[2] - 1), min(max(x, 0), map_1CHW.shape[3] - 1)]


def _window(map_1CHW: Tensor, y: int, x: int, kernel: int) -> list[Tensor]:
    reach = range(-(kernel // 2), kernel // 2 + 1)
    return [_at(map_1CHW, y + dy, x + dx) for dy in reach for dx in reach]


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("size_hw", [(1, 1), (2, 3), (5, 7)])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_first_frame_passes_as_it_is(spec: CellSpec, size_hw: tuple[int, int], channels: int) -> None:
    """With nothing remembered nothing is attended to: exactly the input, no NaN, down to a single pixel."""
    cell = _built(spec, channels)
    first, second = _frames(2, channels, *size_hw)
    with torch.no_grad():
        out, state = cell.step(first, cell.initial_state(1, *size_hw))
        again, _ = cell.step(second, state)
    assert torch.equal(out, first)
    assert torch.isfinite(again).all()
    assert not torch.equal(again, second)


@torch.no_grad()
def test_a_kernel_of_the_centre_alone_returns_the_previous_output() -> None:
    cell = _built(AdaptiveKernelsSpec(), 4)
    assert isinstance(cell, AdaptiveKernels)
    cell.keep_logit.fill_(100.0)
    cell.weights.weight.zero_()
    assert cell.weights.bias is not None
    cell.weights.bias.fill_(-100.0)
    cell.weights.bias[4] = 100.0
    first, second = _frames(2, 4)
    before, state = cell.step(first, cell.initial_state(1, H, W))
    out, _ = cell.step(second, state)
    assert torch.allclose(out, before, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("place", range(9))
def test_a_kernel_of_one_neighbour_moves_the_previous_output(place: int) -> None:
    cell = _built(AdaptiveKernelsSpec(), 4)
    assert isinstance(cell, AdaptiveKernels)
    cell.keep_logit.fill_(100.0)
    cell.weights.weight.zero_()
    assert cell.weights.bias is not None
    cell.weights.bias.fill_(-100.0)
    cell.weights.bias[place] = 100.0
    first, second = _frames(2, 4)
    before, state = cell.step(first, cell.initial_state(1, H, W))
    out, _ = cell.step(second, state)
    for y in range(H):
        for x in range(W):
            assert torch.allclose(out[0, :, y, x], _at(before, y + place // 3 - 1, x + place % 3 - 1), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("kernel", [3, 5])
def test_local_correlation_is_its_formula_pixel_by_pixel(kernel: int) -> None:
    cell = _built(LocalCorrelationSpec(kernel), 6)  # type: ignore[arg-type]
    assert isinstance(cell, LocalCorrelation)
    cell.bias.normal_(generator=torch.Generator().manual_seed(1))
    cell.keep_logit.normal_(generator=torch.Generator().manual_seed(3))
    first, second = _frames(2, 6)
    before, state = cell.step(first, cell.initial_state(1, H, W))
    out, _ = cell.step(second, state)
    query, key, keep = cell.query(second), cell.key(first), torch.sigmoid(cell.keep_logit[0, :, 0, 0])
    for y in range(H):
        for x in range(W):
            scores = torch.stack([query[0, :, y, x] @ k / math.sqrt(8) for k in _window(key, y, x, kernel)])
            weights = torch.softmax(scores + cell.bias[0, :, 0, 0], 0)
            found = sum(w * v for w, v in zip(weights, _window(before, y, x, kernel), strict=True))
            expected = second[0, :, y, x] + keep * (found - second[0, :, y, x])
            assert torch.allclose(out[0, :, y, x], expected, atol=1e-5)


def _pooled(map_1CHW: Tensor, pool: int) -> Tensor:
    """Columns of the maxima of pool x pool tiles, the last ones cut by the edge: C x tiles."""
    _, _, height, width = map_1CHW.shape
    tiles = [map_1CHW[0, :, y : y + pool, x : x + pool] for y in range(0, height, pool) for x in range(0, width, pool)]
    return torch.stack([tile.amax((1, 2)) for tile in tiles], 1)


def _attended(query_1DHW: Tensor, keys_DM: Tensor, values_CM: Tensor) -> Tensor:
    out = torch.zeros(1, values_CM.shape[0], *query_1DHW.shape[2:])
    for y in range(out.shape[2]):
        for x in range(out.shape[3]):
            weights = torch.softmax(query_1DHW[0, :, y, x] @ keys_DM / math.sqrt(query_1DHW.shape[1]), 0)
            out[0, :, y, x] = values_CM @ weights
    return out


@torch.no_grad()
@pytest.mark.parametrize(("frames", "pool"), [(2, 4), (3, 3)])
def test_attention_propagation_is_its_formula_over_what_is_remembered(frames: int, pool: int) -> None:
    """With 1, 2, ... frames in the queue, and after the first has left it."""
    cell = _built(AttentionPropagationSpec(frames, pool, 16), 6)  # type: ignore[arg-type]
    assert isinstance(cell, AttentionPropagation)
    clip = _frames(frames + 2, 6)
    state = cell.initial_state(1, H, W)
    for t, frame in enumerate(clip):
        out, state = cell.step(frame, state)
        past = clip[max(0, t - frames) : t]
        if past:
            keys = torch.cat([_pooled(cell.key(one), pool) for one in past], 1)
            values = torch.cat([_pooled(cell.value(one), pool) for one in past], 1)
            assert torch.allclose(out, frame + _attended(cell.query(frame), keys, values), atol=1e-5)


@torch.no_grad()
def test_memory_attention_is_its_formula_over_every_pixel() -> None:
    cell = _built(MemoryAttentionSpec(), 6)
    assert isinstance(cell, MemoryAttention)
    clip = _frames(4, 6)
    state = cell.initial_state(1, H, W)
    for t, frame in enumerate(clip):
        out, state = cell.step(frame, state)
        past = clip[max(0, t - 2) : t]
        if past:
            keys = torch.cat([_pooled(cell.key(one), 1) for one in past], 1)
            values = torch.cat([_pooled(cell.value(one), 1) for one in past], 1)
            assert torch.allclose(out, frame + cell.project(_attended(cell.query(frame), keys, values)), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("frames", [2, 3])
def test_temporal_attention_is_its_formula_at_every_pixel(frames: int) -> None:
    cell = _built(TemporalAttentionSpec(frames), 6)  # type: ignore[arg-type]
    assert isinstance(cell, TemporalAttention)
    clip = _frames(frames + 2, 6)
    state = cell.initial_state(1, H, W)
    for t, frame in enumerate(clip):
        out, state = cell.step(frame, state)
        past = clip[max(0, t - frames) : t]
        if past:
            scores = torch.stack([(cell.query(frame) * cell.key(one)).sum(1) / 4.0 for one in past])
            found = (torch.softmax(scores, 0)[:, :, None] * torch.stack(past)).sum(0)
            assert torch.allclose(out, frame + cell.project(found), atol=1e-5)


N = 10 * 12
"""Pixels of the feature at stride 4 of a frame of 40x48."""


@pytest.mark.parametrize(
    ("spec", "macs_of_16_channels"),
    [
        (AdaptiveKernelsSpec(), N * (16 * 8 + 9 * 16 * 16 + 9 * 16 * 9 + 9 * 16)),
        (LocalCorrelationSpec(5), N * (2 * 16 * 8 + 25 * 8 + 25 * 16)),
        (AttentionPropagationSpec(3, 4, 32), N * (2 * 16 * 32 + 16 * 16 + 3 * 9 * (32 + 16))),
        (MemoryAttentionSpec(), N * (2 * 16 * 16 + 2 * 16 * 8 + 2 * N * (16 + 8))),
        (TemporalAttentionSpec(3), N * (2 * 16 * 16 + 16 * 16 + 3 * (16 + 16))),
    ],
    ids=lambda given: given.kind if not isinstance(given, int) else "",
)
def test_macs_are_those_of_a_hand_count(spec: CellSpec, macs_of_16_channels: int) -> None:
    """Convolutions, scores (key channels a pair) and weighted sums (value channels a pair); gates are none."""
    plain = NetworkSpec(StemSpec(4), (StageSpec("plain", 1, 16, 2),), DecoderSpec("bilinear", 4))
    with_cell = NetworkSpec(plain.stem, plain.stages, plain.decoder, temporal=(TemporalSite("bottleneck", spec),))
    without, total = (num_macs(Architecture(network), (40, 48), 3) for network in (plain, with_cell))
    assert total - without == macs_of_16_channels


def test_the_scores_of_an_attention_count_as_a_feature() -> None:
    """Else the square of the pixels would pass the door that refuses what exhausts memory."""
    from search_spaces.errors import InputError
    from search_spaces.trace import require_affordable

    network = NetworkSpec(
        StemSpec(4),
        (StageSpec("plain", 1, 8, 2),),
        DecoderSpec("bilinear", 4),
        temporal=(TemporalSite("bottleneck", MemoryAttentionSpec()),),
    )
    require_affordable(Architecture(network), (256, 256), 3)
    pixels = 128 * 160
    with pytest.raises(InputError, match=rf"a feature of {pixels * 2 * pixels} values given"):
        require_affordable(Architecture(network), (512, 640), 3)
