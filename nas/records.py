"""What the lines of a search's journal say, and what they add up to. Knows nothing of searchers or engines.

`begin` (schema version and the recipe's sha256), then for each trial `asked`, one `stage` for each stage it
went through, `told`; `warm` marks where a fresh searcher was told everything before it as prior data.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from evaluators.job import JobKind, Outcome
from nas.journal import read_lines
from nas.trial import Proposal, Trial, TrialStatus, Work
from search_spaces.architecture import Architecture, key_of
from search_spaces.door import STRICT, parse_json
from search_spaces.errors import InputError

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """The first record: what the journal is of."""

    __pydantic_config__: ClassVar = STRICT
    n: int
    type: Literal["begin"]
    crc: int
    version: Literal[1]
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the searcher proposed; `work` names the kind of a Work, which is no candidate."""

    __pydantic_config__: ClassVar = STRICT
    n: int
    type: Literal["asked"]
    crc: int
    trial: int
    key: str
    architecture: Architecture
    genotype: tuple[tuple[str, int], ...] = ()
    parent: int | None = None
    epochs: int | None = None
    work: Literal["supernet", "prune"] | None = None
    payload: tuple[tuple[str, str | int | float | bool], ...] = ()

    def proposal(self) -> Proposal | Work:
        """As the searcher gave it."""
        if self.work is None:
            return Proposal(dict(self.genotype), self.architecture, self.parent, self.epochs)
        return Work(self.work, self.architecture, self.payload, self.epochs or 0, self.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDone:
    """What one stage of a trial gave; `reused`: the earlier trial whose result answered it."""

    __pydantic_config__: ClassVar = STRICT
    n: int
    type: Literal["stage"]
    crc: int
    trial: int
    stage: JobKind
    identity: str
    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    artefact: str | None = None
    reused: int | None = None

    def outcome(self) -> Outcome:
        """As the evaluator gave it."""
        return Outcome(self.metrics, self.error, self.artefact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The end of a trial."""

    __pydantic_config__: ClassVar = STRICT
    n: int
    type: Literal["told"]
    crc: int
    trial: int
    status: TrialStatus
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """A fresh searcher was told of every trial finished before."""

    __pydantic_config__: ClassVar = STRICT
    n: int
    type: Literal["warm"]
    crc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A line of the events: a result, durable before its trial's turn in the journal."""

    __pydantic_config__: ClassVar = STRICT
    n: int
    type: Literal["finished"]
    crc: int
    trial: int
    stage: JobKind
    identity: str
    seconds: float
    host: str
    pid: int
    time: float
    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    artefact: str | None = None

    def outcome(self) -> Outcome:
        """As the evaluator gave it."""
        return Outcome(self.metrics, self.error, self.artefact)


Record = Begin | Asked | StageDone | Told | Warm
_KINDS: Mapping[str, type[Record]] = {
    "begin": Begin, "asked": Asked, "stage": StageDone, "told": Told, "warm": Warm,
}  # fmt: skip


def parse_records(lines: Sequence[bytes], path: Path) -> list[Record]:
    """The records of verified lines.

    Raises:
        InputError: naming the file, the line and the field that is not as this version writes it.
    """
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        kind = line[line.index(b'"type":"') + 8 :].split(b'"', 1)[0].decode()
        if kind not in _KINDS or (kind == "begin") != (number == 1):
            raise InputError(f"{path} line {number}: a record {kind!r} cannot stand here; is this a journal.jsonl?")
        records.append(parse_json(_KINDS[kind], line, f"{path} line {number}"))
    return records


def read_records(path: Path) -> list[Record]:
    """The records of a journal, while it is being written or not; errors as `parse_records`."""
    return parse_records(read_lines(path), path)


def asked_fields(number: int, proposal: Proposal | Work) -> dict[str, object]:
    """The fields of `asked`."""
    text = proposal.architecture.to_json()
    fields: dict[str, object] = {
        "trial": number, "key": key_of(text), "architecture": json.loads(text),
    }  # fmt: skip
    if isinstance(proposal, Work):
        fields |= {"work": proposal.kind, "payload": [list(pair) for pair in proposal.payload]}
    else:
        fields["genotype"] = [[name, index] for name, index in proposal.genotype.items()]
    if proposal.parent is not None:
        fields["parent"] = proposal.parent
    if proposal.epochs is not None:
        fields["epochs"] = proposal.epochs
    return fields


def outcome_fields(number: int, stage: JobKind, identity: str, outcome: Outcome) -> dict[str, object]:
    """The fields of `stage`, without `reused`; what is absent is left out."""
    fields: dict[str, object] = {"trial": number, "stage": stage, "identity": identity}
    if outcome.metrics:
        fields["metrics"] = dict(outcome.metrics)
    if outcome.error is not None:
        fields["error"] = outcome.error
    if outcome.artefact is not None:
        fields["artefact"] = outcome.artefact
    return fields


@dataclass(frozen=True, slots=True)
class History:
    """What records add up to: finished trials in the order told, those in flight, and results by identity.

    `last_identity` is the identity of each complete trial's last stage: the lineage of its children.
    """

    trials: tuple[Trial, ...]
    in_flight: Mapping[int, Proposal | Work]
    known: Mapping[str, Outcome]
    first_with: Mapping[str, int]
    last_identity: Mapping[int, str]
    reused: Mapping[int, bool]
    asked: Mapping[int, Proposal | Work]


def history(records: Iterable[Record]) -> History:
    """Add up `records`; needs no searcher and no space."""
    asked: dict[int, Proposal | Work] = {}
    stages: dict[int, list[StageDone]] = {}
    trials: list[Trial] = []
    known: dict[str, Outcome] = {}
    first_with: dict[str, int] = {}
    last_identity: dict[int, str] = {}
    reused: dict[int, bool] = {}
    for record in records:
        if isinstance(record, Asked):
            asked[record.trial] = record.proposal()
        elif isinstance(record, StageDone):
            stages.setdefault(record.trial, []).append(record)
            known.setdefault(record.identity, record.outcome())
            first_with.setdefault(record.identity, record.trial)
        elif isinstance(record, Told):
            done = stages.get(record.trial, [])
            trials.append(
                finished(
                    record.trial,
                    asked[record.trial],
                    record.status,
                    record.error,
                    [d.outcome() for d in done],
                )
            )
            reused[record.trial] = all(d.reused is not None for d in done)
            if record.status == "complete" and done:
                last_identity[record.trial] = done[-1].identity
    told = {trial.number for trial in trials}
    in_flight = {number: proposal for number, proposal in asked.items() if number not in told}
    return History(tuple(trials), in_flight, known, first_with, last_identity, reused, asked)


def finished(
    number: int,
    proposal: Proposal | Work,
    status: TrialStatus,
    error: str | None,
    outcomes: Sequence[Outcome],
) -> Trial:
    """A trial from what its stages gave: metrics merged, a later stage's in place of an earlier one's."""
    metrics: dict[str, float] = {}
    artefact = None
    for outcome in outcomes:
        metrics.update(outcome.metrics)
        artefact = outcome.artefact or artefact
    return Trial(number, proposal, status, dict(sorted(metrics.items())), error, artefact)
