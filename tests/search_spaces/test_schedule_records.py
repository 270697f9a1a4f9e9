"""Schedules as recorded: what is refused, what old records mean, periods and phases."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from search_spaces.architecture import Architecture, DecoderSpec, NetworkSpec, StageSpec, StemSpec, TrainingSpec
from search_spaces.errors import InputError
from search_spaces.presets import PRESETS
from search_spaces.schedule_rules import allowed_paths, allowed_periods
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec, ScheduleSpec
from search_spaces.trace import require_affordable
from tests.search_spaces.network_kinds import BASE
from tests.search_spaces.small_networks import NUM_CLASSES
from tests.search_spaces.stepping import scheduled


def _recorded(schedule: object, network: Architecture = PRESETS["plain_small"].architecture) -> str:
    document = json.loads(network.to_json())
    document["network"]["schedule"] = schedule
    return json.dumps(document)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"kind": "clockwork", "periods": [1, 1, 1, 1]}, r"schedule.periods: all 1 given; .* leave schedule null"),
        ({"kind": "clockwork", "periods": [1, 4, 2, 2]}, r"a deeper stage has no shorter period"),
        ({"kind": "clockwork", "periods": [1, 3, 4, 4]}, r"periods.1: given 3"),
        ({"kind": "clockwork", "periods": [1, 2]}, r"schedule.periods \(1, 2\) given; this network has 4 stages"),
        ({"kind": "clockwork", "periods": [1, 1, 1, 2]}, r"stage 3 may have a longer period than stage 2 only where"),
        ({"kind": "clockwork", "periods": [2, 2, 2, 2]}, r"stage 0 may have a longer period than the stem only where"),
        ({"kind": "keyframes", "period": 1}, r"period: given 1"),
        ({"kind": "keyframes", "period": 9}, r"period: given 9"),
        ({"kind": "keyframes", "period": 2, "propagate": "flow"}, r"propagate: given 'flow'"),
        ({"kind": "keyframes", "period": 2, "trigger": "random"}, r"trigger: given 'random'"),
        ({"kind": "distributed", "num_paths": 3}, r"num_paths: given 3"),
        ({"kind": "other"}, r"schedule"),
    ],
)
def test_what_cannot_be_is_refused_by_name(schedule: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Architecture.from_json(_recorded(schedule), "given.json")


def _with_last(last: StageSpec) -> NetworkSpec:
    return NetworkSpec(StemSpec(8), (StageSpec("plain", 1, 8, 2), last), DecoderSpec("bilinear", 8))


@pytest.mark.parametrize(
    ("spec", "num_paths", "message"),
    [
        (_with_last(StageSpec("plain", 1, 10, 2)), 4, r"the last stage's 10 channels are no multiple"),
        (_with_last(StageSpec("shufflenet_v1", 1, 8, 2, PRESETS["plain_small"].architecture.video.stages[0].conv)), 4,
         r"a path is shufflenet_v1 from 8 to 2 channels given"),
        (replace(_with_last(StageSpec("plain", 1, 8, 2)), stages=(StageSpec("plain", 1, 8, 2),)), 2,
         r"the last of at least 2 stages, this network has 1"),
    ],
)  # fmt: skip
def test_paths_that_cannot_be_built_are_refused_and_not_asked_for(
    spec: NetworkSpec, num_paths: int, message: str
) -> None:
    assert num_paths not in allowed_paths(spec)
    with pytest.raises(ValueError, match=message):
        replace(spec, schedule=DistributedSpec(num_paths))  # type: ignore[arg-type]


def test_a_network_whose_head_reads_the_last_stage_alone_has_no_clockwork() -> None:
    spec = _with_last(StageSpec("plain", 1, 8, 2))
    assert allowed_periods(spec) == ()
    with pytest.raises(ValueError, match="stage 1 may have a longer period than stage 0 only where the decoder"):
        replace(spec, schedule=ClockworkSpec((1, 2)))


@pytest.mark.parametrize(
    ("schedule", "training", "message"),
    [
        (KeyframesSpec(2), TrainingSpec(boundary=True), r"training.boundary given; with keyframes"),
        (KeyframesSpec(2), TrainingSpec(auxiliary=True), r"training.auxiliary given; the schedule computes"),
        (ClockworkSpec((1, 2, 2)), TrainingSpec(auxiliary=True), r"training.auxiliary given; the schedule computes"),
    ],
)
def test_heads_that_would_miss_frames_are_refused(schedule: ScheduleSpec, training: TrainingSpec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Architecture(replace(BASE, schedule=schedule), training)


@pytest.mark.parametrize("schedule", [ClockworkSpec((1, 2, 2)), DistributedSpec(2)])
def test_heads_that_see_every_frame_are_not(schedule: ScheduleSpec) -> None:
    training = TrainingSpec(boundary=True, auxiliary=isinstance(schedule, DistributedSpec))
    assert Architecture(replace(BASE, schedule=schedule), training).video.schedule == schedule


def test_an_old_record_has_no_schedule() -> None:
    document = json.loads(PRESETS["plain_small"].architecture.to_json())
    del document["network"]["schedule"]
    assert Architecture.from_json(json.dumps(document)) == PRESETS["plain_small"].architecture


def test_periods_and_phases_of_the_record() -> None:
    def of(schedule: ScheduleSpec | None) -> tuple[Sequence[int], int]:
        spec = replace(BASE, schedule=schedule)
        return spec.refresh_periods, spec.num_phases

    assert of(None) == ((1, 1, 1), 1)
    assert of(ClockworkSpec((1, 4, 4))) == ((1, 4, 4), 4)
    assert of(KeyframesSpec(5)) == ((5, 5, 5), 5)
    assert of(DistributedSpec(4)) == ((1, 1, 4), 4)


def test_every_phase_must_be_affordable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest feature of this one is the last stage's, which runs in the second phase alone."""
    import search_spaces.trace as trace

    spec = replace(BASE, stages=(*BASE.stages[:2], replace(BASE.stages[2], channels=512, stride=1)))
    architecture = scheduled(ClockworkSpec((1, 4, 4)), spec)
    largest = 512 * 8 * 8
    monkeypatch.setattr(trace, "MAX_FEATURE_VALUES", largest - 1)
    with pytest.raises(InputError, match=f"a feature of {largest} values given"):
        require_affordable(architecture, (64, 64), NUM_CLASSES)


def test_an_old_record_is_fixed() -> None:
    old = Architecture.from_json(_recorded({"kind": "keyframes", "period": 4, "propagate": "warp"}))
    assert old.video.schedule == KeyframesSpec(4, "warp", "fixed")
