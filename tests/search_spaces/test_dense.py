"""The strided pointwise convolution trains where the library's own gradient writes past its memory."""

import subprocess
import sys

import pytest
import torch

from search_spaces.ops.dense import StridedPointwise, conv_bn

GRADIENTS = """
import torch
from search_spaces.ops.dense import conv_bn

torch.manual_seed(0)
conv = conv_bn({channels}, 16, 1, stride=2)[0].to(memory_format=torch.channels_last)
x = torch.randn(16, {channels}, 60, 80).contiguous(memory_format=torch.channels_last).requires_grad_()
for _ in range(20):
    conv.weight.grad = x.grad = None
    conv(x).square().sum().backward()
exact = torch.einsum("boij,bcij->oc", 2 * conv(x).double(), x[..., ::2, ::2].double())
assert (conv.weight.grad[..., 0, 0] - exact).abs().max() < 1e-3 * exact.abs().max()
"""


@pytest.mark.parametrize("channels", [4, 8, 12, 16])
def test_a_strided_pointwise_convolution_of_few_channels_trains(channels: int) -> None:
    """In a process of its own: what is guarded against corrupts memory."""
    found = subprocess.run(
        [sys.executable, "-c", GRADIENTS.format(channels=channels)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


@torch.no_grad()
def test_what_is_exported_is_the_plain_convolution() -> None:
    conv = conv_bn(8, 16, 1, stride=2)[0]
    assert isinstance(conv, StridedPointwise)
    x = torch.randn(2, 8, 7, 9, generator=torch.Generator().manual_seed(0))
    with torch.enable_grad():
        trained = conv(x)
    torch.testing.assert_close(conv(x), trained)
    assert conv(x).shape == (2, 16, 4, 5)
