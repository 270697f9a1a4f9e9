"""Temporal consistency: hand-computed cases, a slow reference, planted defects."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators import temporal_metrics as temporal_module
from evaluators.datasets.base import IGNORE
from evaluators.job import METRICS
from evaluators.temporal_metrics import WINDOW, TemporalCounts, temporal_scores, warp_nearest


def all_labelled(num_frames: int) -> torch.Tensor:
    return torch.ones(num_frames, dtype=torch.bool)


def still(labels_THW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """No motion, everything visible."""
    num_frames, height, width = labels_THW.shape
    visible = torch.ones(num_frames, height, width, dtype=torch.bool)
    visible[0] = False
    return torch.zeros(num_frames, 2, height, width, dtype=torch.float16), visible


def scores_of(pred, labels, flow=None, visible=None, num_classes=3, labelled=None):
    labelled = all_labelled(len(labels)) if labelled is None else labelled
    return temporal_scores(pred, labels, flow, visible, num_classes, labelled).metrics()


def moving_square(num_frames: int = 10) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Class 2 square moving 1 pixel right per frame over class 0, with its exact motion."""
    labels = torch.zeros(num_frames, 6, 16, dtype=torch.uint8)
    flow = torch.zeros(num_frames, 2, 6, 16, dtype=torch.float16)
    visible = torch.ones(num_frames, 6, 16, dtype=torch.bool)
    visible[0] = False
    for t in range(num_frames):
        labels[t, 2:5, t : t + 3] = 2
        if t:
            flow[t, 0, 2:5, t : t + 3] = -1
            visible[t, 2:5, t - 1] = False  # uncovered background
    return labels, flow, visible


class TestWarpNearest:
    def test_fetches_from_p_plus_flow(self):
        labels = torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.uint8)
        flow = torch.zeros(2, 2, 3)
        flow[0] = 1.0  # dx: what is at p was at p + 1 to the right
        warped, inside = warp_nearest(labels, flow)
        assert warped[:, :2].tolist() == [[2, 3], [5, 6]]
        assert inside.tolist() == [[True, True, False], [True, True, False]]
        flow = torch.zeros(2, 2, 3)
        flow[1] = -1.0  # dy
        warped, inside = warp_nearest(labels, flow)
        assert warped[1].tolist() == [1, 2, 3]
        assert inside.tolist() == [[False] * 3, [True] * 3]

    def test_nearest_pixel_and_ties_go_one_way(self):
        labels = torch.arange(6, dtype=torch.uint8)[None]
        flow = torch.zeros(2, 1, 6)
        flow[0] = 0.49
        assert warp_nearest(labels, flow)[0].tolist() == [[0, 1, 2, 3, 4, 5]]
        flow[0] = 0.5
        assert warp_nearest(labels, flow)[0][0, :5].tolist() == [1, 2, 3, 4, 5]

    def test_never_invents_a_class_between_two(self):
        labels = torch.tensor([[0, 0, 10, 10]], dtype=torch.uint8)
        for shift in np.linspace(-1, 1, 21):
            flow = torch.zeros(2, 1, 4)
            flow[0] = float(shift)
            warped, inside = warp_nearest(labels, flow)
            assert set(warped[inside].tolist()) <= {0, 10}

    def test_batch_equals_one_by_one(self):
        generator = torch.Generator().manual_seed(0)
        labels = torch.randint(0, 5, (3, 7, 9), generator=generator, dtype=torch.uint8)
        flow = 4 * torch.randn(3, 2, 7, 9, generator=generator)
        warped, inside = warp_nearest(labels, flow)
        for i in range(3):
            one, one_inside = warp_nearest(labels[i], flow[i])
            assert torch.equal(one, warped[i])
            assert torch.equal(one_inside, inside[i])

    def test_motion_that_is_not_a_number_is_outside(self):
        flow = torch.full((2, 1, 2), float("nan"))
        flow[:, 0, 1] = float("inf")
        assert not warp_nearest(torch.zeros(1, 2, dtype=torch.uint8), flow)[1].any()


