"""ContextNet as a plain module. Knows nothing of video, data or searches.

Source: Poudel, Bonde, Liwicki, Zach 2018, arXiv:1805.04554, tables 1 to 3: the cn14 model, whose deep branch sees
the frame at a quarter of its size. Its last convolution is depthwise separable: only so are there the paper's 0.85
million parameters.
Differs: no dropout, no pruning from twice the width and no pre-training, for all designs are trained by one recipe;
the width multiplies all channels.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from experiments.designs.common import Design, FeatureFusion, depthwise_linear, inverted_stage, scaled
from search_spaces.ops.dense import conv_bn

SCALE = 4
"""The deep branch sees ceil(size / SCALE)."""


class ContextNet(Design):
    """A shallow branch on the frame and a deep one on a small copy of it, fused at 1/8."""

    stride = 8

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__(num_classes, width)
        stem, c48, c64, c96, c128 = (scaled(channels, width) for channels in (32, 48, 64, 96, 128))
        self.detail = nn.Sequential(
            *conv_bn(3, stem, 3, stride=2, act="relu"),
            depthwise_linear(stem, c64, stride=2),
            depthwise_linear(c64, c128, stride=2),
            depthwise_linear(c128, c128),
        )
        self.context = nn.Sequential(
            *conv_bn(3, stem, 3, stride=2, act="relu"),
            inverted_stage(stem, stem, depth=1, stride=1, expansion=1),
            inverted_stage(stem, stem, depth=1, stride=1, expansion=6),
            inverted_stage(stem, c48, depth=3, stride=2, expansion=6),
            inverted_stage(c48, c64, depth=3, stride=2, expansion=6),
            inverted_stage(c64, c96, depth=2, stride=1, expansion=6),
            inverted_stage(c96, c128, depth=2, stride=1, expansion=6),
            depthwise_linear(c128, c128),
        )
        self.fuse = FeatureFusion(c128, c128, c128)
        self.classify = nn.Conv2d(c128, num_classes, 1)

    def scores(self, frame_NCHW: Tensor) -> Tensor:
        """Class scores at 1/8."""
        height, width = frame_NCHW.shape[-2:]
        small_hw = (-(-height // SCALE), -(-width // SCALE))
        small = F.interpolate(frame_NCHW, small_hw, mode="bilinear", align_corners=False)
        out: Tensor = self.classify(self.fuse(self.detail(frame_NCHW), self.context(small)))
        return out
