"""Streamed spatio-temporal convolutions against torch's own 3D convolution, padded with zeros before the clip."""

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.cell_costs import cell_cost
from search_spaces.cells.specs import StreamedConvSpec
from search_spaces.cells.streamed_conv import FORMS, SPATIO_TEMPORAL, StreamedConv

CHANNELS, FRAMES_HW = 6, (7, 9)


def _trained(spec: StreamedConvSpec) -> StreamedConv:
    """With batch norms as after training: neither their scale nor their shift is nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cell = StreamedConv(CHANNELS, spec).eval()
        for module in cell.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 1.5)
                nn.init.normal_(module.weight, 1.0, 0.2)
                nn.init.normal_(module.bias, 0.0, 0.2)
    return cell


def _unit(unit: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    assert isinstance(unit, nn.Sequential)
    conv, norm = unit[0], unit[1]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return conv, norm


def _normalized(clip_BCTHW: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return F.batch_norm(clip_BCTHW, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def _conv3d(clip_BCTHW: Tensor, unit: nn.Module, frames: int) -> Tensor:
    """torch's own 3D convolution and batch norm with a unit's weights, padded with zeros before the first frame."""
    conv, norm = _unit(unit)
    weight = conv.weight.unflatten(1, (frames, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
    made = nn.Conv3d(weight.shape[1], weight.shape[0], weight.shape[2:], bias=False)
    made.weight = nn.Parameter(weight)
    tall, wide = (side // 2 for side in weight.shape[3:])
    return _normalized(made(F.pad(clip_BCTHW, (wide, wide, tall, tall, frames - 1, 0))), norm)


def _full(form: nn.Module, x: Tensor, frames: int) -> Tensor:
    return _conv3d(x, form.conv, frames)  # type: ignore[arg-type]


def _r2plus1d(form: nn.Module, x: Tensor, frames: int) -> Tensor:
    return _conv3d(_conv3d(x, form.space, 1).relu(), form.time, frames)  # type: ignore[arg-type]


def _orthogonal(form: nn.Module, x: Tensor, frames: int) -> Tensor:
    def pair(first: str, one: int, second: str, two: int) -> Tensor:
        inner = _conv3d(x, form.get_submodule(first), one).relu()
        return _conv3d(inner, form.get_submodule(second), two).relu()

    branches = (
        pair("time_column", frames, "row", 1),
        pair("time_row", frames, "column", 1),
        pair("plane", 1, "time", frames),
    )
    return _conv3d(torch.cat(branches, 1), form.mix, 1)  # type: ignore[arg-type]


def _taps(products: list[Tensor]) -> Tensor:
    """Block k, k frames later; nothing, not even a shift, comes from before the first frame."""
    length = products[0].shape[2]
    return sum(F.pad(block, (0, 0, 0, 0, k, 0))[:, :, :length] for k, block in enumerate(products))  # type: ignore[return-value]


def _channel_separated(form: nn.Module, x: Tensor, frames: int) -> Tensor:
    products = []
    for tap in form.taps:  # type: ignore[union-attr]
        conv, norm = _unit(tap)
        depthwise = F.conv3d(x, conv.weight.unsqueeze(2), padding=(0, 1, 1), groups=x.shape[1])
        products.append(_normalized(depthwise, norm))
    assert len(products) == frames
    return _conv3d(_taps(products).relu(), form.mix, 1)  # type: ignore[arg-type]


def _perpendicular(form: nn.Module, x: Tensor, frames: int) -> Tensor:
    time = _taps(list(_conv3d(x, form.time, 1).chunk(frames, 1))).relu()  # type: ignore[arg-type]
    known = torch.cat([x, time], 1)
    known = torch.cat([known, _conv3d(known, form.column, 1).relu()], 1)  # type: ignore[arg-type]
    return _conv3d(known, form.row, 1)  # type: ignore[arg-type]


REFERENCES = {
    "full": _full,
    "r2plus1d": _r2plus1d,
    "channel_separated": _channel_separated,
    "perpendicular": _perpendicular,
    "orthogonal": _orthogonal,
}


class TestStreamedConv:
    @torch.no_grad()
    @pytest.mark.parametrize("frames", [2, 3])
    @pytest.mark.parametrize("form", sorted(FORMS))
    def test_a_clip_is_a_causal_3d_convolution(
        self,
        form: Literal["full", "r2plus1d", "channel_separated", "perpendicular", "orthogonal"],
        frames: Literal[2, 3],
    ) -> None:
        cell = _trained(StreamedConvSpec(form, frames))
        clip = torch.randn(2, 5, CHANNELS, *FRAMES_HW, generator=torch.Generator().manual_seed(1))
        out, _ = cell.scan(clip, cell.initial_state(2, *FRAMES_HW))
        expected = REFERENCES[form](cell.form, clip.transpose(1, 2), frames).transpose(1, 2)
        assert (out - clip - expected).abs().max() < 1e-4
        assert expected.std() > 0.1

    def test_every_form_is_listed_among_the_convolutions(self) -> None:
        assert {spec.form for spec in SPATIO_TEMPORAL.values()} == set(FORMS)
        for spec in SPATIO_TEMPORAL.values():
            assert cell_cost(spec).macs > 0
