"""The model contract phase by phase, over every schedule."""

from dataclasses import replace
from typing import get_args

import pytest
import torch

from search_spaces.architecture import Architecture, DecoderSpec
from search_spaces.decisions import enumerate_all
from search_spaces.frame_phases import distinct_phases
from search_spaces.network import build
from search_spaces.resizing import logits_hw
from search_spaces.schedule_questions import ask_schedule
from search_spaces.schedule_spec import KeyframesSpec, ScheduleSpec
from search_spaces.schedules import SCHEDULES
from search_spaces.trace import num_macs, op_calls, phase_macs, state_bytes
from tests.search_spaces.network_kinds import BASE
from tests.search_spaces.scheduled_networks import SCHEDULED, with_cells
from tests.search_spaces.small_networks import NUM_CLASSES, TOLERANCE
from tests.search_spaces.stepping import built, clip_of, steps


@pytest.mark.parametrize("cells", [False, True], ids=["alone", "with cells"])
@pytest.mark.parametrize("name", sorted(SCHEDULED))
@torch.no_grad()
def test_a_clip_equals_its_frames_over_two_cycles(name: str, cells: bool) -> None:
    """In one go, and in parts that begin at any phase; states are zeros first and keep their shapes."""
    model = built(with_cells(SCHEDULED[name]) if cells else SCHEDULED[name])
    size_hw = (37, 51)
    clip = clip_of(2, 2 * model.num_phases + 1, size_hw)
    state = model.initial_state(2, *size_hw)
    assert all(not tensor.any() for tensor in state)
    shapes = [tensor.shape for tensor in state]
    logits_BTKhw, states = steps(model, clip)
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
        model = built(SCHEDULED[name]).train()
        num_frames = max(2, model.warmup_frames + model.num_phases)
        model(clip_of(2, num_frames, (90, 122))).square().mean().backward()
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.startswith("keyframes.gate."):  # learns from a loss of its own (evaluators)
                assert parameter.grad is None, parameter_name
                continue
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name

    def test_single_frames_train_all_that_needs_no_other_frame(self, name: str) -> None:
        """Half of a training runs on single frames; a stage that they never reach would stay as it was drawn."""
        model = built(SCHEDULED[name]).train()
        assert model(clip_of(2, 1, (45, 61))).shape[1] == 1
        model(clip_of(2, 1, (45, 61))).square().mean().backward()
        between = ("keyframes.", "stages.2.attention.")
        for parameter_name, parameter in model.named_parameters():
            reached = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
            assert reached or parameter_name.startswith(between), parameter_name

    def test_learns_under_mixed_precision(self, name: str) -> None:
        model = built(SCHEDULED[name]).train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(clip_of(2, max(2, model.warmup_frames + 1), (37, 51))).float().square().mean()
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())

    @torch.no_grad()
    def test_phases_share_a_graph_exactly_where_they_compute_the_same(self, name: str) -> None:
        model = built(SCHEDULED[name])
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
        model = built(SCHEDULED[name])
        num_frames = model.warmup_frames + 2 * model.num_phases + 3
        with torch.no_grad():
            logits, _ = steps(model, clip_of(1, 1, (64, 64)).expand(-1, num_frames, -1, -1, -1))
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
