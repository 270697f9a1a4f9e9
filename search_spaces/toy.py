"""Small conditional spaces with known best points, for tests of searchers. Knows nothing of networks."""

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.architecture import Architecture, PointSpec
from search_spaces.decisions import Choose

DEPTHS = (1, 2, 3, 4)
OPS = (0, 1, 2, 3, 4)
WIDTHS = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class ToySpace:
    """Depth, then for each node an operation and, for operations above 1, a width: conditional questions."""

    depths: tuple[int, ...] = DEPTHS

    def decode(self, choose: Choose) -> Architecture:
        """A point: depth and each node's answers."""
        depth = choose("depth", self.depths)
        values = [("depth", depth)]
        for node in range(depth):
            op = choose(f"node{node}.op", OPS)
            values.append((f"node{node}.op", op))
            if op > 1:
                values.append((f"node{node}.width", choose(f"node{node}.width", WIDTHS)))
        return Architecture(PointSpec(tuple(values)))


def toy_metrics(architecture: Architecture) -> Mapping[str, float]:
    """A deterministic landscape with interactions between neighbours: `miou` in 0..1 and `latency_ms`.

    Deeper and wider is better and slower; alternating operations are rewarded, so that single decisions
    cannot be judged alone.
    """
    assert isinstance(architecture.network, PointSpec)
    values = dict(architecture.network.values)
    depth = values["depth"]
    score = 0.05 * depth
    latency_ms = 1.0 + depth
    previous = 0
    for node in range(depth):
        op = values[f"node{node}.op"]
        width = values.get(f"node{node}.width", 0)
        score += 0.02 * op + 0.02 * width + (0.06 if abs(op - previous) >= 2 else 0.0)
        latency_ms += 0.3 * op + 0.5 * width
        previous = op
    return {"miou": min(score, 1.0), "latency_ms": latency_ms}


@dataclass(frozen=True, slots=True)
class MatchingSpace:
    """Pairs of an operation and, for operations above 0, a width; see `matching_metrics`."""

    num_pairs: int = 4
    num_options: int = 6

    def decode(self, choose: Choose) -> Architecture:
        """A point: each pair's answers."""
        values = []
        for pair in range(self.num_pairs):
            op = choose(f"pair{pair}.op", tuple(range(self.num_options)))
            values.append((f"pair{pair}.op", op))
            if op > 0:
                values.append((f"pair{pair}.width", choose(f"pair{pair}.width", tuple(range(self.num_options)))))
        return Architecture(PointSpec(tuple(values)))

    def metrics(self, architecture: Architecture) -> Mapping[str, float]:
        """`miou`: the share of pairs whose width is the one that goes with their operation; no operation has none.

        No operation is better than another and no width is: which width is right depends on the operation alone. A
        searcher that answers each question by itself can learn one right point; one whose answers depend on those
        before learns the rule, and with it all (num_options - 1) ** num_pairs right points.
        """
        assert isinstance(architecture.network, PointSpec)
        values = dict(architecture.network.values)
        fits = [
            values[f"pair{pair}.op"] > 0
            and values[f"pair{pair}.width"] == (2 * values[f"pair{pair}.op"] + pair) % self.num_options
            for pair in range(self.num_pairs)
        ]
        return {"miou": sum(fits) / self.num_pairs}
