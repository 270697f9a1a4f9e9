"""The renderer: hand-computed translation, exact flow over visible pixels, occlusion."""

import math

import numpy as np
import pytest

from evaluators.datasets.base import IGNORE
from evaluators.datasets.layers import Layer, Rendered, compose, invert, render, view
from evaluators.datasets.photometry import degrade, drop_out


def plane(poses, height=40, width=50, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.repeat(rng.integers(0, 5, (height // 5, width // 5), dtype=np.uint8), 5, 0), 5, 1)
    return Layer(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), labels, None, tuple(poses))


def card(poses, height=6, width=8, label=7):
    texture = np.full((height, width, 3), 200, np.uint8)
    mask = np.ones((height, width), np.bool_)
    return Layer(texture, np.full((height, width), label, np.uint8), mask, tuple(poses))


def shift(x, y):
    """The layer moved so that its origin lies at the output pixel (x, y)."""
    return view(x, y, 0.0, 0.0)


def warped_labels(rendered: Rendered, t: int) -> np.ndarray:
    """Labels of t-1 fetched along the flow of t, nearest."""
    height, width = rendered.labels_THW.shape[1:]
    flow = rendered.flow_T2HW[t].astype(np.float32)
    x = np.floor(np.arange(width) + flow[0] + 0.5).astype(int).clip(0, width - 1)
    y = np.floor(np.arange(height)[:, None] + flow[1] + 0.5).astype(int).clip(0, height - 1)
    return rendered.labels_THW[t - 1][y, x]


def test_translation_by_hand():
    background = plane([shift(-5.0, -4.0), shift(-3.0, -5.0)])
    rendered = render([background], 20, 30)
    np.testing.assert_array_equal(rendered.labels_THW[0], background.labels_HW[4:24, 5:35])
    np.testing.assert_array_equal(rendered.frames_TCHW[1], background.texture_HWC[5:25, 3:33].transpose(2, 0, 1))
    # The plane moved two to the right and one up: what is at p was at p + (-2, +1).
    assert set(np.unique(rendered.flow_T2HW[1, 0])) == {-2.0}
    assert set(np.unique(rendered.flow_T2HW[1, 1])) == {1.0}
    expected = np.ones((20, 30), np.bool_)
    expected[:, :2] = False  # came in from the left
    expected[-1] = False  # came in from below
    np.testing.assert_array_equal(rendered.visible_THW[1], expected)
    assert not rendered.visible_THW[0].any()
    assert not rendered.flow_T2HW[0].any()


def test_occlusion_by_hand():
    still = [shift(-2.0, -2.0)] * 2
    rendered = render([plane(still), card([shift(4.0, 5.0), shift(7.0, 5.0)])], 20, 30)
    assert (rendered.labels_THW[1][5:11, 7:15] == 7).all()
    assert (rendered.labels_THW == 7).sum() == 2 * 6 * 8
    assert set(np.unique(rendered.flow_T2HW[1, 0][5:11, 7:15])) == {-3.0}
    # Only the three columns the card uncovered were hidden; the still plane was seen everywhere else.
    hidden = np.argwhere(~rendered.visible_THW[1])
    assert {tuple(p) for p in hidden} == {(y, x) for y in range(5, 11) for x in range(4, 7)}


def test_half_pixel_shift_blends_colours():
    texture = np.zeros((2, 4, 3), np.uint8)
    texture[:, 2:] = 100
    layer = Layer(texture, np.zeros((2, 4), np.uint8), None, (shift(-0.5, 0.0),))
    assert render([layer], 1, 3).frames_TCHW[0, 0, 0].tolist() == [0, 50, 100]


def test_beyond_a_plane_is_ignored_and_unseen():
    rendered = render([plane([shift(10.0, 0.0)] * 2)], 20, 30)
    assert (rendered.labels_THW[:, :, :10] == IGNORE).all()
    assert not rendered.visible_THW[1][:, :10].any()
    assert rendered.visible_THW[1][:, 10:].all()


def test_card_outside_the_picture_paints_nothing():
    rendered = render([plane([shift(0, 0)]), card([shift(100.0, 100.0)])], 20, 30)
    assert not (rendered.labels_THW == 7).any()


def test_flow_reproduces_labels_over_visible_pixels():
    camera = [view(60, 40, 80 + 1.7 * t, 60 - 0.6 * t, 0.01 * t, 1.0 + 0.01 * t) for t in range(6)]
    blocks = plane(camera, 120, 160, seed=1)
    cards = [
        card(
            [compose(view(30 + 4.3 * t, 40 - 1.1 * t, 9, 9, 0.05 * t, 1.0), camera[0]) for t in range(6)],
            19,
            19,
            6,
        ),
        card([view(70 - 2.6 * t, 30 + 1.9 * t, 7, 7, -0.04 * t, 1.1) for t in range(6)], 15, 15, 7),
    ]
    rendered = render([blocks, *cards], 80, 120)
    for t in range(1, 6):
        seen = rendered.visible_THW[t]
        same = warped_labels(rendered, t) == rendered.labels_THW[t]
        assert seen.mean() > 0.9
        # Nearest rounds twice, so a pixel next to another label may differ; all others agree, without exception.
        assert same[seen & inner(rendered.labels_THW[t])].all()
        assert same[seen].mean() > 0.8
        assert same[seen & (rendered.labels_THW[t] >= 6)].all()
        assert same[~seen].mean() < 0.7


def inner(labels_HW):
    """Pixels whose eight neighbours carry their label."""
    framed = np.pad(labels_HW, 1, constant_values=99)
    height, width = labels_HW.shape
    around = [framed[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.all([one == labels_HW for one in around], axis=0)


def test_flow_follows_a_known_point_through_rotation():
    # The texture point (30, 20) is shown at (20 + 2 t, 15): the flow there is minus its velocity.
    poses = [view(20 + 2 * t, 15, 30, 20, 0.1 * t, 1 + 0.02 * t) for t in range(3)]
    rendered = render([plane(poses)], 30, 40)
    np.testing.assert_allclose(rendered.flow_T2HW[2, :, 15, 24], (-2.0, 0.0), atol=2e-3)


def test_pose_algebra():
    one, two = view(3, 4, 5, 6, 0.3, 1.2), view(-1, 2, 0.5, 7, -0.8, 0.7)
    a, b, c, d, e, f = compose(one, two)
    g, h, i, j, k, m = two
    x, y = g * 2 + h * 9 + i, j * 2 + k * 9 + m
    assert math.isclose(a * 2 + b * 9 + c, one[0] * x + one[1] * y + one[2])
    assert math.isclose(d * 2 + e * 9 + f, one[3] * x + one[4] * y + one[5])
    np.testing.assert_allclose(compose(one, invert(one)), (1, 0, 0, 0, 1, 0), atol=1e-12)


def test_bad_layers_are_refused():
    with pytest.raises(ValueError, match="layers of equal length"):
        render([plane([shift(0, 0)]), card([shift(0, 0)] * 2)], 20, 30)
    with pytest.raises(ValueError, match="cannot be inverted"):
        invert((1.0, 2.0, 0.0, 2.0, 4.0, 0.0))
    with pytest.raises(ValueError, match="positive"):
        view(0, 0, 0, 0, 0, 0.0)


def test_degrade_multiplies_and_adds_noise():
    frames = np.full((2, 3, 60, 60), 100, np.uint8)
    degrade(frames, (1.5, 0.5), (0.0, 8.0), np.random.default_rng(0))
    assert (frames[0] == 150).all()
    assert abs(frames[1].mean() - 50) < 0.5
    assert abs(frames[1].std() - 8) < 0.4


def test_drop_out_hides_the_picture():
    rng = np.random.default_rng(0)
    for _ in range(6):
        frame = np.tile(np.arange(64, dtype=np.uint8) * 4, (3, 64, 1))
        original = frame.copy()
        drop_out(frame, rng)
        correlation = np.corrcoef(frame.reshape(-1), original.reshape(-1))[0, 1]
        assert abs(correlation) < 0.1
