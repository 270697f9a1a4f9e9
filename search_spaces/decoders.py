"""Decoders by kind: from the last feature and skips to class scores. Knows nothing of stages or of time.

Legend: N frames, C channels, K classes, H/W feature pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from search_spaces.activations import activation
from search_spaces.decoder_spec import DecoderSpec
from search_spaces.ops.dense import conv_bn
from search_spaces.ops.separable import depthwise_separable
from search_spaces.resizing import resize
from search_spaces.stage_spec import StageSpec, quarter
from search_spaces.stages import build_stage


class Decoder(nn.Module, ABC):
    """Fuses features into the decoder feature, which `classify` turns into class scores."""

    classify: nn.Module
    """Decoder feature -> class scores."""

    @abstractmethod
    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: Sequence[int], num_classes: int) -> None:
        super().__init__()

    @abstractmethod
    def fuse(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """(last feature, skips, the deepest first) -> decoder feature, at `NetworkSpec.fused_stride`."""

    def scores(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """(decoder feature, skips) -> class scores."""
        out: Tensor = self.classify(feature_NCHW)
        return out


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


class Plain(Decoder):
    """Classifies the last feature behind convolution units at its own size: what the networks have that fuse their
    branches before (the classifier of Fast-SCNN, arXiv:1902.04502, table 1).
    """

    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: Sequence[int], num_classes: int) -> None:
        super().__init__(spec, in_channels, skip_channels, num_classes)
        self.units = nn.Sequential() if spec.units is None else build_stage(spec.units, in_channels)
        self.classify = nn.Conv2d(spec.channels, num_classes, 1)

    def fuse(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """The units' output."""
        out: Tensor = self.units(feature_NCHW)
        return out


class GatedSkip(Decoder):
    """The projected feature gated by its global average; class scores of the skip are added to its enlarged ones.

    Source: LR-ASPP (Howard et al. 2019, arXiv:1905.02244, section 6.4 and figure 10).
    Differs: the average is of the whole feature, where the paper's window of 49x49 covers most of it; the decoder
    feature is classified before it is enlarged, which is the same for a 1x1 convolution and costs less.
    """

    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: Sequence[int], num_classes: int) -> None:
        super().__init__(spec, in_channels, skip_channels, num_classes)
        (skip,) = skip_channels
        self.project = conv_bn(in_channels, spec.channels, 1, act=spec.activation)
        self.weigh = nn.Conv2d(in_channels, spec.channels, 1)
        self.classify = nn.Conv2d(spec.channels, num_classes, 1)
        self.classify_skip = nn.Conv2d(skip, num_classes, 1)

    def fuse(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """The gated feature, at its own size."""
        gate_NC11 = torch.sigmoid(self.weigh(feature_NCHW.mean((2, 3), keepdim=True)))
        out: Tensor = self.project(feature_NCHW) * gate_NC11
        return out

    def scores(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """Those of the feature and of the skip, at the skip's size."""
        (skip_NCHW,) = skips_NCHW
        scores_NKHW = resize(self.classify(feature_NCHW), *skip_NCHW.shape[-2:])
        out: Tensor = scores_NKHW + self.classify_skip(skip_NCHW)
        return out


class UpsamplingBottleneck(Decoder):
    """ENet's decoder: bottlenecks that double the size, as wide as the encoder was there, regular ones behind them.

    Source: Paszke et al. 2016, arXiv:1606.02147, table 1, sections 4 and 5, figure 2b.
    Differs: both paths of the former are resized bilinearly, to the encoder's size, for runtimes on devices lack the
    unpooling by remembered maxima; the classes are found at the last skip's size by a 3x3 convolution, where the
    paper has a transposed one; `channels` are the last bottlenecks'.
    """

    REGULAR = 2
    """Bottlenecks behind every doubling; one less behind the last."""

    def __init__(self, spec: DecoderSpec, in_channels: int, skip_channels: Sequence[int], num_classes: int) -> None:
        super().__init__(spec, in_channels, skip_channels, num_classes)
        widths = [in_channels, *skip_channels[:-1], spec.channels]
        self.ups = nn.ModuleList(_Doubling(one, other, spec.activation) for one, other in pairwise(widths))
        depths = [*[self.REGULAR] * (len(skip_channels) - 1), self.REGULAR - 1]
        self.stages = nn.ModuleList(
            build_stage(StageSpec("bottleneck", depth, width, 1, activation=spec.activation), width)
            for depth, width in zip(depths, widths[1:], strict=True)
        )
        self.classify = nn.Conv2d(spec.channels, num_classes, 3, padding=1)

    def fuse(self, feature_NCHW: Tensor, skips_NCHW: Sequence[Tensor]) -> Tensor:
        """The feature at the last skip's size; of the skips only the sizes are used."""
        for skip_NCHW, up, stage in zip(skips_NCHW, self.ups, self.stages, strict=True):
            feature_NCHW = stage(up(feature_NCHW, *skip_NCHW.shape[-2:]))
        return feature_NCHW


class _Doubling(nn.Module):
    """The bottleneck that enlarges: both of its paths are resized."""

    def __init__(self, in_channels: int, out_channels: int, act: str) -> None:
        super().__init__()
        hidden = quarter(in_channels)
        self.main = conv_bn(in_channels, out_channels, 1)
        self.project = conv_bn(in_channels, hidden, 1, act=act)
        self.body = nn.Sequential(conv_bn(hidden, hidden, 3, act=act), conv_bn(hidden, out_channels, 1))
        self.act = nn.Sequential(*activation(act, out_channels))

    def forward(self, feature_NCHW: Tensor, height: int, width: int) -> Tensor:
        """Feature to feature of this size."""
        main = resize(self.main(feature_NCHW), height, width)
        out: Tensor = self.act(main + self.body(resize(self.project(feature_NCHW), height, width)))
        return out


DECODERS: Mapping[str, type[Decoder]] = {
    "bilinear": Bilinear,
    "skip_add": SkipAdd,
    "unet": UNet,
    "guided": Guided,
    "plain": Plain,
    "gated_skip": GatedSkip,
    "upsampling_bottleneck": UpsamplingBottleneck,
}
