"""What each kind of schedule computes, against a plain account."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, DecoderSpec
from search_spaces.cells.warp import warp
from search_spaces.change_gate import gate_of, phase_at
from search_spaces.distributed import Distributed
from search_spaces.network import VideoSegmenter
from search_spaces.resizing import resize
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec
from search_spaces.trace import num_macs, op_calls, phase_macs
from tests.search_spaces.network_kinds import BASE
from tests.search_spaces.small_networks import NUM_CLASSES, TOLERANCE
from tests.search_spaces.stepping import built, clip_of, scheduled, steps


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
        model = built(scheduled(ClockworkSpec((1, 2, 4)), spec))
        clip = clip_of(1, 9, (48, 64))
        logits, _ = steps(model, clip)
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
        clock = scheduled(ClockworkSpec((1, 2, 2)))
        even, odd = phase_macs(clock, size_hw, NUM_CLASSES)
        whole = num_macs(Architecture(BASE), size_hw, NUM_CLASSES)
        last = 9 * 16 * 24 * (64 // 16) * (96 // 16)
        middle = (9 * 8 + 8 * 16 + 9 * 16 + 16 * 16 + 8 * 16) * (64 // 8) * (96 // 8)
        assert whole - even == last
        assert whole - odd == middle


class TestKeyframes:
    @torch.no_grad()
    def test_copies_are_the_key_frames_scores(self) -> None:
        model = built(scheduled(KeyframesSpec(3, "copy")))
        whole = built(Architecture(BASE))
        whole.load_state_dict(model.state_dict())
        clip = clip_of(1, 7, (37, 51))
        logits, _ = steps(model, clip)
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
        model = built(scheduled(KeyframesSpec(2, "warp"), at_head))
        assert model.keyframes is not None
        last = model.keyframes.motion[-1]  # type: ignore[index]
        nn.init.zeros_(last.weight)
        last.bias.copy_(torch.tensor([4 * torch.atanh(torch.tensor(0.5)), 0.0]))  # 2 pixels at stride 8
        logits, _ = steps(model, clip_of(1, 2, (64, 64)))
        key, moved = logits[0]
        assert (moved[..., :-4] - key[..., 4:]).abs().max() < TOLERANCE
        assert (moved[..., -1] - key[..., -1]).abs().max() < TOLERANCE

    def test_frames_in_between_run_no_convolution_but_the_motions(self) -> None:
        copied = op_calls(scheduled(KeyframesSpec(4, "copy")), (64, 64), NUM_CLASSES, phase=2)
        assert [call.kind for call in copied] == ["resize"]
        warped = op_calls(scheduled(KeyframesSpec(4, "warp")), (64, 64), NUM_CLASSES, phase=2)
        convs = [(call.in_channels, call.out_channels) for call in warped if call.kind == "conv"]
        assert convs == [(3, 8), (8, 8), (16, 16), (16, 2)]  # stem, match, motion
        watched = op_calls(scheduled(KeyframesSpec(4, "copy", "learned")), (64, 64), NUM_CLASSES, phase=2)
        convs = [(call.in_channels, call.out_channels) for call in watched if call.kind == "conv"]
        assert convs == [(3, 8), (8, 8), (8, 16), (16, 1)]  # stem, look, compare, judge


class TestLearnedKeyframes:
    def _model(self, propagate: str = "copy", period: int = 3) -> VideoSegmenter:
        return built(scheduled(KeyframesSpec(period, propagate, "learned")))  # type: ignore[arg-type]

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
        phases, logits, shares = self._phases(model, clip_of(1, 13, (37, 51)))
        assert phases == [0, 1, 1, 1, 1, 1] * 2 + [0]
        assert all((share == 0) == (phase == 0) for share, phase in zip(shares, phases, strict=True))
        fixed = built(scheduled(KeyframesSpec(6, propagate)))  # type: ignore[arg-type]
        fixed.load_state_dict(model.state_dict(), strict=False)
        with torch.no_grad():
            assert torch.equal(steps(fixed, clip_of(1, 13, (37, 51)))[0][0], logits)

    @pytest.mark.parametrize("propagate", ["copy", "warp"])
    def test_with_every_score_over_it_the_whole_network_runs(self, propagate: str) -> None:
        model = self._model(propagate)
        gate = gate_of(model)
        assert gate is not None
        gate.threshold.fill_(-1.0)
        clip = clip_of(1, 5, (37, 51))
        phases, logits, _ = self._phases(model, clip)
        assert phases == [0] * 5
        whole = built(Architecture(BASE))
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
        clip = clip_of(1, 2, (64, 64))[:, [0, 0, 0, 1, 1, 1]]
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
        assert gate_of(built(scheduled(KeyframesSpec(3)))) is None
        assert phase_at(None, 7, ()) == 7

    def test_the_threshold_is_saved_with_the_weights(self) -> None:
        assert self._model().state_dict()["keyframes.gate.threshold"] == 1


class TestDistributed:
    @torch.no_grad()
    def test_groups_are_joined_in_the_order_of_their_paths(self) -> None:
        model = built(scheduled(DistributedSpec(4)))
        clip = clip_of(1, 9, (48, 64))
        logits, _ = steps(model, clip)
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
        model = built(scheduled(DistributedSpec(2, "attention")))
        clip = clip_of(1, 3, (64, 64))
        other = clip.clone()
        other[:, 0] += 0.5
        one, two = (steps(model, given)[0] for given in (clip, other))
        assert (one[:, 1] - two[:, 1]).abs().max() > 1e-4
        assert (one[:, 2] - two[:, 2]).abs().max() < 1e-6  # one frame is remembered of a network of two paths

    def test_all_phases_cost_the_same(self) -> None:
        for join in ("concat", "attention"):
            macs = phase_macs(scheduled(DistributedSpec(4, join)), (96, 96), NUM_CLASSES)  # type: ignore[arg-type]
            assert len(set(macs)) == 1
