"""The research data beside the repository, where it is present."""

from pathlib import Path

import numpy as np
import pytest

from evaluators.datasets.base import IGNORE
from evaluators.datasets.clips import clip_pool
from evaluators.datasets.pseudo_video import collect_stills
from evaluators.datasets.registry import open_dataset
from evaluators.datasets.splits import fit_and_select

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not (DATA / "camvid_small").is_dir(), reason=f"no research data in {DATA}"),
]


@pytest.fixture(scope="module")
def camvid():
    return open_dataset(f"camvid:{DATA / 'camvid_small'}")


def test_camvid_sequences(camvid):
    train = [(v.name, len(v.labelled_T), v.fps) for v in camvid.videos("train")]
    assert train == [
        ("0001TP", 62, 1.0),
        ("0006R0", 101, 1.0),
        ("0016E5/1", 68, 1.0),
        ("0016E5/2", 120, 1.0),
        ("0016E5/3", 16, 1.0),
    ]
    assert [(v.name, len(v.labelled_T), v.fps) for v in camvid.videos("val")] == [("0016E5", 101, 15.0)]
    assert camvid.info.size_hw == (180, 240)
    assert camvid.info.sparse


def test_camvid_is_sound_and_its_shares_are_known(camvid):
    report = camvid.check()
    assert report.problems == ()
    assert (report.num_frames, report.num_labelled) == (468, 468)
    gaps = [note.what for note in report.notes]
    assert gaps == [
        "gap after frame 2400: the next is 4350, the usual step 30",
        "gap after frame 7920: the next is 8190, the usual step 30",
    ]
    labels = np.concatenate([v.labels_THW.numpy() for v in camvid.videos("train")])
    assert (labels == 3).mean() == pytest.approx(0.3166, abs=2e-3)  # road, as the page states for 480x360
    assert (labels == IGNORE).mean() == pytest.approx(0.0395, abs=4e-3)


def test_selection_drive_is_never_fitted_on(camvid):
    fit, select = fit_and_select(camvid)
    assert {v.name for v in select} == {"0006R0"}
    assert all("0006R0" not in v.name for v in fit)
    assert sum(len(v.labelled_T) for v in fit) == 266


def test_cars_and_people_are_what_moves(camvid):
    fit, _ = fit_and_select(camvid)
    stills = collect_stills(tuple(fit))
    movable = {camvid.info.classes[label] for label in stills.movable}
    assert movable == {"SignSymbol", "Car", "Pedestrian", "Bicyclist"}


def test_pseudo_video_of_camvid(camvid):
    fit, _ = fit_and_select(camvid)
    pool = clip_pool(fit, sparse=True, clip_frames=4, num_clips=20, seed=0)
    assert pool.frames_NTCHW.shape == (20, 4, 3, 180, 240)
    assert (pool.labels_NTHW == IGNORE).float().mean() < 0.1
    assert pool.visible_NTHW[:, 1:].float().mean() > 0.9


@pytest.mark.slow
def test_sbi2015():
    dataset = open_dataset(f"folder:{DATA / 'sbi2015'}", (120, 160))
    report = dataset.check()
    assert report.problems == ()
    assert report.notes == ()
    assert (report.num_frames, report.num_labelled) == (1176, 1176)
    assert report.sizes == (((240, 320), 530), ((240, 352), 296), ((288, 352), 350))
    assert [(v.name, len(v.labelled_T), v.fps) for v in dataset.videos("val")] == [
        ("HallAndMonitor", 296, None),
        ("IBMtest2", 90, None),
    ]
    assert not dataset.info.sparse
    fit, select = fit_and_select(dataset)
    assert [v.name for v in fit] == ["HighwayI"]
    assert [v.name for v in select] == ["Candela_m1.10"]
