"""The sizes a frame passes through and the one way features are resized. Knows nothing of modules or data.

Legend: N frames, C channels, H/W pixels.
"""

import torch.nn.functional as F
from torch import Tensor

from search_spaces.network_spec import NetworkSpec

SCALES = {"1": (1, 1), "3/4": (3, 4), "1/2": (1, 2)}


def scaled_hw(height: int, width: int, spec: NetworkSpec) -> tuple[int, int]:
    """The size that the stem sees."""
    numerator, denominator = SCALES[spec.input_scale]
    return -(-height * numerator // denominator), -(-width * numerator // denominator)


def feature_hw(height: int, width: int, stride: int, spec: NetworkSpec) -> tuple[int, int]:
    """The size of a feature at a stride of the scaled input, for a frame of this size."""
    scaled = scaled_hw(height, width, spec)
    return -(-scaled[0] // stride), -(-scaled[1] // stride)


def logits_hw(height: int, width: int, spec: NetworkSpec) -> tuple[int, int]:
    """The size of the class scores that a step gives for a frame of this size."""
    if spec.decoder.logits == "full":
        return height, width
    return feature_hw(height, width, spec.head_stride, spec)


def resize(feature_NCHW: Tensor, height: int, width: int) -> Tensor:
    """Bilinear; nothing where the size is right already."""
    if feature_NCHW.shape[-2:] == (height, width):
        return feature_NCHW
    return F.interpolate(feature_NCHW, (height, width), mode="bilinear", align_corners=False)
