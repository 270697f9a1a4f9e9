"""Every dataset: the promises of `VideoDataset`, the registry, and the rendered one's content."""

import pytest
import torch

from evaluators.datasets import moving_shapes
from evaluators.datasets.base import IGNORE
from evaluators.datasets.registry import DATASETS, open_dataset
from search_spaces.errors import InputError
from tests.evaluators.dataset_makers import make_camvid, make_folder, write_pair


@pytest.mark.parametrize("name", sorted(DATASETS))
class TestConformance:
    """The promises of the interface, over everything in the registry."""

    @pytest.fixture
    def spec(self, name, tmp_path):
        makers = {"camvid": make_camvid, "folder": make_folder}
        return f"{name}:{makers[name](tmp_path / name)}" if name in makers else name

    def test_info(self, spec):
        info = open_dataset(spec).info
        assert info.spec == spec
        assert len(info.classes) == len(info.palette) >= 2
        assert len(set(info.palette)) == len(info.palette)
        assert "train" in info.splits
        assert info == open_dataset(spec).info

    def test_videos(self, spec):
        dataset = open_dataset(spec)
        for split in dataset.info.splits:
            videos = dataset.videos(split)
            assert len({video.name for video in videos}) == len(videos) > 0
            for video in videos:
                frames = len(video.labelled_T)
                assert video.frames_TCHW.shape == (frames, 3, *dataset.info.size_hw)
                assert video.labels_THW.shape == (frames, *dataset.info.size_hw)
                assert video.frames_TCHW.dtype == video.labels_THW.dtype == torch.uint8
                assert video.labelled_T.dtype == torch.bool
                assert video.labelled_T.any()
                labels = set(video.labels_THW.unique().tolist()) - {IGNORE}
                assert labels <= set(range(len(dataset.info.classes)))
                assert (video.labels_THW[~video.labelled_T] == IGNORE).all()
                if video.flow_T2HW is not None:
                    assert video.flow_T2HW.shape == (frames, 2, *dataset.info.size_hw)
                    assert video.flow_T2HW.dtype == torch.float16
                    assert not video.flow_T2HW[0].any()
                    assert not video.visible_THW[0].any()
                    assert video.visible_THW.shape == video.labels_THW.shape

    def test_splits_share_no_frame(self, spec):
        dataset = open_dataset(spec)
        seen = [
            {frame.numpy().tobytes() for video in dataset.videos(split) for frame in video.frames_TCHW}
            for split in dataset.info.splits
        ]
        for index, one in enumerate(seen):
            assert not any(one & other for other in seen[index + 1 :])

    def test_decoded_once_and_equal_again(self, spec):
        assert open_dataset(spec).videos("train")[0] is open_dataset(spec).videos("train")[0]

    def test_size_is_obeyed_and_part_of_the_fingerprint(self, spec):
        small = open_dataset(spec, (36, 44))
        assert small.info.size_hw == (36, 44)
        assert all(video.frames_TCHW.shape[2:] == (36, 44) for video in small.videos("train"))
        assert small.info.fingerprint != open_dataset(spec).info.fingerprint

    def test_unknown_split(self, spec):
        with pytest.raises(InputError, match="split 'nonsense' is unknown; allowed: train"):
            open_dataset(spec).videos("nonsense")

    def test_check_of_sound_data(self, spec):
        dataset = open_dataset(spec)
        report = dataset.check()
        assert [p for p in report.problems if "no label; it is fed" not in p.what] == []
        videos = [(split, video) for split in dataset.info.splits for video in dataset.videos(split)]
        assert report.num_frames == sum(len(video.labelled_T) for _, video in videos)
        assert report.num_labelled == sum(int(video.labelled_T.sum()) for _, video in videos)
        assert [(s[0], s[1]) for s in report.sequences] == [(split, video.name) for split, video in videos]
        assert sum(share for _, share in report.class_shares) == pytest.approx(1.0)
        assert sum(count for _, count in report.sizes) == report.num_frames


def test_registry_refuses():
    with pytest.raises(InputError, match="'cityscapes:x' is unknown; allowed: moving_shapes, camvid:PATH"):
        open_dataset("cityscapes:x")
    with pytest.raises(InputError, match="it is written camvid:PATH"):
        open_dataset("camvid")
    with pytest.raises(InputError, match="it is written moving_shapes"):
        open_dataset("moving_shapes:here")
    with pytest.raises(InputError, match="nowhere does not exist"):
        open_dataset("folder:nowhere")
    with pytest.raises(InputError, match="nowhere does not exist"):
        open_dataset("camvid:nowhere")
    with pytest.raises(InputError, match=r"sides of 32\.\.4096"):
        open_dataset("moving_shapes", (8, 8))


def test_frames_too_small_for_any_network_are_refused_unless_a_size_is_given(tmp_path):
    for t in range(4):
        write_pair(tmp_path / "a" / "input" / f"{t}.png", tmp_path / "a" / "label" / f"{t}.png", size_hw=(24, 40))
    (tmp_path / "dataset.json").write_text('{"classes": ["x", "y"], "splits": {"train": ["a"]}}')
    with pytest.raises(InputError, match="frames of 24x40 pixels given, sides of at least 32 allowed; give a size"):
        open_dataset(f"folder:{tmp_path}")
    assert open_dataset(f"folder:{tmp_path}", (32, 48)).info.size_hw == (32, 48)


@pytest.mark.parametrize("size_hw", [None, (32, 48)])
def test_a_train_split_without_an_image_is_refused(tmp_path, size_hw):
    root = make_folder(tmp_path)
    for name in ("a", "b", "small"):
        for path in (root / name / "input").iterdir():
            path.unlink()
    with pytest.raises(InputError, match=r"dataset.json: no image of split train can be read"):
        open_dataset(f"folder:{root}", size_hw)


class TestMovingShapes:
    def test_a_size_that_would_fill_the_memory_is_refused(self):
        with pytest.raises(InputError, match=r"split train takes 7\.6 GiB at 1024x1024, at most 4\.0 GiB are allowed"):
            open_dataset("moving_shapes", (1024, 1024)).videos("train")

    def test_bytes_are_pinned(self):
        assert moving_shapes.content_sha256() == moving_shapes.CONTENT_SHA256

    def test_classes_all_occur_in_every_split(self):
        dataset = open_dataset("moving_shapes")
        assert len(dataset.info.classes) >= 5
        for split in dataset.info.splits:
            present = {label for v in dataset.videos(split) for label in v.labels_THW.unique().tolist()}
            assert present == set(range(len(dataset.info.classes)))

    def test_there_is_motion_parallax_and_occlusion(self):
        for video in open_dataset("moving_shapes").videos("val"):
            flow = video.flow_T2HW[5].float()
            assert (flow.flatten(1).std(1) > 0.05).any()
            assert 0.5 < video.visible_THW[1:].float().mean() < 0.999

    def test_some_frames_lose_the_picture_but_keep_their_labels(self):
        lost = 0
        for video in open_dataset("moving_shapes").videos("train"):
            change = (video.frames_TCHW[1:].float() - video.frames_TCHW[:-1].float()).abs().mean((1, 2, 3))
            lost += int((change > 3 * change.median()).any())
            assert video.labelled_T.all()
        assert lost >= 3
