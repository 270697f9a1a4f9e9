"""Decoders by kind: from the last feature and skips to class scores. Knows nothing of stages or of time.

Legend: N frames, C channels, K classes, H/W feature pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from search_spaces.activations import activation
from search_spaces.network_spec import DecoderSpec
from search_spaces.ops.dense import conv_bn
from search_spaces.ops.separable import depthwise_separable
from search_spaces.resizing import resize


class Decoder(nn.Module, ABC):
    """Fuses features into the decoder feature, which `classify` turns into class scores."""

    classify: nn.Module

    @abstractmethod
    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: Sequence[int], num_classes: int) -> None:
        super().__init__()

    @abstractmethod
    def fuse(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """(last feature, skips, the deepest first) -> decoder feature, at the last skip's size if there is one."""


class Bilinear(Decoder):
    """Projects and classifies the last feature; the scores are enlarged (FCN-32s, arXiv:1411.4038)."""

    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: Sequence[int], num_classes: int) -> None:
        super().__init__(spec, in_channels, skip_channels, num_classes)
        self.project = conv_bn(in_channels, spec.channels, 1, act=spec.activation)
        self.classify = nn.Conv2d(spec.channels, num_classes, 1)

    def fuse(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """The projected feature."""
        out: Tensor = self.project(feature_NCHW)
        return out


class SkipAdd(Decoder):
    """Adds the projected skip to the enlarged feature, then a separable convolution (FCN, arXiv:1411.4038)."""

    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: Sequence[int], num_classes: int) -> None:
        super().__init__(spec, in_channels, skip_channels, num_classes)
        width, act = spec.channels, spec.activation
        self.project = conv_bn(in_channels, width, 1, act=act)
        self.skips = nn.ModuleList(conv_bn(channels, width, 1) for channels in skip_channels)
        self.mixes = nn.ModuleList(depthwise_separable(width, width, 3, 1, 1, act) for _ in skip_channels)
        self.classify = nn.Conv2d(width, num_classes, 1)

    def fuse(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """The sum, mixed."""
        out: Tensor = self.project(feature_NCHW)
        for skip_NCHW, skip, mix in zip(skips_NCHW, self.skips, self.mixes, strict=True):
            out = mix(resize(out, *skip_NCHW.shape[-2:]) + skip(skip_NCHW))
        return out


class UNet(Decoder):
    """At every stride down to the skip's: enlarge, concatenate the skip, convolve (Ronneberger, arXiv:1505.04597).

    Differs: one separable convolution a stride, bilinear enlarging, and as many channels at all of them.
    """

    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: Sequence[int], num_classes: int) -> None:
        super().__init__(spec, in_channels, skip_channels, num_classes)
        width, act = spec.channels, spec.activation
        self.project = conv_bn(in_channels, width, 1, act=act)
        self.mixes = nn.ModuleList(depthwise_separable(width + skip, width, 3, 1, 1, act) for skip in skip_channels)
        self.classify = nn.Conv2d(width, num_classes, 1)

    def fuse(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """The feature at the last skip's size."""
        out: Tensor = self.project(feature_NCHW)
        for skip_NCHW, mix in zip(skips_NCHW, self.mixes, strict=True):
            out = mix(torch.cat([resize(out, *skip_NCHW.shape[-2:]), skip_NCHW], 1))
        return out


class Guided(Decoder):
    """The enlarged feature says, at every pixel, which linear function of the skip it is: y = a * guide + b.

    Source: the guided filter as a layer (Wu et al. 2018, arXiv:1803.05619, section 3.2), whose coefficients are
    found at low resolution and enlarged, so that edges come from the guide.
    Differs: a and b are 1x1 convolutions of the low feature instead of a regression in windows, and the guide is a
    1x1 convolution of the skip instead of the picture: no convolution runs at the skip's size but that one.
    """

    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: Sequence[int], num_classes: int) -> None:
        super().__init__(spec, in_channels, skip_channels, num_classes)
        (skip,) = skip_channels
        self.coefficients = conv_bn(in_channels, 2 * spec.channels, 1)
        self.guide = conv_bn(skip, spec.channels, 1)
        self.act = nn.Sequential(*activation(spec.activation, spec.channels))
        self.classify = nn.Conv2d(spec.channels, num_classes, 1)

    def fuse(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """The feature at the skip's size."""
        (skip_NCHW,) = skips_NCHW
        slope, offset = resize(self.coefficients(feature_NCHW), *skip_NCHW.shape[-2:]).chunk(2, 1)
        out: Tensor = self.act(slope * self.guide(skip_NCHW) + offset)
        return out


DECODERS: Mapping[str, type[Decoder]] = {"bilinear": Bilinear, "skip_add": SkipAdd, "unet": UNet, "guided": Guided}
