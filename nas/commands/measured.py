"""What `vidseg-nas list` says of measured costs: from the packaged table to facts. Measures nothing."""

from collections.abc import Mapping
from typing import Any

Facts = Mapping[str, Any]


def cost_facts(group: str, option: str) -> Facts:
    """Parameters, multiply-accumulates and state of a part's usual form, and the latency of all measured forms."""
    from latency_tables.reference_costs import costs_of

    first = next(iter(costs_of(group, option)), None)
    if first is None:
        return {"parameters": None, "macs": None, "state_bytes": None, "latency": None}
    return {
        "parameters": first.parameters,
        "macs": first.macs,
        "state_bytes": first.state_bytes,
        "latency": latency_facts(group, option),
    }


def latency_facts(group: str, option: str) -> Facts | None:
    """Where it was measured, and of every form milliseconds and the ratio to a dense 3x3; None where it was not."""
    from latency_tables.reference_costs import costs_of, reference_costs

    parts = costs_of(group, option)
    if not parts:
        return None
    header = reference_costs()[0]
    return {
        "device": header.processor,
        "versions": dict(header.versions),
        "forms": [
            {
                "form": part.variant or "usual",
                "latency_ms": dict(part.latency_ms),
                "ratio_to_dense_3x3": dict(part.ratio),
                "macs": part.macs,
                "contended": part.contended,
                **({"note": part.note} if part.note else {}),
            }
            for part in parts
        ],
    }
