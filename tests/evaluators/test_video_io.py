"""Frames in and out: what is written is read back, damage is named, sizes are bounded."""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluators import pictures
from evaluators import video_io as video_io_module
from evaluators.video_io import FrameWriter, frame_rate, read_frames
from search_spaces.errors import InputError, MissingExtraError

VIDEO_SUFFIXES = [".mp4", ".mkv"]


def scene(num_frames: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """A bright bar that moves over a smooth background: easy to compress, every frame different."""
    rows, columns = np.mgrid[:height, :width]
    base = np.stack([rows * 2, columns * 2, rows + columns], axis=2).astype(np.uint8)
    frames = []
    for t in range(num_frames):
        frame = base.copy()
        frame[:, 4 * t : 4 * t + 8] = (230, 200, 40)
        frames.append(frame)
    return frames


def write(path: Path, frames: Iterable[np.ndarray], fps: float = 15.0) -> None:
    with FrameWriter(path, fps) as writer:
        for frame in frames:
            writer.write(frame)


class TestReading:
    def test_folder_is_read_in_natural_order(self, tmp_path):
        for number in (10, 9, 2, 100):
            Image.new("RGB", (4, 3), (number, 0, 0)).save(tmp_path / f"frame{number}.png")
        (tmp_path / "notes.txt").write_text("not a frame")
        frames = list(read_frames(tmp_path))
        assert [int(frame[0, 0, 0]) for frame in frames] == [2, 9, 10, 100]
        assert frames[0].shape == (3, 4, 3)
        assert frames[0].dtype == np.uint8

    @pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "LA", "CMYK"])
    def test_every_8_bit_mode_becomes_rgb(self, tmp_path, mode):
        path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
        Image.new(mode, (5, 4)).save(path)
        (frame,) = read_frames(path)
        assert frame.shape == (4, 5, 3)

    def test_sixteen_bit_picture_is_refused(self, tmp_path):
        Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "deep.png")
        with pytest.raises(InputError, match=r"deep\.png: picture of mode I;16 given, 8 bits"):
            list(read_frames(tmp_path))

    def test_frames_of_different_sizes_are_refused(self, tmp_path):
        Image.new("RGB", (4, 3)).save(tmp_path / "1.png")
        Image.new("RGB", (4, 5)).save(tmp_path / "2.png")
        with pytest.raises(InputError, match=r"2\.png: frame of 5x4 pixels given, 3x4 .* needed"):
            list(read_frames(tmp_path))

    @pytest.mark.parametrize("suffix", [".png", ".jpg"])
    @pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
    def test_damaged_picture_is_named(self, tmp_path, suffix, damage):
        path = tmp_path / f"broken{suffix}"
        Image.fromarray(scene(1)[0]).save(path)
        content = path.read_bytes()
        path.write_bytes({"truncated": content[: len(content) // 2], "garbage": b"x" * 99, "empty": b""}[damage])
        with pytest.raises(InputError, match=rf"broken\{suffix}: cannot be read as a picture"):
            list(read_frames(path))

    @pytest.mark.parametrize("suffix", [*VIDEO_SUFFIXES, ".avi"])
    def test_damaged_video_is_named(self, tmp_path, suffix):
        path = tmp_path / f"broken{suffix}"
        path.write_bytes(b"not a video at all" * 50)
        with pytest.raises(InputError, match=rf"broken\{suffix}: cannot be read as a video"):
            list(read_frames(path))
        with pytest.raises(InputError, match=rf"broken\{suffix}: cannot be read as a video"):
            frame_rate(path)

    def test_video_with_damaged_middle_is_never_a_foreign_error(self, tmp_path):
        path = tmp_path / "a.mp4"
        write(path, scene(12))
        good = path.read_bytes()
        generator = np.random.default_rng(0)
        refused = 0
        for _ in range(40):
            bad = bytearray(good)
            for position in generator.integers(0, len(bad), 8):
                bad[position] = generator.integers(0, 256)
            path.write_bytes(bytes(bad))
            try:
                list(read_frames(path))
            except InputError as error:
                assert "a.mp4" in str(error)  # noqa: PT017
                refused += 1
        assert refused > 0

    def test_text_and_play_lists_are_not_videos(self, tmp_path):
        write(tmp_path / "a.mp4", scene(3))
        (tmp_path / "readme.txt").write_text("hello\n" * 500)
        (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.mp4\n")
        (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
        for name in ("readme.txt", "list.m3u8", "list.mp4"):
            with pytest.raises(InputError, match=f"{name}: cannot be read as a video"):
                list(read_frames(tmp_path / name))

    def test_absent_and_empty(self, tmp_path):
        for name in ("none.png", "none.mp4"):
            with pytest.raises(InputError, match=f"{name}: does not exist"):
                list(read_frames(tmp_path / name))
        with pytest.raises(InputError, match="no frame in it"):
            list(read_frames(tmp_path))

    def test_large_input_is_refused_before_decoding(self, tmp_path, monkeypatch):
        write(tmp_path / "a.mp4", scene(2))
        Image.fromarray(scene(1)[0]).save(tmp_path / "a.png")
        monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
        for name in ("a.mp4", "a.png"):
            with pytest.raises(InputError, match=f"{name}: frame of 48x64 pixels given, 1 to 1000"):
                list(read_frames(tmp_path / name))
        with (
            pytest.raises(InputError, match=r"b\.mkv: frame of 48x64 pixels"),
            FrameWriter(tmp_path / "b.mkv", 15) as writer,
        ):
            writer.write(scene(1)[0])
        assert not (tmp_path / "b.mkv").exists()

    def test_frame_rate_of_pictures_is_unknown(self, tmp_path):
        Image.new("RGB", (4, 3)).save(tmp_path / "1.png")
        assert frame_rate(tmp_path) is None
        assert frame_rate(tmp_path / "1.png") is None


class TestWriting:
    def test_folder_round_trip_is_exact(self, tmp_path):
        frames = scene(11)
        write(tmp_path / "out", frames)
        assert all(np.array_equal(a, b) for a, b in zip(frames, read_frames(tmp_path / "out"), strict=True))

    @pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
    @pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
    def test_video_round_trip_keeps_number_order_and_rate(self, tmp_path, suffix, codec, monkeypatch):
        import av

        if codec not in av.codecs_available:
            pytest.skip(f"this FFmpeg has no {codec}")
        monkeypatch.setattr(av, "codecs_available", {codec})
        frames = scene(12)
        path = tmp_path / "deep" / f"out{suffix}"
        write(path, frames, fps=12.5)
        read = list(read_frames(path))
        assert len(read) == 12
        for index, frame in enumerate(read):
            differences = [np.abs(frame.astype(int) - other).mean() for other in frames]
            assert int(np.argmin(differences)) == index
            assert differences[index] < 12
        assert frame_rate(path) == pytest.approx(12.5)
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.name == {"libx264": "h264"}.get(codec, codec)
        assert [p.name for p in path.parent.iterdir()] == [path.name]

    @pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
    def test_odd_sizes_lose_no_pixel(self, tmp_path, suffix):
        path = tmp_path / f"odd{suffix}"
        write(path, scene(2, 33, 47))
        assert {frame.shape for frame in read_frames(path)} == {(34, 48, 3)}

    def test_error_inside_the_block_leaves_no_video(self, tmp_path):
        def frames_of_a_failing_network():
            yield from scene(1)
            raise RuntimeError("network failed")

        with pytest.raises(RuntimeError, match="network failed"):
            write(tmp_path / "a.mp4", frames_of_a_failing_network())
        assert list(tmp_path.iterdir()) == []

    def test_no_frame_leaves_no_video(self, tmp_path):
        with FrameWriter(tmp_path / "a.mp4", 15):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_frames_must_fit(self, tmp_path):
        with FrameWriter(tmp_path / "out", 15) as writer:
            writer.write(scene(1)[0])
            with pytest.raises(ValueError, match="given after frames of"):
                writer.write(scene(1, 48, 66)[0])
            with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\) needed"):
                writer.write(scene(1)[0].astype(np.float32))

    def test_places_that_cannot_be_written_are_named(self, tmp_path):
        with pytest.raises(InputError, match=r"a\.avi: suffix \.avi given; \.mp4, \.mkv or none"):
            FrameWriter(tmp_path / "a.avi", 15)
        with pytest.raises(InputError, match="frame rate 0 given"):
            FrameWriter(tmp_path / "a.mp4", 0)
        (tmp_path / "file").write_text("in the way")
        for path in (tmp_path / "file" / "a.mp4", tmp_path / "file" / "frames"):
            with pytest.raises(InputError, match="cannot be written"), FrameWriter(path, 15):
                pass
        with pytest.raises(InputError, match="the folder is not empty"), FrameWriter(tmp_path / "", 15):
            pass


def test_missing_pyav_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"reading video files needs av.*vidseg-nas\[video\]"):
        list(read_frames(tmp_path / "a.mp4"))
    with (
        pytest.raises(MissingExtraError, match=r"writing video files needs av"),
        FrameWriter(tmp_path / "b.mp4", 15),
    ):
        pass
    assert video_io_module.VIDEO_FORMATS.keys() == set(VIDEO_SUFFIXES)
