"""Ways to make a step cheaper that the space does not have: stems, branches, heads. Knows nothing of timing.

Legend: B batch, C channels, H/W pixels, K classes.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from experiments.frame_parts import Frame, Prefix, parts_of
from search_spaces.activations import activation
from search_spaces.architecture import StageSpec
from search_spaces.cells.base import State
from search_spaces.network import VideoSegmenter
from search_spaces.ops.dense import conv_bn
from search_spaces.resizing import resize, scaled_hw


def space_to_depth_stem(factor: int, kernel: int, channels: int, act: str) -> nn.Sequential:
    """Squares of `factor` pixels become channels (Shi et al. 2016, arXiv:1609.05158, backwards), then k x k.

    Output: frame size / factor; the size must divide.
    """
    return nn.Sequential(nn.PixelUnshuffle(factor), *conv_bn(3 * factor**2, channels, kernel, act=act))


def as_patches(stem: nn.Sequential, factor: int) -> nn.Sequential:
    """The same function as a `space_to_depth_stem` of this factor, by one strided convolution."""
    conv, rest = stem[1], list(stem)[2:]
    assert isinstance(conv, nn.Conv2d)
    out, _, kernel, _ = conv.weight.shape
    patches = nn.Conv2d(3, out, factor * kernel, factor, factor * (kernel // 2), bias=False)
    with torch.no_grad():
        # [out, in, row in square, column in square, square row, square column] to squares' rows outside their own.
        taps = conv.weight.view(out, 3, factor, factor, kernel, kernel).permute(0, 1, 4, 2, 5, 3)
        patches.weight.copy_(taps.reshape(patches.weight.shape))
    return nn.Sequential(patches, *copy.deepcopy(rest)).eval()


def same_as_strided(stem: nn.Sequential) -> nn.Sequential:
    """A 3x3 stem of stride 2 as squares of 2 x 2 pixels and a 2x2 convolution: the same function of even sizes.

    Row 2i + a - 1 of the frame, for tap a of output row i, is row (a + 1) % 2 of the square i - 1 (a = 0) or i.
    """
    conv, *rest = stem
    assert isinstance(conv, nn.Conv2d)
    assert (conv.kernel_size, conv.stride, conv.padding, conv.bias) == ((3, 3), (2, 2), (1, 1), None)
    folded = nn.Conv2d(conv.in_channels * 4, conv.out_channels, 2, bias=False)
    with torch.no_grad():
        # [out, in, row in square, column in square, square row, square column], as PixelUnshuffle orders channels.
        taps = folded.weight.zero_().view(conv.out_channels, conv.in_channels, 2, 2, 2, 2)
        for row in range(3):
            for column in range(3):
                inside = ((row + 1) % 2, (column + 1) % 2)
                square = (min(row, 1), min(column, 1))
                taps[:, :, inside[0], inside[1], square[0], square[1]] = conv.weight[:, :, row, column]
    return nn.Sequential(nn.PixelUnshuffle(2), nn.ZeroPad2d((1, 0, 1, 0)), folded, *copy.deepcopy(rest)).eval()


def normalized_after_scaling(model: VideoSegmenter) -> Prefix:
    """The same function with the frame made smaller first: a resize whose weights sum to 1 commutes with it."""

    def run(own: VideoSegmenter, frame: Frame) -> None:
        small = resize(frame.feature, *scaled_hw(*frame.size_hw, own.spec))
        frame.feature = (small - own.mean) / own.std

    return _with_input(model, run)


def divisor_folded(model: VideoSegmenter) -> Prefix:
    """The same function with the division by `std` in the stem's weights; for frames that are not made smaller.

    The mean stays: the stem pads with zeros, which a bias could not tell from frame.
    """
    if model.spec.input_scale != "1":
        raise ValueError(f"input scale {model.spec.input_scale} given, 1 needed")
    changed = copy.deepcopy(model)
    with torch.no_grad():
        _conv(changed.stem).weight.div_(changed.std)

    def run(own: VideoSegmenter, frame: Frame) -> None:
        frame.feature = frame.feature - own.mean

    return _with_input(changed, run)


def _with_input(model: VideoSegmenter, run: Callable[[VideoSegmenter, Frame], None]) -> Prefix:
    """The whole step of `model` with another first part."""
    whole = Prefix(model, len(parts_of(model)))
    whole.parts[0] = replace(whole.parts[0], run=run)
    return whole


class RepBlock(nn.Module):
    """3x3, 1x1 and identity, each with batch norm, summed, then the activation (Ding et al. 2021, arXiv:2101.03697).

    Differs: the 3x3 may be dilated, and the activation is the stage's.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, dilation: int, act: str) -> None:
        super().__init__()
        self.wide = conv_bn(in_channels, out_channels, 3, stride=stride, dilation=dilation)
        self.narrow = conv_bn(in_channels, out_channels, 1, stride=stride)
        same = in_channels == out_channels and stride == 1
        self.identity = nn.BatchNorm2d(out_channels) if same else None
        self.act = nn.Sequential(*activation(act, out_channels))

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        out = self.wide(feature_BCHW) + self.narrow(feature_BCHW)
        if self.identity is not None:
            out = out + self.identity(feature_BCHW)
        return cast("Tensor", self.act(out))

    def fused(self) -> nn.Sequential:
        """The same function in eval mode as one 3x3 convolution and the activation (arXiv:2101.03697, section 3.3)."""
        conv = fuse_conv_bn_eval(_conv(self.wide), _norm(self.wide))
        assert conv.bias is not None
        with torch.no_grad():
            narrow = fuse_conv_bn_eval(_conv(self.narrow), _norm(self.narrow))
            assert narrow.bias is not None
            conv.weight[:, :, 1, 1] += narrow.weight[:, :, 0, 0]
            conv.bias += narrow.bias
            if self.identity is not None:
                mean, var = self.identity.running_mean, self.identity.running_var
                assert mean is not None
                assert var is not None
                scale = self.identity.weight / torch.sqrt(var + self.identity.eps)
                conv.weight[:, :, 1, 1] += torch.diag(scale)
                conv.bias += self.identity.bias - scale * mean
        return nn.Sequential(conv, *copy.deepcopy(self.act)).eval()


