"""Datasets read from files: layouts, and what happens to bad input."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluators.datasets.base import IGNORE
from evaluators.datasets.registry import open_dataset
from search_spaces.errors import InputError
from tests.evaluators.dataset_makers import HW, break_label, make_camvid, make_folder, write_pair


@pytest.fixture
def camvid(tmp_path):
    return make_camvid(tmp_path / "camvid")


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "folder")


class TestCamVid:
    def test_drives_are_cut_at_gaps(self, camvid):
        dataset = open_dataset(f"camvid:{camvid}")
        train = [(v.name, len(v.labelled_T), v.fps) for v in dataset.videos("train")]
        assert train == [("0006R0", 5, 1.0), ("0016E5/1", 4, 1.0), ("0016E5/2", 3, 1.0)]
        assert [(v.name, len(v.labelled_T), v.fps) for v in dataset.videos("val")] == [("0016E5", 6, 15.0)]
        assert dataset.info.sparse
        assert dataset.info.select == ("0006R0",)
        assert any("gap after frame 120: the next is 900" in note.what for note in dataset.check().notes)

    def test_void_is_ignored(self, camvid):
        (video, *_) = open_dataset(f"camvid:{camvid}").videos("train")
        assert (video.labels_THW[:, 10:20, 10:30] == IGNORE).all()

    def test_lists_of_the_original_release(self, camvid):
        text = (camvid / "train.txt").read_text()
        (camvid / "train.txt").write_text(
            "".join(" ".join(f"/SegNet/CamVid/{part}" for part in line.split()) + "\n" for line in text.splitlines())
        )
        assert len(open_dataset(f"camvid:{camvid}").videos("train")) == 3

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("train/0006R0_f00030.png", "1 fields given, an image and a label"),
            ("../../x_1.png train/y.png", "leaves the dataset's folder"),
            ("/etc/x_1.png train/y.png", "leaves the dataset's folder"),
            ("train/nonumber.png trainannot/nonumber.png", "DRIVE_FRAME"),
            ("train/0006R0_f00030.png trainannot/0006R0_f00030.png", "frame 30 of 0006R0 is listed twice"),
        ],
    )
    def test_bad_list_lines(self, camvid, line, message):
        with (camvid / "train.txt").open("a") as file:
            file.write(line + "\n")
        with pytest.raises(InputError, match=rf"train.txt:13: .*{message}"):
            open_dataset(f"camvid:{camvid}")

    def test_image_in_two_splits(self, camvid):
        with (camvid / "val.txt").open("a") as file:
            file.write("train/0006R0_f00030.png trainannot/0006R0_f00030.png\n")
        with pytest.raises(InputError, match=r"0006R0_f00030.png: is listed in train.txt and val.txt"):
            open_dataset(f"camvid:{camvid}")

    def test_missing_or_empty_list(self, camvid):
        (camvid / "val.txt").write_text("\n")
        with pytest.raises(InputError, match=r"val.txt: the list is empty"):
            open_dataset(f"camvid:{camvid}")
        (camvid / "train.txt").unlink()
        with pytest.raises(InputError, match=r"train.txt is missing"):
            open_dataset(f"camvid:{camvid}")

    def test_image_without_mask_and_unlisted_file(self, camvid):
        (camvid / "trainannot" / "0006R0_f00060.png").unlink()
        shutil.copy(camvid / "train" / "0006R0_f00030.png", camvid / "train" / "0006R0_f09990.png")
        dataset = open_dataset(f"camvid:{camvid}")
        with pytest.raises(InputError, match=r"0006R0_f00060.png: has no label"):
            dataset.videos("train")
        assert len(dataset.videos("val")) == 1
        problems = {(Path(p.path).name, p.what.split(":")[0]) for p in dataset.check().problems}
        assert ("0006R0_f00060.png", "has no label") in problems
        assert ("0006R0_f09990.png", "is not in train.txt and is not read") in problems

    def test_mask_without_image(self, camvid):
        (camvid / "val" / "0016E5_00502.png").unlink()
        dataset = open_dataset(f"camvid:{camvid}")
        with pytest.raises(InputError, match=r"0016E5_00502.png: has no image"):
            dataset.videos("val")
        assert any("has no image" in p.what for p in dataset.check().problems)


class TestBadItems:
    """videos() raises naming the file, what was given and what is allowed; check() lists it and goes on."""

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ("value", r"has label 77; 0..1 and 255 \(ignore\) are allowed"),
            ("16-bit", r"has 16-bit \(mode I;16\) labels; 8-bit single-channel or palette PNGs are allowed"),
            ("colour", r"has colour \(mode RGB\) labels; 8-bit"),
            ("4-bit", r"has 4-bit grey labels; 8-bit"),
            ("size", r"is 64x44 pixels, its image 3.jpg 64x48; equal sizes are needed"),
            ("truncated", r"is damaged or truncated|cannot be read as an image"),
            ("garbage", r"cannot be read as an image"),
            ("empty", r"cannot be read as an image"),
        ],
    )
    def test_label(self, folder, how, message):
        break_label(folder / "b" / "label" / "3.png", how)
        dataset = open_dataset(f"folder:{folder}")
        with pytest.raises(InputError, match=rf"b/label/3.png: .*({message})"):
            dataset.videos("train")
        report = dataset.check()
        (problem,) = [p for p in report.problems if p.path.endswith("b/label/3.png")]
        assert problem.what
        assert report.num_frames == 24
        assert report.num_labelled == 22

    @pytest.mark.parametrize("how", ["truncated", "garbage", "empty"])
    def test_image(self, folder, how):
        break_label(folder / "a" / "input" / "0.jpg", how) if how != "truncated" else (
            folder / "a" / "input" / "0.jpg"
        ).write_bytes((folder / "a" / "input" / "0.jpg").read_bytes()[:900])
        dataset = open_dataset(f"folder:{folder}")
        with pytest.raises(InputError, match=r"a/input/0.jpg: (is damaged|cannot be read)"):
            dataset.videos("train")
        assert any(p.path.endswith("a/input/0.jpg") for p in dataset.check().problems)

    def test_16_bit_image(self, folder):
        (folder / "a" / "input" / "2.jpg").unlink()
        Image.fromarray(np.zeros(HW, np.uint16)).save(folder / "a" / "input" / "2.png")
        with pytest.raises(InputError, match=r"2.png: has pixel mode I;16; 8-bit RGB"):
            open_dataset(f"folder:{folder}").videos("train")

    def test_size_changes_within_a_sequence(self, folder):
        write_pair(folder / "a" / "input" / "4.jpg", folder / "a" / "label" / "4.png", size_hw=(40, 64))
        dataset = open_dataset(f"folder:{folder}")
        with pytest.raises(InputError, match=r"4.jpg: is 64x40 pixels, the sequence began with 64x48"):
            dataset.videos("train")
        assert any("the sequence began with" in p.what for p in dataset.check().problems)

    def test_huge_header_is_refused_before_decoding(self, folder):
        Image.new("L", (9000, 1)).save(folder / "a" / "label" / "4.png")
        with pytest.raises(InputError, match=r"4.png: is 9000x1 pixels, sides of at most 8192"):
            open_dataset(f"folder:{folder}").videos("train")

    def test_palette_labels_are_indices(self, folder):
        path = folder / "a" / "label" / "0.png"
        image = Image.fromarray(np.array(Image.open(path)), mode="P")
        image.putpalette([200, 10, 10, 10, 200, 10] + [0] * 762)
        image.save(path)
        (video, *_) = open_dataset(f"folder:{folder}").videos("train")
        assert set(video.labels_THW[0].unique().tolist()) == {0, 1}

    def test_all_ignored_frame_is_noted(self, folder):
        Image.fromarray(np.full(HW, 255, np.uint8)).save(folder / "a" / "label" / "0.png")
        report = open_dataset(f"folder:{folder}").check()
        assert any(note.path.endswith("a/label/0.png") and "ignored" in note.what for note in report.notes)
        assert report.ignore_share > 0


class TestFolder:
    def test_frame_without_label_is_fed_and_not_scored(self, folder):
        dataset = open_dataset(f"folder:{folder}")
        video = dataset.videos("train")[1]
        assert video.labelled_T.tolist() == [True, False, True, True, True, True]
        assert (video.labels_THW[1] == IGNORE).all()
        assert any(p.path.endswith("b/input/1.jpg") and "no label" in p.what for p in dataset.check().problems)
        assert video.fps == dataset.info.fps == 25.0
        assert not dataset.info.sparse

    def test_frames_are_in_natural_order(self, tmp_path):
        root = make_folder(tmp_path)
        for t in (9, 10, 11):
            write_pair(root / "v" / "input" / f"{t}.jpg", root / "v" / "label" / f"{t}.png", seed=t)
        names = [(v.name, len(v.labelled_T)) for v in open_dataset(f"folder:{root}").videos("val")]
        assert names == [("v/1", 6), ("v/2", 3)]

    def test_smaller_sequence_is_resized_to_the_first(self, folder):
        videos = open_dataset(f"folder:{folder}").videos("train")
        assert {tuple(video.labels_THW.shape[1:]) for video in videos} == {HW}
        assert set(videos[2].labels_THW.unique().tolist()) == {0, 1}

    def test_mask_without_image(self, folder):
        (folder / "a" / "input" / "2.jpg").unlink()
        dataset = open_dataset(f"folder:{folder}")
        with pytest.raises(InputError, match=r"a/label/2.png: has no image of the same name"):
            dataset.videos("train")
        assert any("no image of the same name" in p.what for p in dataset.check().problems)

    def test_two_images_of_one_frame(self, folder):
        write_pair(folder / "a" / "input" / "2.png", None)
        with pytest.raises(InputError, match=r"2.png: is a second file for the frame of 2.jpg"):
            open_dataset(f"folder:{folder}").videos("train")

    def test_link_out_of_the_folder(self, folder, tmp_path):
        write_pair(tmp_path / "elsewhere.png", None)
        (folder / "a" / "input" / "6.png").symlink_to(tmp_path / "elsewhere.png")
        with pytest.raises(InputError, match=r"6.png: is a link that leaves the dataset's folder"):
            open_dataset(f"folder:{folder}").videos("train")

    def test_missing_sequence(self, tmp_path):
        root = make_folder(tmp_path, splits={"train": ["a"], "val": ["gone"]})
        dataset = open_dataset(f"folder:{root}")
        with pytest.raises(InputError, match=r"gone/input: has no image"):
            dataset.videos("val")
        assert any("gone" in p.path for p in dataset.check().problems)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"classes": ["one"]}, "field classes"),
            ({"classes": ["one", "one"]}, "field classes: names must differ"),
            ({"fps": 0}, "field fps"),
            ({"fps": "fast"}, "field fps"),
            ({"ignore_label": 256}, "field ignore_label"),
            ({"splits": {"val": ["v"]}}, "a split 'train' is needed"),
            ({"splits": {"train": []}}, "field splits.train"),
            ({"splits": {"train": ["a"], "val": ["a"]}}, "sequence 'a' is already in train"),
            ({"splits": {"train": ["../a"]}}, r"given '../a'; the name of a folder is allowed"),
            ({"splits": {"train": [".."]}}, "the name of a folder is allowed"),
            ({"select": ["v"]}, "field select: given 'v'; sequences of split train"),
            ({"select": ["a", "b", "small"]}, "field select: given every train sequence"),
            ({"colour": 1}, "field colour"),
        ],
    )
    def test_bad_document(self, tmp_path, changes, message):
        root = make_folder(tmp_path, **changes)
        with pytest.raises(InputError, match=rf"dataset.json: .*{message}"):
            open_dataset(f"folder:{root}")

    def test_document_missing_or_no_json(self, folder):
        (folder / "dataset.json").write_text("{")
        with pytest.raises(InputError, match=r"dataset.json: .*Invalid JSON"):
            open_dataset(f"folder:{folder}")
        (folder / "dataset.json").unlink()
        with pytest.raises(InputError, match=r"dataset.json: cannot be read"):
            open_dataset(f"folder:{folder}")

    def test_stills_and_slow_sequences_are_sparse(self, tmp_path):
        assert open_dataset(f"folder:{make_folder(tmp_path / 'x', fps=1)}").info.sparse
        root = make_folder(tmp_path / "y", splits={"train": ["a", "b"]})
        for name in "ab":
            for t in range(1, 6):
                (root / name / "input" / f"{t}.jpg").unlink()
                (root / name / "label" / f"{t}.png").unlink(missing_ok=True)
        assert open_dataset(f"folder:{root}").info.sparse

    def test_fingerprint_follows_content_not_place(self, folder, tmp_path):
        before = open_dataset(f"folder:{folder}").info.fingerprint
        moved = shutil.copytree(folder, tmp_path / "moved")
        assert open_dataset(f"folder:{moved}").info.fingerprint == before
        (moved / "a" / "label" / "5.png").unlink()
        assert open_dataset(f"folder:{moved}").info.fingerprint != before

    def test_too_large_a_split_is_refused(self, folder, monkeypatch):
        monkeypatch.setattr("evaluators.datasets.strips.MAX_SPLIT_BYTES", 1000)
        with pytest.raises(InputError, match=r"split train takes .* GiB at 48x64"):
            open_dataset(f"folder:{folder}").videos("train")
