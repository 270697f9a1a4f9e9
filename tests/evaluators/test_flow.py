"""DIS flow with a forward-backward check: direction, occlusion, cache; and the figures on CamVid val."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluators import flow as flow_module
from evaluators.datasets.base import IGNORE, Video
from evaluators.flow import backward_motion, with_flow
from evaluators.temporal_metrics import temporal_scores
from search_spaces.errors import InputError, MissingExtraError

CAMVID = Path(__file__).resolve().parents[3] / "shared" / "data"

pytest.importorskip("cv2")


def texture(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth noise, which has structure at every scale that DIS looks at."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cell in (4, 8, 16):
        grid = generator.random((height // cell + 2, width // cell + 2, 3))
        rows = np.linspace(0, grid.shape[0] - 1.001, height)
        columns = np.linspace(0, grid.shape[1] - 1.001, width)
        total += grid[rows.astype(int)][:, columns.astype(int)]
    return np.uint8(255 * total / total.max())


def video_of(frames: list[np.ndarray], name: str = "synthetic") -> Video:
    stack = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()
    labels = torch.zeros(len(frames), *stack.shape[2:], dtype=torch.uint8)
    return Video(name, stack, labels, torch.ones(len(frames), dtype=torch.bool))


@pytest.fixture(scope="module")
def panning() -> Video:
    """The scene moves 3 pixels to the right and 1 down per frame."""
    scene = texture(96, 128, seed=1)
    return video_of([scene[20 - t : 84 - t, 30 - 3 * t : 110 - 3 * t] for t in range(3)])


def test_flow_points_back_to_where_it_was(panning, tmp_path):
    result = with_flow(panning, tmp_path)
    assert result.flow_T2HW.shape == (3, 2, 64, 80)
    assert result.flow_T2HW.dtype == torch.float16
    assert result.visible_THW.dtype == torch.bool
    inner = result.flow_T2HW[1:, :, 8:-8, 8:-8].float()
    assert float((inner[:, 0] + 3).abs().median()) < 0.25
    assert float((inner[:, 1] + 1).abs().median()) < 0.25
    assert not result.flow_T2HW[0].any()


def test_what_comes_into_the_picture_was_not_seen(panning, tmp_path):
    visible = with_flow(panning, tmp_path).visible_THW
    assert not visible[0].any()
    assert float(visible[1:, 8:-8, 8:-8].float().mean()) > 0.95
    assert float(visible[1:, :, :2].float().mean()) < 0.2


def test_uncovered_background_is_masked(tmp_path):
    background, thing = texture(128, 192, seed=2), texture(64, 64, seed=3)
    frames = []
    for t in range(2):
        frame = background.copy()
        frame[32:96, 60 + 6 * t : 124 + 6 * t] = thing
        frames.append(frame)
    visible = with_flow(video_of(frames), tmp_path).visible_THW[1]
    assert float(visible[40:88, 60:66].float().mean()) < 0.5  # uncovered
    assert float(visible[40:88, 76:120].float().mean()) > 0.8  # the thing
    assert float(visible[:24, 8:-8].float().mean()) > 0.95  # still background


def test_second_call_reads_the_cache_and_gives_the_same(panning, tmp_path, monkeypatch):
    first = with_flow(panning, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(flow_module, "backward_motion", lambda frames: pytest.fail("computed again"))
    second = with_flow(replace(panning, name="the same frames under another name"), tmp_path)
    assert torch.equal(first.flow_T2HW, second.flow_T2HW)
    assert torch.equal(first.visible_THW, second.visible_THW)


def test_other_frames_have_another_cache_file(panning, tmp_path):
    with_flow(panning, tmp_path)
    frames = panning.frames_TCHW.clone()
    frames[1, 0, 0, 0] ^= 1
    with_flow(replace(panning, frames_TCHW=frames), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "flipped bit", "empty", "header"])
def test_damaged_cache_is_computed_again(panning, tmp_path, damage):
    first = with_flow(panning, tmp_path)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    bad = bytearray(good)
    if damage == "truncated":
        bad = bad[: len(bad) // 2]
    elif damage == "flipped bit":
        bad[len(bad) // 2] ^= 4
    elif damage == "empty":
        bad = bytearray()
    else:
        bad[10] ^= 255
    path.write_bytes(bytes(bad))
    again = with_flow(panning, tmp_path)
    assert torch.equal(first.flow_T2HW, again.flow_T2HW)
    assert path.read_bytes() == good


def test_failed_write_leaves_nothing_behind(panning, tmp_path, monkeypatch):
    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        with_flow(panning, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_exact_motion_is_kept(panning, tmp_path):
    exact = replace(
        panning,
        flow_T2HW=torch.ones(3, 2, 64, 80, dtype=torch.float16),
        visible_THW=torch.ones(3, 64, 80, dtype=torch.bool),
    )
    assert with_flow(exact, tmp_path) is exact
    assert list(tmp_path.iterdir()) == []


def test_same_result_whatever_the_number_of_threads(panning):
    import cv2

    frames = np.ascontiguousarray(panning.frames_TCHW.permute(0, 2, 3, 1).numpy())
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        four = backward_motion(frames)
        assert cv2.getNumThreads() == 4
        cv2.setNumThreads(1)
        assert np.array_equal(four, backward_motion(frames))
    finally:
        cv2.setNumThreads(before)


def test_one_frame_has_no_motion(panning, tmp_path):
    result = with_flow(
        replace(
            panning,
            frames_TCHW=panning.frames_TCHW[:1],
            labels_THW=panning.labels_THW[:1],
            labelled_T=panning.labelled_T[:1],
        ),
        tmp_path,
    )
    assert not result.visible_THW.any()


def test_tiny_frames_are_refused(tmp_path):
    tiny = video_of([np.zeros((8, 40, 3), np.uint8)] * 2, name="tiny")
    with pytest.raises(InputError, match=r"video tiny: frames of 8x40 pixels given, .* at least 16x16"):
        with_flow(tiny, tmp_path)


def test_missing_opencv_names_the_extra(panning, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"optical flow needs .*vidseg-nas\[flow\]"):
        with_flow(panning, tmp_path)


def camvid_val(root: Path) -> Video:
    pairs = [line.split() for line in (root / "val.txt").read_text().splitlines() if line.strip()]
    frames = [np.asarray(Image.open(root / frame).convert("RGB")) for frame, _ in pairs]
    labels = np.stack([np.asarray(Image.open(root / label)) for _, label in pairs])
    labels = torch.from_numpy(np.where(labels == 11, IGNORE, labels).astype(np.uint8))
    return replace(video_of(frames, "camvid val"), labels_THW=labels)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("folder", "ceiling", "masked"), [("camvid", 0.892, 0.051), ("camvid_small", 0.875, 0.046)])
def test_camvid_ground_truth_against_itself(folder, ceiling, masked, tmp_path):
    """480x360: 89.2 with flow, 5.1 % masked, 74.3 without flow, flip 5.0 %, VC8 coverage .780."""
    root = CAMVID / folder
    if not root.is_dir():
        pytest.skip(f"{root} is absent")
    video = with_flow(camvid_val(root), tmp_path)
    labels = video.labels_THW
    assert labels.shape[0] == 101

    def scores(flow: torch.Tensor, visible: torch.Tensor) -> dict[str, float]:
        return dict(temporal_scores(labels, labels, flow, visible, 11, video.labelled_T).metrics())

    warped = scores(video.flow_T2HW, video.visible_THW)
    assert warped["tc"] == warped["tc_ceiling"] == pytest.approx(ceiling, abs=0.01)
    assert float((~video.visible_THW[1:]).float().mean()) == pytest.approx(masked, abs=0.01)
    warp_free = scores(torch.zeros_like(video.flow_T2HW), torch.ones_like(video.visible_THW))
    assert warp_free["tc_ceiling"] == pytest.approx(0.743, abs=0.01)
    assert warp_free["warp_flip_floor"] == pytest.approx(0.050, abs=0.002)
    counts = temporal_scores(labels, labels, None, None, 11, video.labelled_T)
    known = int((labels[:-7] != IGNORE).sum())
    assert counts.num_constant / known == pytest.approx(0.780, abs=0.005)
