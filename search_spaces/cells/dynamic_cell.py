"""The searched dynamic cell: a small graph that joins a feature with the cell's own past. Knows nothing of its place.

Source: Nekrasov et al. 2020, Architecture search of dynamic cells for semantic video segmentation (WACV): a static
network and a searched cell between its frames. Our reconstruction from the paper's text, for no code was published;
operations are those of its authors' still-image search (Nekrasov et al. 2018, arXiv:1810.10804, section 3.3).
Differs: convolutions have a bias and neither batch norm (the past is empty at first, and the variance of nothing
would blow up what comes later) nor activation, and what one node reads of another goes through a ReLU; the past is
the cell's own output; the result is added to the feature, so that a new cell passes it on.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.dynamic_spec import NODES, DynamicCellSpec, NodeInput, NodeSpec
from search_spaces.fusion import FUSIONS

DILATION = 3
"""Of the dilated convolution, as of the source's first dilated operation."""


class _GlobalAverage(nn.Module):
    """Gates its input by its global average (as LR-ASPP's pooling branch, arXiv:1905.02244, section 6.4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, map_BCHW: Tensor) -> Tensor:
        """Map to map."""
        return map_BCHW * torch.sigmoid(self.gate(map_BCHW.mean((2, 3), keepdim=True)))


class _WeightedSum(nn.Module):
    """One learned weight a channel and operand; the mean at the start."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight_2C11 = nn.Parameter(torch.full((2, channels, 1, 1), 0.5))

    def forward(self, one_BCHW: Tensor, other_BCHW: Tensor) -> Tensor:
        """Two maps to one."""
        return self.weight_2C11[0] * one_BCHW + self.weight_2C11[1] * other_BCHW


def _conv(channels: int, kernel: int, dilation: int = 1) -> nn.Module:
    return nn.Conv2d(channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation)


def _separable(channels: int) -> nn.Module:
    depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(channels, channels, 1))


OPS: Mapping[str, Callable[[int], nn.Module]] = {
    "skip": lambda channels: nn.Identity(),
    "conv1x1": lambda channels: _conv(channels, 1),
    "conv3x3": lambda channels: _conv(channels, 3),
    "sep_conv3x3": _separable,
    "dil_conv3x3": lambda channels: _conv(channels, 3, DILATION),
    "global_average": _GlobalAverage,
}
AGGREGATIONS: Mapping[str, Callable[[int], nn.Module]] = {
    "sum": FUSIONS["add"],
    "weighted_sum": _WeightedSum,
    "concat": FUSIONS["concat"],
    "gate": FUSIONS["gate"],
}


class _Node(nn.Module):
    def __init__(self, spec: NodeSpec, channels: int) -> None:
        super().__init__()
        self.inputs = spec.inputs
        self.ops = nn.ModuleList(OPS[operand.op](channels) for operand in spec.operands)
        self.join = AGGREGATIONS[spec.aggregation](channels) if len(spec.operands) == 2 else nn.Identity()

    def forward(self, known: Mapping[NodeInput, Tensor]) -> Tensor:
        operands = [op(known[name]) for name, op in zip(self.inputs, self.ops, strict=True)]
        out: Tensor = self.join(*operands)
        return out


class DynamicCell(TemporalCell):
    """y = x + mean of the nodes that no other reads; the state is y, read through tanh, which bounds what goes round.

    On class scores the state is also read as the previous prediction, softmax(y), which before the first frame
    says that every class is as likely.
    """

    def __init__(self, channels: int, spec: DynamicCellSpec) -> None:
        super().__init__()
        self.channels = channels
        # A cell of skips and sums has no parameter that would say on which device its state lies.
        self.register_buffer("zero", torch.zeros(()), persistent=False)
        self.nodes = nn.ModuleList(_Node(node, channels) for node in spec.nodes)
        self.reads = frozenset(name for node in spec.nodes for name in node.inputs)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The cell's output of the frame before."""
        return (self._zeros(batch, self.channels, height, width),)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame."""
        known: dict[NodeInput, Tensor] = {"feature": feature_BCHW}
        if "state" in self.reads:
            known["state"] = torch.tanh(state[0])
        if "prediction" in self.reads:
            known["prediction"] = torch.softmax(state[0], 1)
        loose = []
        for index, node in enumerate(self.nodes):
            out = node(known)
            if index < len(NODES) and NODES[index] in self.reads:
                known[NODES[index]] = torch.relu(out)
            else:
                loose.append(out)
        total = loose[0]
        for out in loose[1:]:
            total = total + out
        out = feature_BCHW + (total / len(loose) if len(loose) > 1 else total)
        return out, (out,)
