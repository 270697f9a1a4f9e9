"""Pseudo-video from stills: exact labels and motion, movable objects from the data, determinism."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.datasets.base import IGNORE, Video
from evaluators.datasets.components import movable_classes, regions
from evaluators.datasets.pseudo_video import PseudoOptions, collect_stills, pseudo_clip
from search_spaces.errors import InputError

HEIGHT, WIDTH = 60, 80
STUFF, THING = 1, 2


def street(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A still with sky, road and a few box-shaped things."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[30:] = STUFF
    for _ in range(3):
        y, x = int(rng.integers(20, 45)), int(rng.integers(5, 65))
        labels[y : y + 8, x : x + 10] = THING
    labels[:2] = IGNORE
    frame = np.stack([labels % 8 * np.uint8(50)] * 3) + rng.integers(0, 40, (3, HEIGHT, WIDTH))
    return frame.astype(np.uint8), labels


def drive(count: int = 4, unlabelled: tuple[int, ...] = ()) -> Video:
    frames, labels = zip(*(street(seed) for seed in range(count)), strict=True)
    labelled = torch.tensor([t not in unlabelled for t in range(count)])
    return Video(
        "drive",
        torch.from_numpy(np.stack(frames)),
        torch.from_numpy(np.stack(labels)),
        labelled,
        1.0,
    )


@pytest.fixture(scope="module")
def stills():
    return collect_stills((drive(),))


def test_movable_classes_are_derived_from_the_data(stills):
    assert stills.movable == (THING,)
    assert len(stills.objects) >= 4


def test_still_camera_without_objects_gives_the_still(stills):
    calm = PseudoOptions(
        max_objects=0, max_shift=0.0, max_zoom=0.0, max_turn_rad=0.0, max_crop=1.0, gain=0.0, sigma=0.0
    )
    clip = pseudo_clip(stills, 1, 3, np.random.default_rng(0), calm)
    for t in range(3):
        np.testing.assert_array_equal(clip.labels_THW[t].numpy(), stills.items[1].labels_HW)
        np.testing.assert_array_equal(clip.frames_TCHW[t].numpy(), stills.items[1].frame_CHW)
    assert not clip.flow_T2HW.any()
    assert clip.visible_THW[1:].all()


def test_last_frame_upright_shows_the_labels_of_the_still(stills):
    options = PseudoOptions(last_upright=True, max_objects=0)
    clip = pseudo_clip(stills, 2, 5, np.random.default_rng(3), options)
    np.testing.assert_array_equal(clip.labels_THW[-1].numpy(), stills.items[2].labels_HW)
    assert (clip.labels_THW[0].numpy() != stills.items[2].labels_HW).any()


def test_flow_fetches_the_labels_of_the_frame_before(stills):
    grid_y, grid_x = np.mgrid[0:HEIGHT, 0:WIDTH]
    for seed in range(4):
        clip = pseudo_clip(stills, seed % 4, 5, np.random.default_rng(seed))
        for t in range(1, 5):
            flow = clip.flow_T2HW[t].float().numpy()
            x = np.floor(grid_x + flow[0] + 0.5).astype(int).clip(0, WIDTH - 1)
            y = np.floor(grid_y + flow[1] + 0.5).astype(int).clip(0, HEIGHT - 1)
            seen = clip.visible_THW[t].numpy()
            same = clip.labels_THW[t - 1].numpy()[y, x] == clip.labels_THW[t].numpy()
            assert seen.mean() > 0.8
            assert same[seen].mean() > 0.97


def test_objects_move_on_their_own(stills):
    """With a camera at rest, only copied objects move, and they carry a movable label."""
    options = PseudoOptions(max_shift=0.0, max_zoom=0.0, max_turn_rad=0.0, max_crop=1.0, max_object_shift=0.1)
    moved = 0
    for seed in range(6):
        clip = pseudo_clip(stills, 0, 4, np.random.default_rng(seed), options)
        moving = clip.flow_T2HW[2].float().abs().sum(0) > 0.2
        moved += int(moving.sum())
        assert set(clip.labels_THW[2][moving].unique().tolist()) <= {THING}
    assert moved > 100


def test_outside_of_the_still_is_ignored_with_mirrored_colour():
    labels = torch.zeros((1, 40, 40), dtype=torch.uint8)
    frames = torch.full((1, 3, 40, 40), 80, dtype=torch.uint8)
    plain = collect_stills((Video("plain", frames, labels, torch.tensor([True])),))
    options = PseudoOptions(max_shift=0.1, max_crop=1.0, sigma=0.0, gain=0.0)
    clip = pseudo_clip(plain, 0, 5, np.random.default_rng(1), options)
    assert set(clip.labels_THW.unique().tolist()) == {0, IGNORE}
    assert set(clip.frames_TCHW.unique().tolist()) == {80}


def test_copied_objects_carry_their_own_colour():
    """A slanted object: a mask that does not fit its texture would label surroundings as the object."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for row in range(12):
        labels[20 + row, 30 : 32 + row] = THING
    frame = np.stack([np.where(labels == THING, 200, 50)] * 3).astype(np.uint8)
    slanted = Video("s", torch.from_numpy(frame[None]), torch.from_numpy(labels[None]), torch.tensor([True]))
    options = PseudoOptions(movable=(THING,), gain=0.0, sigma=0.0, max_crop=1.0)
    for seed in range(4):
        clip = pseudo_clip(collect_stills((slanted,)), 0, 2, np.random.default_rng(seed), options)
        thing = clip.labels_THW == THING
        bright = clip.frames_TCHW[:, 0] > 125
        assert thing.sum() > 150
        assert (bright == thing)[thing].float().mean() > 0.85


