"""The frozen, hashable, recorded form of a network. Knows nothing of modules, spaces or searchers.

Everything here is data: it travels as JSON, is compared by value and is named by its key.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.decoder_spec import DecoderSpec
from search_spaces.detail_spec import DetailSpec
from search_spaces.door import STRICT, dump_json, parse_json
from search_spaces.errors import InputError
from search_spaces.network_spec import NetworkSpec, Placement, TemporalSite
from search_spaces.schedule_rules import heads_refusal
from search_spaces.stage_spec import (
    Activation,
    Attention,
    Block,
    Channels,
    ConvSpec,
    Factorization,
    StageSpec,
    StemSpec,
)  # fmt: skip

__all__ = [
    "Activation", "Architecture", "Attention", "Block", "Channels", "ConvSpec", "DecoderSpec", "DetailSpec",
    "Factorization", "NetworkSpec",
    "Placement", "PointSpec", "StageSpec", "StemSpec", "TemporalSite", "TrainingSpec", "key_of",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PointSpec:
    """A point of a recorded or toy benchmark: named values, nothing that can be built."""

    __pydantic_config__: ClassVar = STRICT
    values: Annotated[tuple[tuple[str, int], ...], Field(max_length=256)]
    kind: Literal["point"] = "point"


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """What the space decides about training: the weight of the temporal consistency loss, heads that only train.

    The heads (evaluators/training_heads.py) are never part of the network: `network_key` knows nothing of them.
    """

    __pydantic_config__: ClassVar = STRICT
    temporal_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0
    auxiliary: bool = False
    boundary: bool = False


def key_of(canonical_json: str) -> str:
    """The key of the architecture with this canonical JSON."""
    return hashlib.sha256(canonical_json.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network and what the space decides of its training. Frozen, hashable, JSON."""

    __pydantic_config__: ClassVar = STRICT
    network: Annotated[NetworkSpec | PointSpec, Field(discriminator="kind")]
    training: TrainingSpec = TrainingSpec()
    schema: Literal[1] = 1

    def __post_init__(self) -> None:
        if isinstance(self.network, NetworkSpec):
            training = self.training
            refusal = heads_refusal(self.network, auxiliary=training.auxiliary, boundary=training.boundary)
            if refusal is not None:
                raise ValueError(refusal)

    @property
    def key(self) -> str:
        """sha256 of the canonical JSON: equal networks, trained the same way, have equal keys."""
        return key_of(self.to_json())

    @property
    def network_key(self) -> str:
        """As `key`, without training: names what is exported and timed."""
        return replace(self, training=TrainingSpec()).key

    @property
    def video(self) -> NetworkSpec:
        """The network's specification.

        Raises:
            InputError: this is a point of a recorded benchmark, which cannot be built.
        """
        if isinstance(self.network, NetworkSpec):
            return self.network
        raise InputError("architecture: a point of a recorded benchmark cannot be built; give a video network")

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        known = _RECENT.get(id(self))
        if known is not None and known[0] is self:
            return known[1]
        text = dump_json(self)
        while len(_RECENT) >= _MAX_RECENT:
            _RECENT.pop(next(iter(_RECENT)), None)
        _RECENT[id(self)] = (self, text)
        return text

    @classmethod
    def from_json(cls, text: str | bytes, source: str = "architecture") -> "Architecture":
        """Read what `to_json` wrote. Raises InputError naming `source`, the field and what is allowed."""
        return parse_json(cls, text, source)


_MAX_RECENT = 256
_RECENT: dict[int, tuple[Architecture, str]] = {}
"""The JSON of architectures met lately, by object and not by value: a trial's key is asked for many times, and
equal values may differ in type (0 and 0.0), which a cache by value would mix up."""
