"""A space whose points are recorded networks: it asks what they were asked. Knows nothing of files or metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from search_spaces.architecture import Architecture
from search_spaces.decisions import Choose, Decoded
from search_spaces.errors import InputError

Answers = tuple[tuple[str, int], ...]
"""(decision, the value recorded for it), in the order asked."""


@dataclass(frozen=True, slots=True)
class Member:
    """A recorded network; `name` is what messages call it."""

    name: str
    answers: Answers
    architecture: Architecture


@dataclass(slots=True)
class _Node:
    """A question, and what is asked after each answer; a leaf has a member instead."""

    question: str = ""
    after: dict[int, "_Node"] = field(default_factory=dict)
    member: Member | None = None


class RecordedSpace:
    """The questions of the recorded genotypes, with those options only that lead to a recorded network.

    Options are the recorded values, in ascending order. A question with one option left is asked too: its answer
    says something about the network. It lists its points, so that a sample of it is uniform over the networks.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        """Raises InputError: no members, two with the same answers, or two that are asked different questions."""
        if not members:
            raise InputError("recorded space: no networks given, at least one is needed")
        self._root = _Node()
        self._members = tuple(members)
        for member in members:
            _insert(self._root, member)
        for node in _nodes(self._root):
            node.after = dict(sorted(node.after.items()))

    def decode(self, choose: Choose) -> Architecture:
        """A recorded network."""
        node = self._root
        while node.member is None:
            node = node.after[choose(node.question, tuple(node.after))]
        return node.member.architecture

    @cached_property
    def members(self) -> tuple[Decoded, ...]:
        """Every point with its genotype, in the order recorded."""
        return tuple(self._decoded(member) for member in self._members)

    def _decoded(self, member: Member) -> Decoded:
        node, genotype, num_options = self._root, dict[str, int](), dict[str, int]()
        for question, value in member.answers:
            options = tuple(node.after)
            genotype[question], num_options[question] = options.index(value), len(options)
            node = node.after[value]
        return Decoded(member.architecture, genotype, num_options)


def _nodes(root: _Node) -> Iterator[_Node]:
    left = [root]
    while left:
        node = left.pop()
        yield node
        left += node.after.values()


def _insert(root: _Node, member: Member) -> None:
    node = root
    for question, value in member.answers:
        if node.member is not None or (node.question and node.question != question):
            raise _differently(member, node)
        node.question = question
        node = node.after.setdefault(value, _Node())
    if node.member is not None:
        raise InputError(f"recorded networks {node.member.name} and {member.name} have the same answers")
    if node.after:
        raise _differently(member, node)
    node.member = member


def _differently(member: Member, node: _Node) -> InputError:
    other = next(found.member.name for found in _nodes(node) if found.member is not None)
    return InputError(
        f"recorded networks {other} and {member.name} give the same first answers and are then asked different "
        "questions; the answers must be in the order asked"
    )