def rep_stage(stage: StageSpec, in_channels: int) -> nn.Sequential:
    """A stage of RepBlocks with the widths, depth, stride, dilation and activation of `stage`."""
    widths = [in_channels, *[stage.channels] * stage.depth]
    strides = [stage.stride, *[1] * (stage.depth - 1)]
    return nn.Sequential(
        *(
            RepBlock(widths[index], widths[index + 1], strides[index], stage.conv.dilation, stage.activation)
            for index in range(stage.depth)
        )
    )


def fuse_branches(model: nn.Module) -> nn.Module:
    """A copy in eval mode in which every RepBlock of a Sequential is one convolution."""
    fused = copy.deepcopy(model).eval()
    for module in list(fused.modules()):
        if isinstance(module, nn.Sequential):
            for index, block in enumerate(module):
                if isinstance(block, RepBlock):
                    module[index] = block.fused()
    return fused


class Labels(nn.Module):
    """A step that ends in labels, uint8, at the logits' size or enlarged to `size_hw` by nearest neighbour.

    One pixel of them leaves the graph, as a float: what is timed writes no other type. All are computed.
    """

    def __init__(self, inner: nn.Module, size_hw: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.size_hw = size_hw
        self.eval()

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """As the inner step's."""
        return cast("State", cast("Any", self.inner).initial_state(batch, height, width))

    def labels(self, frame_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """(frame, state) -> (labels_B1HW, next state)."""
        logits_BKHW, following = cast("Any", self.inner).step(frame_BCHW, state)
        labels_B1HW = logits_BKHW.argmax(1, keepdim=True).to(torch.uint8)
        if self.size_hw is not None:
            labels_B1HW = F.interpolate(labels_B1HW, self.size_hw, mode="nearest")
        return labels_B1HW, following

    def step(self, frame_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """(frame, state) -> (the first label [B, 1, 1, 1], next state)."""
        labels_B1HW, following = self.labels(frame_BCHW, state)
        return labels_B1HW[..., :1, :1].float(), following


def _conv(layer: nn.Sequential) -> nn.Conv2d:
    assert isinstance(layer[0], nn.Conv2d)
    return layer[0]


def _norm(layer: nn.Sequential) -> nn.BatchNorm2d:
    assert isinstance(layer[1], nn.BatchNorm2d)
    return layer[1]
