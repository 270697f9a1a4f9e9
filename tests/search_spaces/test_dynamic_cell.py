"""The searched dynamic cell: one spelling a cell, the graph computes what it says, every operation learns."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, TemporalSite
from search_spaces.cells.dynamic_cell import AGGREGATIONS, OPS, DynamicCell
from search_spaces.cells.dynamic_spec import (
    AGGREGATIONS as AGGREGATION_NAMES,
)
from search_spaces.cells.dynamic_spec import (
    OPS as OP_NAMES,
)
from search_spaces.cells.dynamic_spec import (
    Aggregation,
    DynamicCellSpec,
    NodeInput,
    NodeOp,
    NodeSpec,
    OperandSpec,
)
from search_spaces.decisions import Choose, enumerate_all, sample
from search_spaces.dynamic_questions import ask_dynamic_cell
from search_spaces.errors import InputError
from search_spaces.presets import PRESETS
from search_spaces.restricted import restricted

PLAIN = PRESETS["plain_small"].architecture


def _node(*operands: tuple[NodeInput, NodeOp], how: Aggregation = "sum") -> NodeSpec:
    return NodeSpec(tuple(OperandSpec(*operand) for operand in operands), how)


class Cells:
    """The questions of a dynamic cell as a space, with fewer operations so that it can be enumerated."""

    def __init__(self, nodes: int, ops: tuple[NodeOp, ...], how: tuple[Aggregation, ...], *, on_scores: bool) -> None:
        self.rules = {"cell.nodes": (nodes,), "*.op?": ops, "*.aggregation": how}
        self.on_scores = on_scores

    def decode(self, choose: Choose) -> Architecture:
        cell = ask_dynamic_cell(restricted(choose, self.rules), "cell", on_scores=self.on_scores)
        site = TemporalSite("logits" if self.on_scores else "decoder", cell)
        return Architecture(replace(PLAIN.video, temporal=(site,)))


def _expressions(spec: DynamicCellSpec) -> tuple[object, ...]:
    """The cell without names of nodes: every node written out down to what comes from outside."""
    written: dict[str, object] = {}
    found = []
    for index, node in enumerate(spec.nodes):
        operands = sorted((repr(written.get(o.input, o.input)), o.op) for o in node.operands)
        written[f"node{index}"] = (tuple(operands), node.aggregation)
        found.append(repr(written[f"node{index}"]))
    return tuple(sorted(found))


def _points(space: Cells) -> Iterator[DynamicCellSpec]:
    for point in enumerate_all(space):
        cell = point.architecture.video.temporal[0].cell
        assert isinstance(cell, DynamicCellSpec)
        yield cell


@pytest.mark.parametrize(
    "space",
    [
        Cells(1, OP_NAMES, AGGREGATION_NAMES, on_scores=True),
        Cells(2, ("conv1x1", "conv3x3"), ("sum", "gate"), on_scores=False),
        Cells(3, ("conv1x1",), ("sum", "gate"), on_scores=False),
    ],
    ids=["one node", "two nodes", "three nodes"],
)
def test_every_genotype_is_another_cell(space: Cells) -> None:
    """No two are the same graph under other names of nodes, so one network has one key."""
    cells = list(_points(space))
    assert len({_expressions(cell) for cell in cells}) == len(cells) > 100


def test_every_cell_of_one_node_can_be_asked_for() -> None:
    """By hand: 1 or 2 different inputs of 3, at least one of the past, any operations but a lone skip."""
    cells = set(_points(Cells(1, OP_NAMES, AGGREGATION_NAMES, on_scores=True)))
    assert len(cells) == 2 * 5 + 3 * 6 * 6 * 4


@pytest.mark.slow
def test_random_cells_of_four_nodes_are_all_different_graphs() -> None:
    space, rng = Cells(4, OP_NAMES, AGGREGATION_NAMES, on_scores=True), random.Random(0)
    by_expression: dict[tuple[object, ...], str] = {}
    for _ in range(5000):
        architecture = sample(space, rng).architecture
        cell = architecture.video.temporal[0].cell
        assert isinstance(cell, DynamicCellSpec)
        assert by_expression.setdefault(_expressions(cell), architecture.key) == architecture.key


STATE_SKIP = _node(("feature", "skip"), ("state", "skip"))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((_node(("feature", "conv1x1")),), r"none reads the past"),
        ((_node(("node0", "conv1x1"), how="sum"),), r"nodes.0: reads 'node0'; of the nodes it may read \[\]"),
        ((STATE_SKIP, STATE_SKIP, _node(("node1", "conv1x1"))), r"nodes.2: reads 'node1'.*\['node0'\]"),
        ((_node(("state", "conv3x3")), _node(("state", "conv1x1"))), r"list them by their latest input"),
        ((_node(("state", "conv3x3")), _node(("feature", "conv1x1"))), r"list them by their latest input"),
    ],
)
def test_another_spelling_is_refused(nodes: tuple[NodeSpec, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DynamicCellSpec(nodes)


def test_a_node_has_one_spelling() -> None:
    with pytest.raises(ValueError, match=r"of \['state', 'feature'\] given; list different ones"):
        _node(("state", "skip"), ("feature", "skip"))
    with pytest.raises(ValueError, match=r"of \['state', 'state'\] given; list different ones"):
        _node(("state", "skip"), ("state", "conv1x1"))
    with pytest.raises(ValueError, match=r"a single operand with 'skip' given"):
        _node(("state", "skip"))
    with pytest.raises(ValueError, match=r"aggregation 'gate' given for a single operand"):
        _node(("state", "conv1x1"), how="gate")


def test_the_prediction_is_read_on_the_scores_alone() -> None:
    cell = DynamicCellSpec((_node(("prediction", "conv1x1")),))
    text = Architecture(replace(PLAIN.video, temporal=(TemporalSite("logits", cell),))).to_json()
    assert Architecture.from_json(text).video.temporal[0].cell == cell
    with pytest.raises(InputError, match=r"reads 'prediction' at 'decoder' given; only on 'logits'"):
        Architecture.from_json(text.replace('"placement":"logits"', '"placement":"decoder"'))


def test_a_cell_from_outside_is_bounded() -> None:
    text = Architecture(replace(PLAIN.video, temporal=(TemporalSite("logits", DynamicCellSpec()),))).to_json()
    node = text[text.index('"nodes":[') + 9 : text.index("]", text.index('"operands"')) + 2]
    with pytest.raises(InputError, match=r"nodes.*at most 4 items"):
        Architecture.from_json(text.replace(node, ",".join([node] * 5)))


@torch.no_grad()
def test_the_graph_computes_what_it_says() -> None:
    """Two nodes that nothing reads are averaged; an inner one is read through a ReLU, the past through tanh."""
    spec = DynamicCellSpec(
        (
            _node(("feature", "skip"), ("state", "skip"), how="weighted_sum"),
            _node(("feature", "skip"), ("node0", "skip")),
            _node(("state", "skip"), ("node0", "skip"), how="gate"),
        )
    )
    cell = DynamicCell(3, spec).eval()
    generator = torch.Generator().manual_seed(0)
    feature, before = torch.randn(2, 1, 3, 4, 5, generator=generator).unbind(0)
    weights, gate = cell.nodes[0].join, cell.nodes[2].join
    assert isinstance(weights.weight_2C11, Tensor)
    weights.weight_2C11.copy_(torch.tensor([0.25, -2.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1))
    past = torch.tanh(before)
    inner = torch.relu(0.25 * feature - 2.0 * past)
    assert isinstance(gate.gate, nn.Conv2d)
    share = torch.sigmoid(gate.gate(torch.cat([past, inner], 1)))
    expected = feature + ((feature + inner) + (past + share * (inner - past))) / 2
    out, (following,) = cell.step(feature, (before,))
    assert torch.allclose(out, expected, atol=1e-6)
    assert torch.equal(out, following)


@torch.no_grad()
def test_on_scores_the_past_is_a_prediction_and_even_before_the_first_frame() -> None:
    cell = DynamicCell(4, DynamicCellSpec((_node(("feature", "skip"), ("prediction", "skip")),))).eval()
    feature, before = torch.randn(2, 1, 4, 3, 3, generator=torch.Generator().manual_seed(0)).unbind(0)
    assert torch.allclose(cell.step(feature, (before,))[0], 2 * feature + torch.softmax(before, 1))
    assert torch.allclose(cell.step(feature, cell.initial_state(1, 3, 3))[0], 2 * feature + 0.25)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("op", OP_NAMES)
@pytest.mark.parametrize("how", AGGREGATION_NAMES)
def test_every_operation_and_aggregation_learns(op: NodeOp, how: Aggregation, channels: int) -> None:
    assert set(OPS) == set(OP_NAMES)
    assert set(AGGREGATIONS) == set(AGGREGATION_NAMES)
    nodes = (_node(("feature", "conv1x1"), ("state", op), how=how), _node(("state", "conv1x1"), ("node0", op), how=how))
    cell = DynamicCell(channels, DynamicCellSpec(nodes)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    clip = torch.randn(2, 3, channels, 5, 7, generator=torch.Generator().manual_seed(0))
    out, _ = cell.scan(clip, cell.initial_state(2, 5, 7))
    assert out.shape == clip.shape
    out.pow(3).sum().backward()
    for name, parameter in cell.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@torch.no_grad()
def test_what_goes_round_stays_bounded() -> None:
    """A cell that adds its own past to the feature would grow without end, were the past not bounded."""
    cell = DynamicCell(2, DynamicCellSpec((STATE_SKIP,))).eval()
    state = cell.initial_state(1, 4, 4)
    for _ in range(200):
        out, state = cell.step(torch.ones(1, 2, 4, 4), state)
    assert out.abs().max() <= 3.0


def test_the_default_can_be_asked_for() -> None:
    """The default spec lies in the space: every test that takes it tests a member."""
    assert DynamicCellSpec() in set(_points(Cells(1, ("conv1x1",), ("sum",), on_scores=False)))