def test_explicit_classes_replace_the_derived_ones(stills):
    options = PseudoOptions(movable=(), max_shift=0.0, max_zoom=0.0, max_turn_rad=0.0, max_crop=1.0)
    clip = pseudo_clip(stills, 0, 3, np.random.default_rng(0), options)
    assert not clip.flow_T2HW.any()


def test_equal_seeds_give_equal_bytes_and_others_do_not(stills):
    one, same, other = (pseudo_clip(stills, 0, 3, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert torch.equal(one.frames_TCHW, same.frames_TCHW)
    assert torch.equal(one.flow_T2HW, same.flow_T2HW)
    assert not torch.equal(one.frames_TCHW, other.frames_TCHW)


def test_only_labelled_frames_become_stills():
    assert len(collect_stills((drive(5, unlabelled=(1, 3)),)).items) == 3
    with pytest.raises(InputError, match="none of the 1 videos has a labelled frame"):
        collect_stills((drive(2, unlabelled=(0, 1)),))


def flood_count(labels: np.ndarray) -> int:
    """Number of 4-connected components, by a plain flood fill."""
    todo, count = {(int(y), int(x)) for y, x in np.ndindex(labels.shape)}, 0
    while todo:
        count += 1
        stack = [todo.pop()]
        while stack:
            y, x = stack.pop()
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if near in todo and labels[near] == labels[y, x]:
                    todo.remove(near)
                    stack.append(near)
    return count


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3), st.integers(0, 10_000))
def test_components_agree_with_a_flood_fill(height, width, classes, seed):
    labels = np.random.default_rng(seed).integers(0, classes, (height, width), dtype=np.uint8)
    found = regions(labels)
    assert len(found.label_N) == flood_count(labels)
    assert found.area_N.sum() == labels.size
    for number in range(len(found.label_N)):
        part = found.cut(number)
        rows, columns = part.mask_HW.shape
        box = labels[part.top : part.top + rows, part.left : part.left + columns]
        assert (box[part.mask_HW] == part.label).all()
        assert part.mask_HW.sum() == found.area_N[number]
        assert part.mask_HW.any(0).all()
        assert part.mask_HW.any(1).all()


def test_components_of_a_spiral_take_few_rounds():
    labels = np.zeros((41, 41), np.uint8)
    labels[1::2] = 1
    labels[1::4, -1] = 0
    labels[3::4, 0] = 0
    assert len(regions(labels).label_N) == flood_count(labels)


def test_outline_of_a_box():
    labels = np.zeros((10, 10), np.uint8)
    labels[2:5, 3:7] = 1
    found = regions(labels)
    (number,) = np.flatnonzero(found.label_N == 1)
    assert found.outline_N[number] == 14
    assert found.box_N4[number].tolist() == [2, 3, 5, 7]
    assert movable_classes([found]) == ()  # 12 % of the picture: no small thing
