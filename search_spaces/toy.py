"""A small conditional space with a known best point, for tests of searchers. Knows nothing of networks."""

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
