"""Fast-SCNN as a plain module. Knows nothing of video, data or searches.

Source: Poudel, Liwicki, Cipolla 2019, arXiv:1902.04502, table 1 and figure 1.
Differs: no dropout and no auxiliary losses, for all designs are trained by one recipe; pyramid pooling and fusion
as said in common.py; the width multiplies all channels.
"""

from torch import Tensor, nn

from experiments.designs.common import (
    Design,
    FeatureFusion,
    PyramidPooling,
    depthwise_linear,
    inverted_stage,
    scaled,
)
from search_spaces.ops.dense import conv_bn


class FastSCNN(Design):
    """Learning to downsample to 1/8, a global feature extractor at 1/32, their fusion at 1/8, a classifier."""

    stride = 8

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__(num_classes, width)
        stem, middle, fine, wider, deep = (scaled(channels, width) for channels in (32, 48, 64, 96, 128))
        self.downsample = nn.Sequential(
            *conv_bn(3, stem, 3, stride=2, act="relu"),
            depthwise_linear(stem, middle, stride=2),
            depthwise_linear(middle, fine, stride=2),
        )
        self.extract = nn.Sequential(
            inverted_stage(fine, fine, depth=3, stride=2, expansion=6),
            inverted_stage(fine, wider, depth=3, stride=2, expansion=6),
            inverted_stage(wider, deep, depth=3, stride=1, expansion=6),
            PyramidPooling(deep, deep),
        )
        self.fuse = FeatureFusion(fine, deep, deep)
        self.classify = nn.Sequential(
            depthwise_linear(deep, deep), depthwise_linear(deep, deep), nn.Conv2d(deep, num_classes, 1)
        )

    def scores(self, frame_NCHW: Tensor) -> Tensor:
        """Class scores at 1/8."""
        fine = self.downsample(frame_NCHW)
        out: Tensor = self.classify(self.fuse(fine, self.extract(fine)))
        return out
