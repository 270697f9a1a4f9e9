"""Activation functions by name. Knows nothing of the layers around them."""

from collections.abc import Callable, Mapping

from torch import nn

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "hard_swish": lambda: nn.Hardswish(inplace=True),  # Howard et al. 2019, arXiv:1905.02244
    "silu": lambda: nn.SiLU(inplace=True),  # Elfwing et al. 2018, arXiv:1702.03118
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
}


def activation(name: str | None) -> list[nn.Module]:
    """The activation as a list to splice into a Sequential; empty for None."""
    return [] if name is None else [ACTIVATIONS[name]()]
