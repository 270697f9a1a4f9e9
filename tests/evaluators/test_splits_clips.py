"""Fit and selection parts, training pools and selection clips."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from evaluators.datasets import clips
from evaluators.datasets.base import IGNORE, DatasetInfo, Video
from evaluators.datasets.clips import clip_pool, select_clips
from evaluators.datasets.registry import open_dataset
from evaluators.datasets.splits import GAP_FRAMES, cut, fit_and_select
from evaluators.scoring import score_videos
from search_spaces.errors import InputError

HW = (32, 40)


def video(name: str, count: int, *, motion: bool = False, labelled: tuple[int, ...] | None = None) -> Video:
    """Frame t of a video is filled with t, so that a window shows where it was cut."""
    frames = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 3, *HW).contiguous()
    labels = torch.zeros((count, *HW), dtype=torch.uint8)
    labels[:, 12:18, 10:18] = 1
    has = torch.tensor([labelled is None or t in labelled for t in range(count)])
    labels[~has] = IGNORE
    flow = torch.ones((count, 2, *HW), dtype=torch.float16) if motion else None
    visible = torch.ones((count, *HW), dtype=torch.bool) if motion else None
    return Video(name, frames, labels, has, 25.0, flow, visible)


@dataclass(frozen=True, eq=False)
class TrainOnly:
    """A dataset whose train split is given; opening any other is an error."""

    train: tuple[Video, ...]
    select: tuple[str, ...] = ()

    @property
    def info(self):
        return DatasetInfo("given", ("a", "b"), ((0, 0, 0), (1, 1, 1)), HW, ("train",), "f", False, self.select)

    def videos(self, split):
        if split != "train":
            raise AssertionError(f"split {split} was opened")
        return self.train

    def check(self):
        raise AssertionError("not needed")


def names(videos):
    return [one.name for one in videos]


class TestSplits:
    def test_declared_drive_is_held_out(self):
        data = TrainOnly((video("x", 9), video("y", 5), video("z", 4)), ("y",))
        fit, select = fit_and_select(data)
        assert names(fit) == ["x", "z"]
        assert names(select) == ["y"]

    def test_nearest_to_a_fifth_of_the_frames(self):
        data = TrainOnly(tuple(video(name, count) for name, count in zip("abcd", (50, 22, 20, 8), strict=True)))
        fit, select = fit_and_select(data)
        assert names(select) == ["b"]  # 22 of 100; adding 8 would lead away from 20
        assert names(fit) == ["a", "c", "d"]

    def test_two_long_sequences_hold_out_the_shorter(self):
        assert names(fit_and_select(TrainOnly((video("a", 30), video("b", 28))))[1]) == ["b"]

    def test_pieces_of_a_drive_stay_together(self):
        data = TrainOnly((video("long", 40), video("x/1", 11), video("x/2", 3)))
        assert names(fit_and_select(data)[1]) == ["x/1", "x/2"]

    def test_single_sequence_gives_its_last_fifth_after_a_gap(self):
        (fit,), (select,) = fit_and_select(TrainOnly((video("only", 50, motion=True),)))
        assert select.frames_TCHW[:, 0, 0, 0].tolist() == list(range(40, 50))
        assert fit.frames_TCHW[:, 0, 0, 0].tolist() == list(range(40 - GAP_FRAMES))
        assert not select.flow_T2HW[0].any()
        assert not select.visible_THW[0].any()
        assert select.flow_T2HW[1:].all()
        assert select.flow_T2HW.shape[0] == select.visible_THW.shape[0] == 10

    def test_very_short_single_sequence(self):
        (fit,), (select,) = fit_and_select(TrainOnly((video("only", 3),)))
        assert len(fit.labelled_T) == len(select.labelled_T) == 1
        with pytest.raises(InputError, match="one sequence of 2 frames; at least 3"):
            fit_and_select(TrainOnly((video("only", 2),)))

    def test_bad_select(self):
        train = (video("a", 4), video("b", 4))
        for select in (("nowhere",), ("a", "b")):
            with pytest.raises(InputError, match="some but not all of the train sequences are allowed: a, b"):
                fit_and_select(TrainOnly(train, select))

    def test_parts_are_disjoint_and_identical_again(self):
        data = open_dataset("moving_shapes")
        fit, select = fit_and_select(data)
        assert len(fit) + len(select) == len(data.videos("train")) == 72
        assert len(select) == 14  # 168 of 864 frames; 172.8 is a fifth
        assert not {id(one) for one in fit} & {id(one) for one in select}
        assert fit_and_select(data)[0] is fit

    def test_cut_from_the_start_keeps_motion(self):
        part = cut(video("v", 10, motion=True), 0, 4, "fit")
        assert part.flow_T2HW.shape[0] == 4
        assert part.name == "v/fit"


class TestDensePool:
    def test_windows_are_consecutive_and_motion_starts_at_zero(self):
        pool = clip_pool([video("a", 20, motion=True)], sparse=False, clip_frames=4, num_clips=40, seed=3)
        assert pool.frames_NTCHW.shape == (40, 4, 3, *HW)
        times = pool.frames_NTCHW[:, :, 0, 0, 0].int()
        assert (times[:, 1:] - times[:, :-1] == 1).all()
        assert len(set(times[:, 0].tolist())) == 17  # every window before any twice too often
        assert not pool.flow_NT2HW[:, 0].any()
        assert pool.flow_NT2HW[:, 1:].all()
        assert not pool.visible_NTHW[:, 0].any()
        assert pool.flow_NT2HW.dtype == torch.float16

    def test_source_video_is_not_written_to(self):
        source = video("a", 6, motion=True)
        clip_pool([source], sparse=False, clip_frames=3, num_clips=4, seed=0)
        assert source.flow_T2HW.all()

    def test_every_window_has_a_label(self):
        pool = clip_pool([video("a", 40, labelled=(7,))], sparse=False, clip_frames=3, num_clips=9, seed=0)
        assert (pool.labels_NTHW != IGNORE).flatten(1).any(1).all()
        assert pool.flow_NT2HW is None

    def test_motion_of_some_videos_is_motion_of_none(self):
        mixed = [video("a", 8, motion=True), video("b", 8)]
        pool = clip_pool(mixed, sparse=False, clip_frames=3, num_clips=12, seed=0)
        assert pool.flow_NT2HW is None
        assert pool.visible_NTHW is None
        assert set(pool.frames_NTCHW[:, 0, 0, 0, 0].tolist()) <= set(range(6))

    def test_seeds_and_cache(self):
        videos = [video("a", 30)]
        one = clip_pool(videos, sparse=False, clip_frames=4, num_clips=8, seed=1)
        assert clip_pool(videos, sparse=False, clip_frames=4, num_clips=8, seed=1) is one
        clips._pool.cache_clear()
        again = clip_pool(videos, sparse=False, clip_frames=4, num_clips=8, seed=1)
        assert again is not one
        assert torch.equal(again.frames_NTCHW, one.frames_NTCHW)
        other = clip_pool(videos, sparse=False, clip_frames=4, num_clips=8, seed=2)
        assert not torch.equal(other.frames_NTCHW, one.frames_NTCHW)

    def test_refusals(self, monkeypatch):
        with pytest.raises(InputError, match="the longest of 1 videos has 3 frames; take shorter clips"):
            clip_pool([video("a", 3)], sparse=False, clip_frames=4, num_clips=2, seed=0)
        with pytest.raises(InputError, match="at least 1 of each"):
            clip_pool([video("a", 3)], sparse=False, clip_frames=0, num_clips=2, seed=0)
        with pytest.raises(InputError, match="at least 1 of each"):
            clip_pool([], sparse=False, clip_frames=1, num_clips=2, seed=0)
        smaller = replace(video("b", 3), labels_THW=torch.zeros((3, 8, 8), dtype=torch.uint8))
        with pytest.raises(InputError, match="one size is needed"):
            clip_pool([video("a", 3), smaller], sparse=False, clip_frames=2, num_clips=2, seed=0)
        monkeypatch.setattr(clips, "MAX_POOL_BYTES", 1000)
        with pytest.raises(InputError, match=r"at 32x40 take .* GiB, at most"):
            clip_pool([video("a", 30)], sparse=False, clip_frames=4, num_clips=2, seed=0)


class TestSparse:
    def test_clips_are_spread_evenly_over_the_stills(self):
        flat = video("a", 6)
        flat.frames_TCHW.mul_(40)
        pool = clip_pool([flat], sparse=True, clip_frames=2, num_clips=12, seed=0)
        levels = pool.frames_NTCHW[:, :, :, :4].float().mean((1, 2, 3, 4)) / 40
        np.testing.assert_allclose(levels, np.repeat(np.arange(6), 2), atol=0.8)
        assert pool.flow_NT2HW is not None
        assert not pool.visible_NTHW[:, 0].any()

    def test_selection_of_dense_videos_is_themselves(self):
        videos = (video("a", 4), video("b", 5))
        assert tuple(select_clips(videos, False, 8, 0)) == videos

    def test_selection_of_sparse_videos_ends_upright_and_is_labelled_throughout(self):
        chosen = select_clips([video("a", 5)], True, 4, 0)
        assert len(chosen) == 5
        for one in chosen:
            assert one.labelled_T.all()
            assert (one.labels_THW[-1] != IGNORE).all()

    def test_temporal_metrics_of_sparse_data_can_be_objectives(self):
        """With labels in the last frame alone, tc, warp_flip and vc8c would be absent and every trial fail."""
        chosen = select_clips([video("a", 5)], True, 8, 0)
        report = score_videos(lambda one: torch.zeros_like(one.labels_THW), chosen, 2, last_frame_only=True)
        assert {"tc", "tc_ceiling", "warp_flip", "warp_flip_floor", "vc8c"} <= set(report.metrics)
        assert report.metrics["warp_flip"] == 0
        scored = sum(int((one.labels_THW[-1] == 0).sum()) for one in chosen)
        total = sum(int((one.labels_THW[-1] != IGNORE).sum()) for one in chosen)
        assert report.metrics["pixel_accuracy"] == scored / total

    def test_selection_can_be_indexed(self):
        chosen = select_clips([video("a", 5)], True, 4, 0)
        assert chosen[1] is chosen[1]
        assert names(chosen[1:3]) == [chosen[1].name, chosen[2].name]
        with pytest.raises(IndexError, match="out of range"):
            chosen[5]

    def test_selection_that_is_not_kept_renders_the_same_again(self, monkeypatch):
        kept = select_clips([video("a", 3)], True, 4, 7)
        monkeypatch.setattr(clips, "KEPT_SELECT_BYTES", 0)
        rendered = select_clips([video("a", 3)], True, 4, 7)
        assert rendered[2] is not rendered[2]
        for one, other in zip(kept, rendered, strict=True):
            assert torch.equal(one.frames_TCHW, other.frames_TCHW)
            assert torch.equal(one.labels_THW, other.labels_THW)
        with pytest.raises(InputError, match="0 frames given, at least 1"):
            select_clips([video("a", 3)], True, 0, 0)
