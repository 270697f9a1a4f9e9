"""What is asked of the searched dynamic cell: nodes, their inputs, operations, aggregation. Knows nothing of modules.

Nodes are asked for in the order they are recorded in, each from where the one before it is in that order: every
cell can be asked for, and in one way only.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import TypeVar

from search_spaces.cells.dynamic_spec import (
    AGGREGATIONS,
    EXTERNAL,
    MAX_NODES,
    OPS,
    PAST,
    Aggregation,
    DynamicCellSpec,
    NodeInput,
    NodeOp,
    NodeSpec,
    OperandSpec,
    latest_first,
    readable_nodes,
)
from search_spaces.decisions import Choose

T = TypeVar("T")
Inputs = tuple[NodeInput, ...]
ALONE_OPS: tuple[NodeOp, ...] = OPS[1:]
"""A node of one skip would be another name for its input."""


def ask_dynamic_cell(choose: Choose, name: str, *, on_scores: bool = False) -> DynamicCellSpec:
    """The questions of a dynamic cell; on class scores the previous prediction can be read too."""
    external = EXTERNAL if on_scores else tuple(known for known in EXTERNAL if known != "prediction")
    num_nodes = choose(f"{name}.nodes", tuple(range(1, MAX_NODES + 1)))
    nodes: list[NodeSpec] = []
    for index in range(num_nodes):
        options = _inputs((*external, *readable_nodes(nodes)), nodes[-1] if nodes else None)
        if index == num_nodes - 1 and not any(_reads_past(node.inputs) for node in nodes):
            options = [inputs for inputs in options if _reads_past(inputs)]
        inputs = choose(f"{name}.node{index}.inputs", options)
        nodes.append(_ask_node(choose, f"{name}.node{index}", inputs, nodes[-1] if nodes else None))
    return DynamicCellSpec(tuple(nodes))


def _inputs(known: Inputs, before: NodeSpec | None) -> list[Inputs]:
    """One or two of `known`, not before those of the node before."""
    found: list[Inputs] = [(one,) for one in known]
    found += combinations(known, 2)
    least = latest_first(before.inputs) if before else ()
    return [inputs for inputs in sorted(found, key=latest_first) if latest_first(inputs) >= least]


def _reads_past(inputs: Inputs) -> bool:
    return any(name in PAST for name in inputs)


def _ask_node(choose: Choose, name: str, inputs: Inputs, before: NodeSpec | None) -> NodeSpec:
    """Operations and aggregation. Of nodes with equal inputs, they are not before those of the node before."""
    bound = before if before and before.inputs == inputs else None
    offered = OPS if len(inputs) == 2 else ALONE_OPS
    operands: list[OperandSpec] = []
    for index, one in enumerate(inputs):
        least = bound.operands[index].op if bound else offered[0]
        op: NodeOp = choose(f"{name}.op{index}", _from(offered, least))
        operands.append(OperandSpec(one, op))
        bound = bound if op == least else None
    if len(inputs) == 1:
        return NodeSpec(tuple(operands))
    aggregation: Aggregation = choose(
        f"{name}.aggregation", _from(AGGREGATIONS, bound.aggregation if bound else AGGREGATIONS[0])
    )
    return NodeSpec(tuple(operands), aggregation)


def _from(options: Sequence[T], least: T) -> Sequence[T]:
    return options[options.index(least) :]
