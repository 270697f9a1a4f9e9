"""A convolution of several branches that sums up to one k x k convolution. Knows nothing of blocks or exporters."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.activations import activation
from search_spaces.ops.dense import conv_bn


class Reparameterized(nn.Module):
    """k x k, 1 x 1 and, where shapes allow, identity, each with its batch norm, summed (RepVGG, arXiv:2101.03697).

    `fused` is the same function as one convolution (ibid., section 3.3); MobileOne (arXiv:2206.04040) adds further
    equal branches, which we leave out.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, act: str | None
    ) -> None:
        super().__init__()
        self.spatial = conv_bn(in_channels, out_channels, kernel, stride=stride, dilation=dilation)
        self.pointwise = conv_bn(in_channels, out_channels, 1, stride=stride)
        same = stride == 1 and in_channels == out_channels
        self.identity = nn.BatchNorm2d(in_channels) if same else None
        self.act = nn.Sequential(*activation(act, out_channels))

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Feature to feature, ceil(size / stride)."""
        total = self.spatial(feature_BCHW) + self.pointwise(feature_BCHW)
        if self.identity is not None:
            total = total + self.identity(feature_BCHW)
        out: Tensor = self.act(total)
        return out

    @torch.no_grad()
    def fused(self) -> nn.Sequential:
        """What this computes in eval mode, as one convolution with a bias and the activation; summed in float64."""
        conv = self.spatial[0]
        assert isinstance(conv, nn.Conv2d)
        weight, bias = _folded(self.spatial)
        reach = conv.kernel_size[0] // 2
        branches = [_folded(self.pointwise)]
        if self.identity is not None:
            eye = torch.eye(conv.in_channels, dtype=torch.float64, device=weight.device)[..., None, None]
            branches.append(_scaled(eye, self.identity))
        for point_OI11, shift in branches:
            weight = weight + F.pad(point_OI11, (reach,) * 4)
            bias = bias + shift
        single = copy.deepcopy(conv)
        single.weight = nn.Parameter(weight.to(conv.weight.dtype))
        single.bias = nn.Parameter(bias.to(conv.weight.dtype))
        return nn.Sequential(single, *self.act).eval()


def _folded(branch: nn.Sequential) -> tuple[Tensor, Tensor]:
    conv, norm = branch[0], branch[1]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return _scaled(conv.weight.double(), norm)


def _scaled(weight_OIkk: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its batch norm behind it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return weight_OIkk * scale[:, None, None, None], norm.bias.double() - norm.running_mean.double() * scale
