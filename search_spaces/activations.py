"""Activation functions and gates by name, and the forms they are exported in. Knows nothing of the layers around them.

What trains, and what runs in torch, is torch's own function. Where onnxruntime has none, or a slow one, the graph
that is exported has an equal form of faster operations instead. Added to a depthwise-pointwise-depthwise unit of
64 channels at 45x60, one thread, in milliseconds (the unit alone: 0.32): PReLU 0.84 as an operator, 0.05 in our
form; ELU 0.35, 0.12; Mish 2.2, 0.20; for comparison ReLU 0.00, SiLU 0.05, GELU 0.11.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SURVEY_SECTION = "5.8"

_MISH_LINEAR_FROM = 20.0
"""Beyond it tanh(softplus(x)) is 1 in float32, and exp(x) squared still finite."""


def prelu_lowered(feature_NCHW: Tensor, slope_C: Tensor) -> Tensor:
    """a x + (1 - a) relu(x): x where it is positive, a x elsewhere.

    The usual rewriting, relu(x) - a relu(-x), is as equal and took 2.5 times as long.
    """
    slope = slope_C.view(1, -1, 1, 1)
    return slope * feature_NCHW + (1.0 - slope) * F.relu(feature_NCHW)


def elu_lowered(feature: Tensor) -> Tensor:
    """max(x, exp(min(x, 0)) - 1): the exponential's branch is above the line below zero, and 0 above it."""
    return torch.maximum(feature, torch.exp(feature.clamp(max=0.0)) - 1.0)


def mish_lowered(feature: Tensor) -> Tensor:
    """x n (n + 2) / (n (n + 2) + 2) with n = exp(x): tanh(log(1 + n)) written as a fraction."""
    exponential = torch.exp(feature.clamp(max=_MISH_LINEAR_FROM))
    numerator = exponential * (exponential + 2.0)
    return feature * (numerator / (numerator + 2.0))


class PReLU(nn.PReLU):
    """Exported as `prelu_lowered`."""

    def forward(self, feature_NCHW: Tensor) -> Tensor:
        """Feature to feature."""
        if torch.compiler.is_exporting():
            return prelu_lowered(feature_NCHW, self.weight)
        return super().forward(feature_NCHW)


class ELU(nn.ELU):
    """Exported as `elu_lowered`; alpha is 1."""

    def forward(self, feature: Tensor) -> Tensor:
        """Feature to feature."""
        return elu_lowered(feature) if torch.compiler.is_exporting() else super().forward(feature)


class Mish(nn.Mish):
    """Exported as `mish_lowered`."""

    def forward(self, feature: Tensor) -> Tensor:
        """Feature to feature."""
        return mish_lowered(feature) if torch.compiler.is_exporting() else super().forward(feature)


class LowCostSwish(nn.Module):
    """2 x clip(0.2 x + 0.5, 0, 1), computed as 5/3 hard_swish(6/5 x), which has an operator of its own.

    A reconstruction: the survey gives no formula and the paper's text was not at hand. Its title and abstract
    name a "hard" swish, that is a swish whose sigmoid is a hard one; slope 0.2 is the hard sigmoid of the
    libraries of its time (clip(x / 5 + 1/2)), factor 2 and beta = 1 are from memory of the paper's equation.
    """

    def forward(self, feature: Tensor) -> Tensor:
        """Feature to feature."""
        return F.hardswish(feature * 1.2) * (5.0 / 3.0)


@dataclass(frozen=True, slots=True)
class ActivationEntry:
    """How an activation is made for a feature of C channels, its source, and what it is exported as.

    `lowering` is None where the exported operator is the function itself.
    """

    make: Callable[[int], nn.Module]
    source: str
    lowering: str | None = None


@dataclass(frozen=True, slots=True)
class GateEntry:
    """A bounded function of a gate's map, and its source."""

    function: Callable[[Tensor], Tensor]
    source: str


# In place where torch has it: a batch norm or a sum is before each, and neither needs its output again.
ACTIVATIONS: Mapping[str, ActivationEntry] = {
    "relu": ActivationEntry(lambda channels: nn.ReLU(inplace=True), "Nair and Hinton 2010, ICML"),
    "hard_swish": ActivationEntry(
        lambda channels: nn.Hardswish(inplace=True), "Howard et al. 2019, arXiv:1905.02244, section 5.2"
    ),
    "silu": ActivationEntry(
        lambda channels: nn.SiLU(inplace=True), "Elfwing et al. 2018, arXiv:1702.03118; Swish, arXiv:1710.05941"
    ),
    "leaky_relu": ActivationEntry(lambda channels: nn.LeakyReLU(0.01, inplace=True), "Maas et al. 2013, ICML"),
    "relu6": ActivationEntry(
        lambda channels: nn.ReLU6(inplace=True), "Krizhevsky 2010; Sandler et al. 2018, arXiv:1801.04381"
    ),
    "gelu": ActivationEntry(lambda channels: nn.GELU(), "Hendrycks and Gimpel 2016, arXiv:1606.08415, with erf"),
    "gelu_tanh": ActivationEntry(
        lambda channels: nn.GELU("tanh"), "Hendrycks and Gimpel 2016, arXiv:1606.08415, with tanh"
    ),
    "elu": ActivationEntry(
        lambda channels: ELU(inplace=True), "Clevert et al. 2016, arXiv:1511.07289", "max(x, exp(min(x, 0)) - 1)"
    ),
    "prelu": ActivationEntry(PReLU, "He et al. 2015, arXiv:1502.01852", "a x + (1 - a) relu(x)"),
    "low_cost_swish": ActivationEntry(
        lambda channels: LowCostSwish(),
        "Avenash and Viswanath 2019, https://scitepress.org/Papers/2019/74696, a reconstruction",
        "5/3 hard_swish(6/5 x)",
    ),
    "mish": ActivationEntry(
        lambda channels: Mish(inplace=True), "Misra 2019, arXiv:1908.08681", "x n (n + 2) / (n (n + 2) + 2), n = exp(x)"
    ),
}
"""The common ones first."""

GATES: Mapping[str, GateEntry] = {
    "sigmoid": GateEntry(torch.sigmoid, "Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735"),
    "hard_sigmoid": GateEntry(
        F.hardsigmoid, "Courbariaux et al. 2015, arXiv:1511.00363; slope 1/6 of arXiv:1905.02244"
    ),
    "tanh": GateEntry(torch.tanh, "Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735"),
}
"""Bounded functions: of a gate (0..1), and of a candidate (-1..1)."""


def activation(name: str | None, channels: int) -> list[nn.Module]:
    """The activation of a feature of `channels` channels, as a list to splice into a Sequential; empty for None."""
    return [] if name is None else [ACTIVATIONS[name].make(channels)]


def apart(name: str, channels: int) -> nn.Sequential:
    """The activation as a module that leaves what it is given as it is, for a feature that others read too."""
    modules = activation(name, channels)
    for module in modules:
        if "inplace" in vars(module):
            vars(module)["inplace"] = False
    return nn.Sequential(*modules)
