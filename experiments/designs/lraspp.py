"""MobileNetV3-small with the LR-ASPP head as a plain module. Knows nothing of video, data or searches.

Source: Howard et al. 2019, arXiv:1905.02244: table 2 (the network), section 5.3 (the gate), section 6.4 and figure 10
(the head; output stride 16 by dilation, half the filters in the last block, 128 filters in the head).
Differs: the head pools over the whole feature, where the paper's 49x49 window covers most of it; no pre-training;
the width multiplies all channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from experiments.designs.common import Design, resize, scaled
from search_spaces.activations import activation
from search_spaces.ops.dense import conv_bn


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of table 2."""

    kernel: int
    hidden: int
    out: int
    gated: bool
    act: str
    stride: int = 1
    dilation: int = 1


_TO_EIGHTH = (
    _Row(3, 16, 16, True, "relu", 2),
    _Row(3, 72, 24, False, "relu", 2),
    _Row(3, 88, 24, False, "relu"),
)
_FROM_EIGHTH = (
    _Row(5, 96, 40, True, "hard_swish", 2),
    _Row(5, 240, 40, True, "hard_swish"),
    _Row(5, 240, 40, True, "hard_swish"),
    _Row(5, 120, 48, True, "hard_swish"),
    _Row(5, 144, 48, True, "hard_swish"),
    # Stride 2 in table 2; here dilated instead, with half of its filters.
    _Row(5, 288, 48, True, "hard_swish", 1, 2),
    _Row(5, 288, 48, True, "hard_swish", 1, 2),
    _Row(5, 288, 48, True, "hard_swish", 1, 2),
)
_LAST = 288
_HEAD = 128


class _Gate(nn.Module):
    """Squeeze and excitation with a hard sigmoid, squeezed to a quarter (section 5.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = scaled(channels, 0.25)
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1),
            *activation("relu", squeezed),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        out: Tensor = feature_NCHW * self.weigh(feature_NCHW.mean((2, 3), keepdim=True))
        return out


class _Bottleneck(nn.Module):
    """1x1 expansion, depthwise, gate, linear 1x1; a sum where shapes allow."""

    def __init__(self, row: _Row, in_channels: int, width: float) -> None:
        super().__init__()
        hidden, out = scaled(row.hidden, width), scaled(row.out, width)
        depthwise = conv_bn(
            hidden, hidden, row.kernel, stride=row.stride, dilation=row.dilation, groups=hidden, act=row.act
        )
        self.body = nn.Sequential(
            *(conv_bn(in_channels, hidden, 1, act=row.act) if hidden != in_channels else ()),
            *depthwise,
            *([_Gate(hidden)] if row.gated else []),
            *conv_bn(hidden, out, 1),
        )
        self.same = row.stride == 1 and in_channels == out

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        out: Tensor = self.body(feature_NCHW)
        return out + feature_NCHW if self.same else out


def _blocks(rows: tuple[_Row, ...], in_channels: int, width: float) -> nn.Sequential:
    widths = [in_channels, *(scaled(row.out, width) for row in rows)]
    return nn.Sequential(*(_Bottleneck(row, channels, width) for row, channels in zip(rows, widths, strict=False)))


class LRASPP(Design):
    """MobileNetV3-small to 1/16, its last feature gated by its average, skip of the class scores at 1/8."""

    stride = 8

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__(num_classes, width)
        stem, last, head = (scaled(channels, width) for channels in (16, _LAST, _HEAD))
        eighth, deep = scaled(_TO_EIGHTH[-1].out, width), scaled(_FROM_EIGHTH[-1].out, width)
        self.to_eighth = nn.Sequential(
            *conv_bn(3, stem, 3, stride=2, act="hard_swish"), _blocks(_TO_EIGHTH, stem, width)
        )
        self.from_eighth = nn.Sequential(
            _blocks(_FROM_EIGHTH, eighth, width), *conv_bn(deep, last, 1, act="hard_swish")
        )
        self.project = conv_bn(last, head, 1, act="relu")
        self.weigh = nn.Conv2d(last, head, 1)
        self.classify_deep = nn.Conv2d(head, num_classes, 1)
        self.classify_eighth = nn.Conv2d(eighth, num_classes, 1)

    def scores(self, frame_NCHW: Tensor) -> Tensor:
        """Class scores at 1/8."""
        eighth = self.to_eighth(frame_NCHW)
        deep = self.from_eighth(eighth)
        weights = torch.sigmoid(self.weigh(deep.mean((2, 3), keepdim=True)))
        # A 1x1 convolution and bilinear resizing commute: classified before it is resized, it is the same for less.
        coarse = self.classify_deep(self.project(deep) * weights)
        out: Tensor = resize(coarse, eighth) + self.classify_eighth(eighth)
        return out
