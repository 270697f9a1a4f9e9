"""The recorded form of the searched dynamic cell: a small graph, spelled in one way. Knows nothing of modules.

Our reconstruction of Nekrasov et al. 2020, Architecture search of dynamic cells for semantic video segmentation
(WACV), of which no code was published; operations and aggregations as of its authors' still-image search
(arXiv:1810.10804).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.door import STRICT

NodeInput = Literal["feature", "state", "prediction", "node0", "node1", "node2"]
"""feature: what the cell is given; state: the cell's output of the frame before; prediction: the same as class
probabilities, only on the scores; nodeN: an earlier node."""

NodeOp = Literal["skip", "conv1x1", "conv3x3", "sep_conv3x3", "dil_conv3x3", "global_average"]
"""What is done to an input. The operation "none" of the source is an operand left out."""

Aggregation = Literal["sum", "weighted_sum", "concat", "gate"]

PAST: tuple[NodeInput, ...] = ("state", "prediction")
NODES: tuple[NodeInput, ...] = ("node0", "node1", "node2")
EXTERNAL: tuple[NodeInput, ...] = ("feature", *PAST)
INPUTS: tuple[NodeInput, ...] = (*EXTERNAL, *NODES)
OPS: tuple[NodeOp, ...] = ("skip", "conv1x1", "conv3x3", "sep_conv3x3", "dil_conv3x3", "global_average")
AGGREGATIONS: tuple[Aggregation, ...] = ("sum", "weighted_sum", "concat", "gate")
MAX_NODES = 4


@dataclass(frozen=True, slots=True)
class OperandSpec:
    """One input of a node and what is done to it."""

    __pydantic_config__: ClassVar = STRICT
    input: NodeInput
    op: NodeOp


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One or two operands of different inputs, listed in the order of INPUTS, and how two of them join.

    Every aggregation is symmetric, so that one order says everything.

    Raises:
        ValueError: operands in another order or of one input, a single one that is a skip (another name for its
            input), or an aggregation of a single one.
    """

    __pydantic_config__: ClassVar = STRICT
    operands: Annotated[tuple[OperandSpec, ...], Field(min_length=1, max_length=2)]
    aggregation: Aggregation = "sum"

    def __post_init__(self) -> None:
        if self.inputs != tuple(name for name in INPUTS if name in self.inputs):
            raise ValueError(f"operands of {list(self.inputs)} given; list different ones as in {list(INPUTS)}")
        if len(self.operands) == 1 and self.operands[0].op == "skip":
            raise ValueError("a single operand with 'skip' given; the node would be another name for its input")
        if len(self.operands) == 1 and self.aggregation != "sum":
            raise ValueError(f"aggregation {self.aggregation!r} given for a single operand; leave it 'sum'")

    @property
    def inputs(self) -> tuple[NodeInput, ...]:
        """What its operands are of."""
        return tuple(operand.input for operand in self.operands)

    @property
    def rank(self) -> tuple[object, ...]:
        """By what nodes are ordered: the latest input, the other one, the operations, the aggregation."""
        ops = tuple(OPS.index(operand.op) for operand in self.operands)
        return latest_first(self.inputs), ops, AGGREGATIONS.index(self.aggregation)


def latest_first(inputs: Sequence[NodeInput]) -> tuple[int, ...]:
    """The order of sets of inputs in which every graph can list its nodes: what reads a later node comes later."""
    return tuple(sorted((INPUTS.index(name) for name in inputs), reverse=True))


DEFAULT_NODE = NodeSpec((OperandSpec("feature", "conv1x1"), OperandSpec("state", "conv1x1")))


@dataclass(frozen=True, slots=True)
class DynamicCellSpec:
    """A searched graph of 1 to 4 nodes over the feature and the cell's own past.

    The nodes that no other reads are averaged and added to the feature. Nodes are listed by their rank, which
    every graph allows (take, again and again, the least of the nodes whose inputs are listed), and of equal ones
    only the first is read: so one cell has one spelling.

    Raises:
        ValueError: a node reads a later one or the second of two equal ones, nothing reads the past, or the nodes
            are in another order.
    """

    __pydantic_config__: ClassVar = STRICT
    nodes: Annotated[tuple[NodeSpec, ...], Field(min_length=1, max_length=MAX_NODES)] = (DEFAULT_NODE,)
    kind: Literal["dynamic_cell"] = "dynamic_cell"

    def __post_init__(self) -> None:
        for index, node in enumerate(self.nodes):
            readable = readable_nodes(self.nodes[:index])
            foreign = [name for name in node.inputs if name in NODES and name not in readable]
            if foreign:
                raise ValueError(f"nodes.{index}: reads {foreign[0]!r}; of the nodes it may read {list(readable)}")
        if not any(name in PAST for node in self.nodes for name in node.inputs):
            raise ValueError(f"nodes: none reads the past; one operand at least must be of {list(PAST)}")
        ranks = [node.rank for node in self.nodes]
        if any(after < before for before, after in pairwise(ranks)):
            raise ValueError("nodes: list them by their latest input, the other one, their operations, the aggregation")

    @property
    def reads_prediction(self) -> bool:
        """Whether it can only stand on class scores."""
        return any("prediction" in node.inputs for node in self.nodes)


def readable_nodes(nodes: Sequence[NodeSpec]) -> tuple[NodeInput, ...]:
    """The nodes that the one after `nodes` may read: of equal ones the first, for the others would do the same."""
    return tuple(NODES[i] for i, node in enumerate(nodes[: len(NODES)]) if node not in nodes[:i])
