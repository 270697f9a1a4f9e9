"""Schedules: the model contract phase by phase, what each computes against a plain account, what is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, DecoderSpec, NetworkSpec, StageSpec, StemSpec, TrainingSpec
from search_spaces.cells.warp import warp
from search_spaces.change_gate import gate_of, phase_at
from search_spaces.decisions import enumerate_all
from search_spaces.distributed import Distributed
from search_spaces.errors import InputError
from search_spaces.frame_phases import distinct_phases
from search_spaces.network import VideoSegmenter, build
from search_spaces.presets import PRESETS
from search_spaces.resizing import logits_hw, resize
from search_spaces.schedule_questions import ask_schedule
from search_spaces.schedule_rules import allowed_paths, allowed_periods
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec, ScheduleSpec
from search_spaces.schedules import SCHEDULES
from search_spaces.trace import num_macs, op_calls, phase_macs, require_affordable, state_bytes
from tests.search_spaces.network_kinds import BASE
from tests.search_spaces.scheduled_networks import SCHEDULED, with_cells

TOLERANCE = 1e-4
NUM_CLASSES = 5


def _built(architecture: Architecture) -> VideoSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(architecture, NUM_CLASSES)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    if model.keyframes is not None and model.keyframes.warps:
        nn.init.normal_(model.keyframes.motion[-1].weight, std=0.3)  # type: ignore[arg-type]
    return model.eval()


def _clip(batch: int, frames: int, size_hw: tuple[int, int]) -> Tensor:
    return torch.rand(batch, frames, 3, *size_hw, generator=torch.Generator().manual_seed(1))


def _scheduled(schedule: ScheduleSpec, spec: NetworkSpec = BASE) -> Architecture:
    return Architecture(replace(spec, schedule=schedule))


def _steps(model: VideoSegmenter, clip_BTCHW: Tensor) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
    """(logits_BTKHW, the state after every frame)."""
    state = model.initial_state(clip_BTCHW.shape[0], *clip_BTCHW.shape[-2:])
    found, states = [], []
    for t, frame in enumerate(clip_BTCHW.unbind(1)):
        logits, state = model.step(frame, state, t)
        found.append(logits)
        states.append(state)
    return torch.stack(found, 1), states


@pytest.mark.parametrize("cells", [False, True], ids=["alone", "with cells"])
@pytest.mark.parametrize("name", sorted(SCHEDULED))
@torch.no_grad()
def test_a_clip_equals_its_frames_over_two_cycles(name: str, cells: bool) -> None:
    """In one go, and in parts that begin at any phase; states are zeros first and keep their shapes."""
    model = _built(with_cells(SCHEDULED[name]) if cells else SCHEDULED[name])
    size_hw = (37, 51)
    clip = _clip(2, 2 * model.num_phases + 1, size_hw)
    state = model.initial_state(2, *size_hw)
    assert all(not tensor.any() for tensor in state)
    shapes = [tensor.shape for tensor in state]
    logits_BTKhw, states = _steps(model, clip)
    assert tuple(logits_BTKhw.shape[-2:]) == logits_hw(*size_hw, model.spec)
    assert all([tensor.shape for tensor in state] == shapes for state in states)
    expected = torch.stack([model.upsample(logits, *size_hw) for logits in logits_BTKhw.unbind(1)], 1)
    assert (model(clip) - expected).abs().max() < TOLERANCE
    first = 0
    for part in clip.split([1, 3, clip.shape[1] - 4], 1):  # type: ignore[no-untyped-call]
        given, state = model.roll(part, state, first)
        assert (given - expected[:, first : first + part.shape[1]]).abs().max() < TOLERANCE
        first += part.shape[1]
        assert all((one - other).abs().max() < TOLERANCE for one, other in zip(state, states[first - 1], strict=True))


@pytest.mark.parametrize("name", sorted(SCHEDULED))
class TestEverySchedule:
    @pytest.mark.parametrize("size_hw", [(32, 32), (33, 95)])
    @pytest.mark.parametrize("scale", ["1", "1/2"])
    def test_the_shapes_promised_are_those_returned(self, name: str, scale: str, size_hw: tuple[int, int]) -> None:
        spec = replace(SCHEDULED[name].video, input_scale=scale)  # type: ignore[arg-type]
        with torch.device("meta"):
            model = build(Architecture(spec), NUM_CLASSES).eval()
            state = model.initial_state(1, *size_hw)
            for phase in range(model.num_phases):
                logits, following = model.step(torch.empty(1, 3, *size_hw), state, phase)
                assert tuple(logits.shape) == (1, NUM_CLASSES, *logits_hw(*size_hw, spec))
                assert [tensor.shape for tensor in following] == [tensor.shape for tensor in state]

    def test_every_parameter_learns(self, name: str) -> None:
        model = _built(SCHEDULED[name]).train()
        num_frames = max(2, model.warmup_frames + model.num_phases)
        model(_clip(2, num_frames, (90, 122))).square().mean().backward()
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.startswith("keyframes.gate."):  # learns from a loss of its own (evaluators)
                assert parameter.grad is None, parameter_name
                continue
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name

    def test_single_frames_train_all_that_needs_no_other_frame(self, name: str) -> None:
        """Half of a training runs on single frames; a stage that they never reach would stay as it was drawn."""
        model = _built(SCHEDULED[name]).train()
        assert model(_clip(2, 1, (45, 61))).shape[1] == 1
        model(_clip(2, 1, (45, 61))).square().mean().backward()
        between = ("keyframes.", "stages.2.attention.")
        for parameter_name, parameter in model.named_parameters():
            reached = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
            assert reached or parameter_name.startswith(between), parameter_name

    def test_learns_under_mixed_precision(self, name: str) -> None:
        model = _built(SCHEDULED[name]).train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(_clip(2, max(2, model.warmup_frames + 1), (37, 51))).float().square().mean()
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())

    @torch.no_grad()
    def test_phases_share_a_graph_exactly_where_they_compute_the_same(self, name: str) -> None:
        model = _built(SCHEDULED[name])
        generator = torch.Generator().manual_seed(2)
        frame = torch.rand(1, 3, 32, 32, generator=generator)
        state = tuple(torch.rand(tensor.shape, generator=generator) for tensor in model.initial_state(1, 32, 32))
        outs = []
        for phase in range(model.num_phases):
            logits, following = model.step(frame, state, phase)
            outs.append(torch.cat([tensor.flatten() for tensor in (logits, *following)]))
        first = distinct_phases(model)
        for one in range(model.num_phases):
            for other in range(model.num_phases):
                same = first[one] == first[other]
                assert torch.equal(outs[one], outs[other]) == same, (one, other)

    def test_the_warm_up_is_as_long_as_said(self, name: str) -> None:
        """Afterwards a video that stands still gives what it gave a cycle before; the frame before does not."""
        model = _built(SCHEDULED[name])
        num_frames = model.warmup_frames + 2 * model.num_phases + 3
        with torch.no_grad():
            logits, _ = _steps(model, _clip(1, 1, (64, 64)).expand(-1, num_frames, -1, -1, -1))
        settled = logits[0, model.warmup_frames :]
        if not name.endswith("attention"):  # which reads what it remembers of frames that were settled before
            assert torch.equal(settled[model.num_phases :], settled[: -model.num_phases])
        if model.warmup_frames:
            before = model.warmup_frames - 1
            assert not torch.equal(logits[0, before], logits[0, before + model.num_phases])

    def test_the_record_survives_json(self, name: str) -> None:
        again = Architecture.from_json(SCHEDULED[name].to_json())
        assert again == SCHEDULED[name]
        assert again.key == SCHEDULED[name].key

    def test_a_schedule_costs_less_than_every_frame_whole(self, name: str) -> None:
        size_hw = (96, 128)
        architecture = SCHEDULED[name]
        macs = phase_macs(architecture, size_hw, NUM_CLASSES)
        whole = num_macs(Architecture(replace(architecture.video, schedule=None)), size_hw, NUM_CLASSES)
        assert len(macs) == architecture.video.num_phases
        assert num_macs(architecture, size_hw, NUM_CLASSES) == round(sum(macs) / len(macs))
        dear = name.endswith("attention") or name.endswith("learned_keyframes-2-warp")
        if not dear:  # their projections cost more than stages as small as these
            assert sum(macs) / len(macs) < whole
        model = build(architecture, NUM_CLASSES)
        assert state_bytes(architecture, size_hw, NUM_CLASSES) == 4 * sum(
            tensor.numel() for tensor in model.initial_state(1, *size_hw)
        )
        for phase in range(model.num_phases):
            assert sum(call.macs for call in op_calls(architecture, size_hw, NUM_CLASSES, phase)) == macs[phase]


def test_every_schedule_is_another_network() -> None:
    keys = {architecture.key for architecture in SCHEDULED.values()}
    assert len(keys) == len(SCHEDULED)
    for kind in SCHEDULES:
        assert any(f"-{kind}-" in name for name in SCHEDULED)


def test_schedules_are_listed_recorded_and_asked_for() -> None:
    recorded = set(get_args(get_args(ScheduleSpec)[0]))
    assert recorded == {type(entry.typical) for entry in SCHEDULES.values()}
    assert all(name.endswith(entry.typical.kind) for name, entry in SCHEDULES.items())

    class Asked:
        def decode(self, choose) -> Architecture:  # type: ignore[no-untyped-def]
            spec = replace(BASE, decoder=DecoderSpec("unet", 16, 2))
            return Architecture(replace(spec, schedule=ask_schedule(choose, spec)))

    schedules = [point.architecture.video.schedule for point in enumerate_all(Asked())]
    assert len(set(schedules)) == len(schedules)
    assert {type(schedule) for schedule in schedules if schedule is not None} == recorded
    assert {entry.typical for entry in SCHEDULES.values() if isinstance(entry.typical, KeyframesSpec)} < set(schedules)
    assert schedules[0] is None


class TestClockwork:
    @pytest.mark.parametrize(
        ("periods", "offsets", "warmup"),
        [
            ((1, 2, 2), (0, 0, 1), 1),
            ((1, 4, 4), (0, 0, 1), 1),
            ((1, 1, 4), (0, 0, 0), 0),
            ((2, 2, 2), (0, 1, 0), 2),
            ((1, 2, 4, 4), (0, 0, 1, 2), 2),
            ((4, 4, 4, 4, 4), (0, 1, 2, 3, 0), 4),
        ],
    )
    def test_stages_are_staggered(self, periods: tuple[int, ...], offsets: tuple[int, ...], warmup: int) -> None:
        clock = ClockworkSpec(periods)  # type: ignore[arg-type]
        assert clock.offsets == offsets
        assert clock.warmup_frames == warmup
        shared = [sum(t % p == o and p > 1 for p, o in zip(periods, offsets, strict=True)) for t in range(4)]
        assert max(shared) < max(2, sum(p > 1 for p in periods)), "no frame pays for all"

    @torch.no_grad()
    def test_it_computes_what_a_plain_account_says(self) -> None:
        """Every stage by hand, over nine frames: the due ones from what was last known of the one before."""
        spec = replace(BASE, decoder=DecoderSpec("unet", 16, 2))
        model = _built(_scheduled(ClockworkSpec((1, 2, 4)), spec))
        clip = _clip(1, 9, (48, 64))
        logits, _ = _steps(model, clip)
        second, third = torch.zeros(1, 16, 6, 8), torch.zeros(1, 24, 3, 4)
        for t in range(9):
            stem = model.stem((clip[:, t] - model.mean) / model.std)
            first = model.stages[0](stem)
            if t % 2 == 0:
                second = model.stages[1](first)
            if t % 4 == 1:
                third = model.stages[2](second)
            scores = model.decoder.classify(model.decoder.fuse(third, [second, first, stem]))
            assert (logits[:, t] - resize(scores, 48, 64)).abs().max() < TOLERANCE

    def test_macs_are_those_of_the_stages_that_run(self) -> None:
        size_hw = (64, 96)
        scheduled = _scheduled(ClockworkSpec((1, 2, 2)))
        even, odd = phase_macs(scheduled, size_hw, NUM_CLASSES)
        whole = num_macs(Architecture(BASE), size_hw, NUM_CLASSES)
        last = 9 * 16 * 24 * (64 // 16) * (96 // 16)
        middle = (9 * 8 + 8 * 16 + 9 * 16 + 16 * 16 + 8 * 16) * (64 // 8) * (96 // 8)
        assert whole - even == last
        assert whole - odd == middle


class TestKeyframes:
    @torch.no_grad()
    def test_copies_are_the_key_frames_scores(self) -> None:
        model = _built(_scheduled(KeyframesSpec(3, "copy")))
        whole = _built(Architecture(BASE))
        whole.load_state_dict(model.state_dict())
        clip = _clip(1, 7, (37, 51))
        logits, _ = _steps(model, clip)
        for t in range(7):
            expected, _ = whole.step(clip[:, t - t % 3], ())
            assert torch.equal(logits[:, t], expected)

    @torch.no_grad()
    def test_warped_scores_are_the_scores_of_the_warped_feature(self) -> None:
        """Why fewer channels may be brought along than DFF brings."""
        generator = torch.Generator().manual_seed(0)
        classify = nn.Conv2d(16, NUM_CLASSES, 1)
        feature = torch.randn(2, 16, 9, 13, generator=generator)
        flow = 4 * torch.randn(2, 2, 9, 13, generator=generator)
        assert (classify(warp(feature, flow)) - warp(classify(feature), flow)).abs().max() < 1e-5

    @torch.no_grad()
    def test_a_motion_moves_the_key_frames_scores(self) -> None:
        """With the last layer of the motion head set to a constant the scores move by just that."""
        at_head = replace(BASE, decoder=DecoderSpec("skip_add", 16, 4, logits="head"))
        model = _built(_scheduled(KeyframesSpec(2, "warp"), at_head))
        assert model.keyframes is not None
        last = model.keyframes.motion[-1]  # type: ignore[index]
        nn.init.zeros_(last.weight)
        last.bias.copy_(torch.tensor([4 * torch.atanh(torch.tensor(0.5)), 0.0]))  # 2 pixels at stride 8
        logits, _ = _steps(model, _clip(1, 2, (64, 64)))
        key, moved = logits[0]
        assert (moved[..., :-4] - key[..., 4:]).abs().max() < TOLERANCE
        assert (moved[..., -1] - key[..., -1]).abs().max() < TOLERANCE

    def test_frames_in_between_run_no_convolution_but_the_motions(self) -> None:
        copied = op_calls(_scheduled(KeyframesSpec(4, "copy")), (64, 64), NUM_CLASSES, phase=2)
        assert [call.kind for call in copied] == ["resize"]
        warped = op_calls(_scheduled(KeyframesSpec(4, "warp")), (64, 64), NUM_CLASSES, phase=2)
        convs = [(call.in_channels, call.out_channels) for call in warped if call.kind == "conv"]
        assert convs == [(3, 8), (8, 8), (16, 16), (16, 2)]  # stem, match, motion
        watched = op_calls(_scheduled(KeyframesSpec(4, "copy", "learned")), (64, 64), NUM_CLASSES, phase=2)
        convs = [(call.in_channels, call.out_channels) for call in watched if call.kind == "conv"]
        assert convs == [(3, 8), (8, 8), (8, 16), (16, 1)]  # stem, look, compare, judge


class TestLearnedKeyframes:
    def _model(self, propagate: str = "copy", period: int = 3) -> VideoSegmenter:
        return _built(_scheduled(KeyframesSpec(period, propagate, "learned")))  # type: ignore[arg-type]

    @torch.no_grad()
    def _phases(self, model: VideoSegmenter, clip_BTCHW: Tensor) -> tuple[list[int], Tensor, list[float]]:
        """(what ran, logits_TKHW, the score after every frame), the state deciding."""
        gate = gate_of(model)
        state = model.initial_state(1, *clip_BTCHW.shape[-2:])
        phases, logits, shares = [], [], []
        for t, frame in enumerate(clip_BTCHW.unbind(1)):
            phases.append(phase_at(gate, t, state))
            out, state = model.step(frame, state, phases[-1])
            logits.append(out[0])
            shares.append(float(state[-1][0, 0]))
        return phases, torch.stack(logits), shares

    @pytest.mark.parametrize("propagate", ["copy", "warp"])
    def test_without_a_score_over_the_threshold_the_longest_interval_holds(self, propagate: str) -> None:
        model = self._model(propagate)
        phases, logits, shares = self._phases(model, _clip(1, 13, (37, 51)))
        assert phases == [0, 1, 1, 1, 1, 1] * 2 + [0]
        assert all((share == 0) == (phase == 0) for share, phase in zip(shares, phases, strict=True))
        fixed = _built(_scheduled(KeyframesSpec(6, propagate)))  # type: ignore[arg-type]
        fixed.load_state_dict(model.state_dict(), strict=False)
        with torch.no_grad():
            assert torch.equal(_steps(fixed, _clip(1, 13, (37, 51)))[0][0], logits)

    @pytest.mark.parametrize("propagate", ["copy", "warp"])
    def test_with_every_score_over_it_the_whole_network_runs(self, propagate: str) -> None:
        model = self._model(propagate)
        gate = gate_of(model)
        assert gate is not None
        gate.threshold.fill_(-1.0)
        clip = _clip(1, 5, (37, 51))
        phases, logits, _ = self._phases(model, clip)
        assert phases == [0] * 5
        whole = _built(Architecture(BASE))
        whole.load_state_dict(model.state_dict(), strict=False)
        for t in range(5):
            assert torch.equal(whole.step(clip[:, t], ())[0][0], logits[t])

    def test_a_change_calls_the_next_frame(self) -> None:
        """A video that stands still, then another picture; the threshold is the score of standing still.

        A gate as drawn may score the change lower: it is then turned round.
        """
        model = self._model()
        gate = gate_of(model)
        assert gate is not None
        clip = _clip(1, 2, (64, 64))[:, [0, 0, 0, 1, 1, 1]]
        _, _, still = self._phases(model, clip[:, :2])
        gate.threshold.fill_(still[1])
        with torch.no_grad():
            look = gate.look(model._shallow(clip[0, [0, 3]]))
            moved = gate(look[1:], look[:1]).sigmoid().item()
            if moved < still[1]:
                gate.judge.weight.neg_()
                gate.judge.bias.neg_()
                gate.threshold.fill_(1 - still[1])
        gate.threshold.add_(1e-6)
        phases, _, _ = self._phases(model, clip)
        assert phases == [0, 1, 1, 1, 0, 1]

    def test_any_of_a_batch_that_is_due_makes_all_due(self) -> None:
        gate = gate_of(self._model())
        assert gate is not None
        gate.threshold.fill_(0.5)
        states = {((0.1, 2), (0.2, 1)): 1, ((0.6, 2), (0.1, 2)): 0, ((0.1, 0), (0.1, 2)): 0, ((0.0, 0), (0.0, 0)): 0}
        for values, phase in states.items():
            assert gate.next_phase((torch.tensor(values).view(2, 2, 1, 1),)) == phase

    def test_a_fixed_schedule_counts_its_frames(self) -> None:
        assert gate_of(_built(_scheduled(KeyframesSpec(3)))) is None
        assert phase_at(None, 7, ()) == 7

    def test_the_threshold_is_saved_with_the_weights(self) -> None:
        assert self._model().state_dict()["keyframes.gate.threshold"] == 1

    def test_an_old_record_is_fixed(self) -> None:
        old = Architecture.from_json(_recorded({"kind": "keyframes", "period": 4, "propagate": "warp"}))
        assert old.video.schedule == KeyframesSpec(4, "warp", "fixed")


class TestDistributed:
    @torch.no_grad()
    def test_groups_are_joined_in_the_order_of_their_paths(self) -> None:
        model = _built(_scheduled(DistributedSpec(4)))
        clip = _clip(1, 9, (48, 64))
        logits, _ = _steps(model, clip)
        last = model.stages[-1]
        assert isinstance(last, Distributed)
        groups: list[Tensor] = [torch.zeros(1, 6, 3, 4)] * 4
        for t in range(9):
            first = model.stages[0](model.stem((clip[:, t] - model.mean) / model.std))
            groups[t % 4] = last.paths[t % 4](model.stages[1](first))
            feature = last.mix(torch.cat(groups, 1))
            scores = model.decoder.classify(model.decoder.fuse(feature, [first]))
            assert (logits[:, t] - resize(scores, 48, 64)).abs().max() < TOLERANCE

    @torch.no_grad()
    def test_attention_reads_the_frames_before(self) -> None:
        model = _built(_scheduled(DistributedSpec(2, "attention")))
        clip = _clip(1, 3, (64, 64))
        other = clip.clone()
        other[:, 0] += 0.5
        one, two = (_steps(model, given)[0] for given in (clip, other))
        assert (one[:, 1] - two[:, 1]).abs().max() > 1e-4
        assert (one[:, 2] - two[:, 2]).abs().max() < 1e-6  # one frame is remembered of a network of two paths

    def test_all_phases_cost_the_same(self) -> None:
        for join in ("concat", "attention"):
            macs = phase_macs(_scheduled(DistributedSpec(4, join)), (96, 96), NUM_CLASSES)  # type: ignore[arg-type]
            assert len(set(macs)) == 1


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
    architecture = _scheduled(ClockworkSpec((1, 4, 4)), spec)
    largest = 512 * 8 * 8
    monkeypatch.setattr(trace, "MAX_FEATURE_VALUES", largest - 1)
    with pytest.raises(InputError, match=f"a feature of {largest} values given"):
        require_affordable(architecture, (64, 64), NUM_CLASSES)
