"""The convolutions of recurrent gates, shared by the gated cells. Knows nothing of the cells."""

from torch import Tensor, nn

from search_spaces.cells.specs import GateFactorization


def gate_conv(in_channels: int, out_channels: int, kernel: int, factorization: GateFactorization) -> nn.Module:
    """k x k, or depthwise k x k then 1x1 (Howard et al. 2017, arXiv:1704.04861).

    With bias and without batch norm, so that a step equals its training.
    """
    padding = kernel // 2
    if factorization == "dense":
        return nn.Conv2d(in_channels, out_channels, kernel, padding=padding)
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, kernel, padding=padding, groups=in_channels, bias=False),
        nn.Conv2d(in_channels, out_channels, 1),
    )


def bias_of(conv: nn.Module) -> Tensor:
    """The bias of what `gate_conv` built."""
    last = conv[-1] if isinstance(conv, nn.Sequential) else conv
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    return last.bias
