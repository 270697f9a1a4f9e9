"""Tinting and contact sheets: exact pixels."""

import numpy as np
import pytest

from evaluators.datasets.base import IGNORE
from evaluators.pictures import contact_sheet, overlay

PALETTE = ((255, 0, 0), (0, 0, 255))


def test_overlay_mixes_exactly_and_leaves_ignored_pixels():
    frame = np.full((1, 3, 3), 100, np.uint8)
    labels = np.array([[0, 1, IGNORE]], np.uint8)
    tinted = overlay(frame, labels, PALETTE, 0.25)
    assert tinted.dtype == np.uint8
    assert tinted.tolist() == [[[139, 75, 75], [75, 75, 139], [100, 100, 100]]]  # 100 * .75 + 255 * .25


def test_overlay_ends():
    frame = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    labels = np.array([[0, 1], [1, 0]], np.uint8)
    assert np.array_equal(overlay(frame, labels, PALETTE, 0.0), frame)
    assert np.array_equal(overlay(frame, labels, PALETTE, 1.0), np.array(PALETTE, np.uint8)[labels])


def test_overlay_refuses_what_does_not_fit():
    frame = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(ValueError, match="differ in size"):
        overlay(frame, np.zeros((2, 3), np.uint8), PALETTE, 0.5)
    with pytest.raises(ValueError, match="label 2 given, the palette has 2 colours"):
        overlay(frame, np.full((2, 2), 2, np.uint8), PALETTE, 0.5)
    with pytest.raises(ValueError, match=r"alpha 1\.5 given"):
        overlay(frame, np.zeros((2, 2), np.uint8), PALETTE, 1.5)


def test_contact_sheet_places_every_picture_and_draws_captions():
    red = np.full((20, 30, 3), (255, 0, 0), np.uint8)
    blue = np.full((10, 30, 3), (0, 0, 255), np.uint8)
    sheet = np.asarray(contact_sheet([[("red", red), ("blue", blue)], [("again", blue)]]))
    assert int((sheet == (255, 0, 0)).all(axis=2).sum()) == 20 * 30
    assert int((sheet == (0, 0, 255)).all(axis=2).sum()) == 2 * 10 * 30
    assert int((sheet < 128).all(axis=2).sum()) > 30  # ink of the captions
    bare = np.asarray(contact_sheet([[("", red), ("", blue)], [("", blue)]]))
    assert bare.shape == sheet.shape
    assert int((bare < 128).all(axis=2).sum()) == 0


def test_contact_sheet_is_bounded():
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([])
    wide = np.zeros((1, 9000, 3), np.uint8)
    with pytest.raises(ValueError, match=r"contact sheet of .* pixels allowed"):
        contact_sheet([[("", wide)]] * 400)