class TestConsistencyAlongTheMotion:
    def test_perfect_prediction_reaches_ceiling_and_floor(self):
        labels, flow, visible = moving_square()
        scores = scores_of(labels, labels, flow, visible)
        assert scores["tc"] == scores["tc_ceiling"] == 1.0
        assert scores["warp_flip"] == scores["warp_flip_floor"] == 0.0
        assert scores["vc8c"] == 1.0
        assert set(scores) <= set(METRICS)

    def test_perfect_prediction_under_wrong_flow_still_equals_its_ceiling(self):
        labels, flow, visible = moving_square()
        scores = scores_of(labels, labels, torch.zeros_like(flow), visible)
        assert scores["tc"] == scores["tc_ceiling"] < 1.0
        assert scores["warp_flip"] == scores["warp_flip_floor"] > 0.0

    def test_hand_computed_flip(self):
        labels = torch.zeros(3, 1, 4, dtype=torch.uint8)
        pred = labels.clone()
        pred[1, 0, 0] = 1  # flips there and back: 2 of 8 pixel pairs
        scores = scores_of(pred, labels, *still(labels))
        assert scores["warp_flip"] == pytest.approx(2 / 8)
        assert scores["warp_flip_floor"] == 0.0
        # Class 0 keeps 6 of 8, class 1 none of 2.
        assert scores["tc"] == pytest.approx((6 / 8 + 0) / 2)
        assert scores["tc_ceiling"] == 1.0

    def test_perfect_prediction_under_fractional_motion_invents_no_class(self):
        # A bilinear warp of the label map would make class 1 out of 0 and 2 here.
        labels, flow, visible = moving_square()
        flow[:, 0] = torch.where(flow[:, 0] == -1, flow[:, 0] + 0.3, flow[:, 0])  # still nearest to -1
        assert scores_of(labels, labels, flow, visible)["tc"] == 1.0

    def test_occluded_pixels_do_not_count(self):
        labels, flow, visible = moving_square()
        pred = labels.clone()
        pred[1:][~visible[1:]] = 1  # wrong where the background has just appeared
        scores = scores_of(pred, labels, flow, visible)
        seen_everywhere = torch.ones_like(visible)
        assert scores_of(pred, labels, flow, seen_everywhere)["warp_flip"] > scores["warp_flip"]

    def test_pixels_without_ground_truth_count_for_neither(self):
        labels = torch.zeros(2, 1, 4, dtype=torch.uint8)
        labels[0, 0, 0] = IGNORE
        labels[1, 0, 1] = IGNORE
        pred = torch.zeros_like(labels)
        pred[1, 0, :2] = 1
        scores = scores_of(pred, labels, *still(labels))
        assert scores == {"tc": 1.0, "tc_ceiling": 1.0, "warp_flip": 0.0, "warp_flip_floor": 0.0}

    def test_frames_without_label_give_no_pair(self):
        labels = torch.zeros(3, 1, 2, dtype=torch.uint8)
        labelled = torch.tensor([True, False, True])
        assert scores_of(labels, labels, *still(labels), labelled=labelled) == {}

    def test_motion_out_of_the_picture_does_not_count(self):
        labels = torch.zeros(2, 1, 2, dtype=torch.uint8)
        flow, visible = still(labels)
        flow[1] = 5
        assert scores_of(labels, labels, flow, visible) == {}

    def test_no_flow_leaves_the_keys_out(self):
        labels = torch.zeros(9, 1, 2, dtype=torch.uint8)
        assert scores_of(labels, labels) == {"vc8c": 1.0}

    def test_first_frame_is_never_compared(self):
        labels = torch.zeros(1, 1, 2, dtype=torch.uint8)
        flow, visible = still(labels)
        assert scores_of(labels, labels, flow, torch.ones_like(visible)) == {}


class TestWindows:
    def test_constant_wrong_prediction_scores_zero(self):
        labels = torch.zeros(12, 2, 2, dtype=torch.uint8)
        assert scores_of(torch.full_like(labels, 1), labels)["vc8c"] == 0.0

    def test_exactly_eight_frames_are_one_window(self):
        labels = torch.zeros(WINDOW, 1, 3, dtype=torch.uint8)
        counts = temporal_scores(labels, labels, None, None, 3, all_labelled(WINDOW))
        assert (counts.num_constant, counts.num_constant_right) == (3, 3)

    def test_fewer_than_eight_frames_are_no_window(self):
        labels = torch.zeros(WINDOW - 1, 1, 3, dtype=torch.uint8)
        assert scores_of(labels, labels) == {}

    def test_every_window_counts_the_last_one_too(self):
        labels = torch.zeros(10, 1, 1, dtype=torch.uint8)
        pred = labels.clone()
        pred[-1] = 1  # spoils the last of three windows
        assert scores_of(pred, labels)["vc8c"] == pytest.approx(2 / 3)

    def test_only_constant_ground_truth_counts(self):
        labels = torch.zeros(8, 1, 2, dtype=torch.uint8)
        labels[4:, 0, 0] = 1
        pred = torch.zeros_like(labels)
        counts = temporal_scores(pred, labels, None, None, 3, all_labelled(8))
        assert (counts.num_constant, counts.num_constant_right) == (1, 1)

    def test_constantly_ignored_ground_truth_is_not_constant(self):
        labels = torch.full((8, 1, 1), IGNORE, dtype=torch.uint8)
        assert scores_of(torch.zeros_like(labels), labels) == {}

    def test_window_with_an_unlabelled_frame_does_not_count(self):
        labels = torch.zeros(9, 1, 1, dtype=torch.uint8)
        labelled = all_labelled(9)
        labelled[4] = False
        assert scores_of(labels, labels, labelled=labelled) == {}


