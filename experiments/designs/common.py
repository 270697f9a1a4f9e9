"""What the known designs share: widths, resizing, pooling at a fixed size. Knows nothing of any of them, nor of video.

Legend: N frames, C channels, K classes, H/W pixels.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.architecture import ConvSpec, StageSpec
from search_spaces.ops.blocks import InvertedResidual
from search_spaces.ops.dense import conv_bn

MULTIPLE = 8
"""Channels are multiples of the vector width that runtimes block them by."""

MAX_WIDTH = 4.0


class Design(nn.Module, ABC):
    """A network of one frame: normalized RGB in, class scores at 1 / `stride` of the frame out.

    Raises:
        ValueError: the width is not in (0, MAX_WIDTH].
    """

    stride: int
    """Scores are ceil(size / stride)."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        if not 0 < width <= MAX_WIDTH:
            raise ValueError(f"width {width} given; more than 0 and at most {MAX_WIDTH:g} is needed")
        self.num_classes = num_classes

    @abstractmethod
    def scores(self, frame_NCHW: Tensor) -> Tensor:
        """Frames to class scores at the head's stride."""

    def forward(self, frame_NCHW: Tensor) -> Tensor:
        """Frames to logits_NKHW at the frames' size."""
        return resize(self.scores(frame_NCHW), frame_NCHW)


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, to the nearest multiple of MULTIPLE, never none."""
    return max(MULTIPLE, MULTIPLE * int(channels * width / MULTIPLE + 0.5))


def resize(feature_NCHW: Tensor, like_NCHW: Tensor) -> Tensor:
    """Bilinear, to the height and width of another feature."""
    height, width = like_NCHW.shape[-2:]
    if feature_NCHW.shape[-2:] == (height, width):
        return feature_NCHW
    return F.interpolate(feature_NCHW, (height, width), mode="bilinear", align_corners=False)


def depthwise_linear(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Sequential:
    """Depthwise 3x3 without activation, then 1x1 with ReLU: the "DSConv" of Fast-SCNN and ContextNet."""
    depthwise = conv_bn(in_channels, in_channels, 3, stride=stride, groups=in_channels)
    return nn.Sequential(*depthwise, *conv_bn(in_channels, out_channels, 1, act="relu"))


def inverted_stage(in_channels: int, out_channels: int, *, depth: int, stride: int, expansion: int) -> nn.Sequential:
    """`depth` inverted residuals with 3x3 kernels, the first with the stride (arXiv:1801.04381)."""
    conv = ConvSpec("depthwise_separable")
    stage = StageSpec("inverted_residual", depth, out_channels, 1, conv, expansion)
    first = InvertedResidual(stage, in_channels, stride)
    return nn.Sequential(first, *(InvertedResidual(stage, out_channels, 1) for _ in range(depth - 1)))


def pooled(feature_NCHW: Tensor, bins: int) -> Tensor:
    """Averages over a grid of `bins` x `bins` windows, or one a pixel where the feature is smaller than that.

    All windows of a feature have one size, computed from its own, so that an export has a plain pooling.
    """
    height, width = feature_NCHW.shape[-2:]
    rows, columns = min(bins, height), min(bins, width)
    stride_hw = (height // rows, width // columns)
    kernel_hw = (height - (rows - 1) * stride_hw[0], width - (columns - 1) * stride_hw[1])
    return F.avg_pool2d(feature_NCHW, kernel_hw, stride_hw)


class PyramidPooling(nn.Module):
    """Pyramid pooling (PSPNet, arXiv:1612.01105, section 3.2): averages of four grids beside the feature itself.

    Differs: all windows of a grid are of one size; the pooled branches have a bias where the paper has batch
    norm, because maps of 1 to 36 pixels in our batches of 16 frames give no statistics worth the name.
    """

    BINS = (1, 2, 3, 6)

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        branch = max(MULTIPLE, in_channels // len(self.BINS))
        self.branches = nn.ModuleList(nn.Conv2d(in_channels, branch, 1) for _ in self.BINS)
        self.mix = conv_bn(in_channels + branch * len(self.BINS), out_channels, 1, act="relu")

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature of the same size."""
        parts = [feature_NCHW]
        for bins, branch in zip(self.BINS, self.branches, strict=True):
            parts.append(resize(F.relu(branch(pooled(feature_NCHW, bins))), feature_NCHW))
        out: Tensor = self.mix(torch.cat(parts, 1))
        return out


class FeatureFusion(nn.Module):
    """Adds a coarse feature to a fine one: resized, dilated depthwise 3x3, 1x1 each (ContextNet and Fast-SCNN)."""

    DILATION = 4
    """The factor by which the coarse feature is resized, as both papers have it."""

    def __init__(self, fine_channels: int, coarse_channels: int, out_channels: int) -> None:
        super().__init__()
        self.fine = conv_bn(fine_channels, out_channels, 1)
        self.coarse = nn.Sequential(
            *conv_bn(coarse_channels, coarse_channels, 3, dilation=self.DILATION, groups=coarse_channels, act="relu"),
            *conv_bn(coarse_channels, out_channels, 1),
        )

    def forward(self, fine_NCHW: Tensor, coarse_NCHW: Tensor) -> Tensor:
        """(fine, coarse) to a feature of the fine one's size."""
        return F.relu(self.fine(fine_NCHW) + self.coarse(resize(coarse_NCHW, fine_NCHW)))
