"""Every activation and gate is its textbook formula, in torch and in the form that is exported."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from search_spaces.activations import (
    ACTIVATIONS,
    GATES,
    activation,
    elu_lowered,
    mish_lowered,
    prelu_lowered,
)
from search_spaces.ops.dense import conv_bn

SLOPE = 0.25
"""PReLU's slope before training."""

Formula = Callable[[Tensor], Tensor]

FORMULAS: Mapping[str, Formula] = {
    "relu": lambda x: x * (x > 0),
    "relu6": lambda x: x.clamp(0, 6),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "prelu": lambda x: torch.where(x > 0, x, SLOPE * x),
    "elu": lambda x: torch.where(x > 0, x, torch.expm1(x)),
    "gelu": lambda x: x * 0.5 * torch.erfc(-x / 2**0.5),
    "gelu_tanh": lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "hard_swish": lambda x: x * (x + 3).clamp(0, 6) / 6,
    "low_cost_swish": lambda x: 2 * x * (0.2 * x + 0.5).clamp(0, 1),
    "mish": lambda x: x * torch.tanh(torch.log1p(torch.exp(x))),
}
GATE_FORMULAS: Mapping[str, Formula] = {
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "hard_sigmoid": lambda x: (x / 6 + 0.5).clamp(0, 1),
    "tanh": lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x)),
}
LOWERINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "elu": elu_lowered,
    "mish": mish_lowered,
    "prelu": lambda x: prelu_lowered(x, torch.full((x.shape[1],), SLOPE)),
}
GRID_NCHW = torch.linspace(-40, 40, 4 * 1001).view(1, 4, 1, 1001)


def _assert_close(found: Tensor, formula: Formula) -> None:
    """To a millionth, absolute or relative; the formula is computed in double precision."""
    torch.testing.assert_close(found.double(), formula(GRID_NCHW.double()), atol=1e-6, rtol=1e-6)


def test_every_entry_has_a_formula() -> None:
    assert set(FORMULAS) == set(ACTIVATIONS)
    assert set(GATE_FORMULAS) == set(GATES)
    own = {name for name, entry in ACTIVATIONS.items() if entry.lowering}
    assert own == {*LOWERINGS, "low_cost_swish"}  # which torch computes in that form too


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
class TestEveryActivation:
    @torch.no_grad()
    def test_is_its_formula(self, name: str) -> None:
        (act,) = activation(name, 4)
        _assert_close(act(GRID_NCHW.clone()), FORMULAS[name])

    def test_gradients_are_finite_far_out_and_at_the_kinks(self, name: str) -> None:
        points = torch.tensor([-1e4, -90.0, -6.0, -3.0, -2.5, 0.0, 2.5, 3.0, 6.0, 20.0, 90.0, 1e4])
        feature = points.view(1, 4, 1, 3).requires_grad_()
        (act,) = activation(name, 4)
        act(feature * 1.0).sum().backward()  # as in a network: the activation may work in place
        for tensor in (feature, *act.parameters()):
            assert tensor.grad is not None
            assert torch.isfinite(tensor.grad).all()

    def test_its_gradient_is_its_formulas(self, name: str) -> None:
        feature = GRID_NCHW.clone().requires_grad_()
        reference = GRID_NCHW.double().requires_grad_()
        (act,) = activation(name, 4)
        act(feature * 1.0).sum().backward()
        FORMULAS[name](reference).sum().backward()
        torch.testing.assert_close(feature.grad.double(), reference.grad, atol=1e-5, rtol=1e-5)  # type: ignore[union-attr]

    def test_a_unit_with_it_learns_in_mixed_precision(self, name: str) -> None:
        unit = conv_bn(3, 8, 3, act=name)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = unit(torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(0)))
        out.float().square().mean().backward()
        for parameter in unit.parameters():
            assert parameter.grad is not None
            assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("name", sorted(GATES))
def test_every_gate_is_its_formula(name: str) -> None:
    _assert_close(GATES[name].function(GRID_NCHW), GATE_FORMULAS[name])


@pytest.mark.parametrize("name", sorted(LOWERINGS))
def test_what_is_exported_is_the_formula(name: str) -> None:
    _assert_close(LOWERINGS[name](GRID_NCHW), FORMULAS[name])


def test_prelu_has_a_slope_a_channel_exported_as_trained() -> None:
    (act,) = activation("prelu", 4)
    assert isinstance(act, nn.PReLU)
    slope_C = torch.tensor([-0.5, 0.0, 1.0, 3.0])
    with torch.no_grad():
        act.weight.copy_(slope_C)
        expected = torch.where(GRID_NCHW > 0, GRID_NCHW, slope_C.view(1, 4, 1, 1) * GRID_NCHW)
        torch.testing.assert_close(act(GRID_NCHW), expected)
        torch.testing.assert_close(prelu_lowered(GRID_NCHW, act.weight), expected)


def test_a_unit_gives_the_activation_its_output_channels() -> None:
    act = conv_bn(3, 8, 1, act="prelu")[2]
    assert isinstance(act, nn.PReLU)
    assert act.weight.shape == (8,)