def test_videos_are_pooled_not_averaged():
    short = torch.zeros(8, 1, 1, dtype=torch.uint8)
    long = torch.zeros(10, 1, 3, dtype=torch.uint8)
    good = temporal_scores(short, short, *still(short), 3, all_labelled(8))
    bad = temporal_scores(torch.ones_like(long), long, *still(long), 3, all_labelled(10))
    pooled = TemporalCounts.zero(3) + good + bad
    assert pooled.metrics()["vc8c"] == pytest.approx(1 / (1 + 9))
    assert pooled.metrics()["tc"] == 1.0
    assert int(pooled.truth_KK.sum()) == 7 + 27


def test_shapes_that_do_not_fit_are_refused():
    labels = torch.zeros(3, 2, 2, dtype=torch.uint8)
    flow, visible = still(labels)
    with pytest.raises(ValueError, match="flow and visibility come together"):
        temporal_scores(labels, labels, flow, None, 2, all_labelled(3))
    with pytest.raises(ValueError, match=r"prediction has shape \(2, 2, 2\)"):
        temporal_scores(labels[:2], labels, flow, visible, 2, all_labelled(3))
    with pytest.raises(ValueError, match="flow has shape"):
        temporal_scores(labels, labels, flow[:, :1], visible, 2, all_labelled(3))
    with pytest.raises(ValueError, match=r"values 7\.\.7 given, 0\.\.1 allowed"):
        temporal_scores(labels + 7, labels, flow, visible, 2, all_labelled(3))
    ignoring = labels.clone()
    ignoring[0] = IGNORE
    with pytest.raises(ValueError, match="prediction has the value 255, which is no class"):
        temporal_scores(ignoring, labels, flow, visible, 2, all_labelled(3))


def slow_pairs(pred, labels, flow, visible):
    """((ground truth before, now), (prediction before, now)) of every counted pixel, in plain Python."""
    for t, y, x in np.argwhere(visible):
        from_x = int(np.floor(x + float(flow[t, 0, y, x]) + 0.5))
        from_y = int(np.floor(y + float(flow[t, 1, y, x]) + 0.5))
        if t == 0 or not (0 <= from_x < labels.shape[2] and 0 <= from_y < labels.shape[1]):
            continue
        truth = (int(labels[t - 1, from_y, from_x]), int(labels[t, y, x]))
        if IGNORE not in truth:
            yield truth, (int(pred[t - 1, from_y, from_x]), int(pred[t, y, x]))


def slow_miou(pairs, num_classes):
    unions = [sum(c in pair for pair in pairs) for c in range(num_classes)]
    ious = [sum(pair == (c, c) for pair in pairs) / unions[c] for c in range(num_classes) if unions[c]]
    return sum(ious) / len(ious)


def slow_temporal(pred, labels, flow, visible, num_classes):
    """The definitions, pixel by pixel."""
    constant, right = 0, 0
    for start, y, x in np.ndindex(max(0, len(labels) - WINDOW + 1), *labels.shape[1:]):
        truth = set(labels[start : start + WINDOW, y, x].tolist())
        if len(truth) == 1 and IGNORE not in truth:
            constant += 1
            right += set(pred[start : start + WINDOW, y, x].tolist()) == truth
    scores = {"vc8c": right / constant} if constant else {}
    pairs = list(slow_pairs(pred, labels, flow, visible))
    if pairs:
        for which, (tc, flip) in enumerate((("tc_ceiling", "warp_flip_floor"), ("tc", "warp_flip"))):
            chosen = [pair[which] for pair in pairs]
            scores[tc] = slow_miou(chosen, num_classes)
            scores[flip] = sum(a != b for a, b in chosen) / len(chosen)
    return scores


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 11), st.integers(1, 40))
def test_equals_slow_reference(seed, num_frames, chunk):
    generator = np.random.default_rng(seed)
    shape = (num_frames, 3, 4)
    labels = np.where(generator.random(shape) < 0.05, generator.choice([1, 2, IGNORE], shape), 0)
    pred = np.where(generator.random(shape) < 0.05, generator.integers(0, 3, shape), np.minimum(labels, 2))
    flow = generator.normal(0, 0.8, (num_frames, 2, 3, 4)).astype(np.float16)
    visible = generator.random(shape) < 0.8
    tensors = [torch.from_numpy(a.astype(np.uint8)) for a in (pred, labels)]
    motion = [torch.from_numpy(flow), torch.from_numpy(visible)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(temporal_module, "_CHUNK_PIXELS", chunk)
        scores = scores_of(*tensors, *motion)
    assert scores == pytest.approx(slow_temporal(pred, labels, flow, visible, 3))
