"""Stems by kind: what a frame meets first. Knows nothing of the stages behind it.

Legend: N frames, C channels, H/W pixels.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.activations import activation
from search_spaces.ops.dense import conv_bn
from search_spaces.resizing import resize
from search_spaces.stage_spec import StemSpec

RGB = 3


def conv_stem(spec: StemSpec) -> nn.Module:
    """A 3x3 convolution with stride 2 (the first layer of MobileNet, arXiv:1704.04861)."""
    return conv_bn(RGB, spec.channels, 3, stride=2, act=spec.activation)


class PatchConv(nn.Conv2d):
    """Space-to-depth by `factor` and a k x k convolution of the squares, written as one strided convolution.

    The same function: output pixel i reads k whole squares of `factor` x `factor` pixels, centred on square i, so
    that its taps are a kernel of k * factor at stride `factor`, whatever the channels' order. onnxruntime runs that
    faster than a transpose of the frame and a convolution of 3 * factor^2 channels.
    """

    def __init__(self, out_channels: int, factor: int, kernel: int) -> None:
        super().__init__(RGB, out_channels, factor * kernel, factor, bias=False)
        self.before = factor * (kernel // 2)

    def forward(self, frame_NCHW: Tensor) -> Tensor:
        """Frame to feature, ceil(size / factor): the last square is filled up with zeros."""
        factor = self.stride[0]
        below, right = (self.before + -side % factor for side in frame_NCHW.shape[-2:])
        if below or right:
            frame_NCHW = F.pad(frame_NCHW, (self.before, right, self.before, below))
        return super().forward(frame_NCHW)


def space_to_depth_stem(spec: StemSpec) -> nn.Module:
    """Squares of pixels become channels (Shi et al. 2016, arXiv:1609.05158, backwards; TResNet, arXiv:2003.13630)."""
    conv = PatchConv(spec.channels, spec.factor, spec.kernel)
    return nn.Sequential(conv, nn.BatchNorm2d(spec.channels), *activation(spec.activation, spec.channels))


class ConvPool(nn.Module):
    """A strided 3x3 convolution beside the pooled frame, both normalized (Paszke et al. 2016, ENet, arXiv:1606.02147,
    figure 2a).
    """

    def __init__(self, spec: StemSpec) -> None:
        super().__init__()
        self.conv = nn.Conv2d(RGB, spec.channels - RGB, 3, 2, 1, bias=False)
        self.norm = nn.Sequential(nn.BatchNorm2d(spec.channels), *activation(spec.activation, spec.channels))

    def forward(self, frame_NCHW: Tensor) -> Tensor:
        """Frame to feature, ceil(size / 2)."""
        pooled = F.max_pool2d(frame_NCHW, 2, ceil_mode=True)
        out: Tensor = self.norm(torch.cat([self.conv(frame_NCHW), pooled], 1))
        return out


class Shrunk(nn.Module):
    """A small copy of the frame, then a strided 3x3 convolution: the deep branch of ContextNet (Poudel et al. 2018,
    arXiv:1805.04554, section 3.1).
    """

    def __init__(self, spec: StemSpec) -> None:
        super().__init__()
        self.times = spec.factor // 2
        self.conv = conv_bn(RGB, spec.channels, 3, stride=2, act=spec.activation)

    def forward(self, frame_NCHW: Tensor) -> Tensor:
        """Frame to feature, ceil(size / factor)."""
        height, width = (-(-side // self.times) for side in frame_NCHW.shape[-2:])
        out: Tensor = self.conv(resize(frame_NCHW, height, width))
        return out


STEMS: Mapping[str, Callable[[StemSpec], nn.Module]] = {
    "conv": conv_stem,
    "space_to_depth": space_to_depth_stem,
    "conv_pool": ConvPool,
    "shrunk": Shrunk,
}
"""kind -> stem; its output is ceil(size / stride) for the stride that the specification says."""
