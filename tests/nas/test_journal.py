"""The journal: numbered, checksummed, repaired at its end alone; the lock of a folder."""

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from nas.journal import Journal, encode, read_lines
from nas.lock import FolderLock, holder
from search_spaces.errors import InputError

FIELDS = [{"b": 1.5, "a": "ä\n"}, {}, {"x": [1, {"y": None}]}]


def _write(path: Path, rows: list[dict[str, object]] = FIELDS) -> bytes:
    with Journal(path) as journal:
        for fields in rows:
            journal.append("row", fields)
    return path.read_bytes()


def test_lines_have_number_type_sorted_fields_and_checksum(tmp_path: Path) -> None:
    lines = _write(tmp_path / "j").splitlines()
    first = json.loads(lines[0])
    assert list(first) == ["n", "type", "a", "b", "crc"]
    assert [json.loads(line)["n"] for line in lines] == [0, 1, 2]
    # Checked without our code: drop crc, dump again without spaces, take the crc.
    for line in lines:
        record = json.loads(line)
        crc = record.pop("crc")
        assert zlib.crc32(json.dumps(record, separators=(",", ":")).encode()) == crc


def test_not_finite_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append("row", {})
        before = (tmp_path / "j").read_bytes()
        with pytest.raises(ValueError, match="Out of range float"):
            journal.append("row", {"x": float("nan")})
        assert (tmp_path / "j").read_bytes() == before
        journal.append("row", {"x": 1})
    assert len(read_lines(tmp_path / "j")) == 2


def test_cut_at_every_byte_keeps_the_whole_records(tmp_path: Path) -> None:
    data = _write(tmp_path / "whole")
    path = tmp_path / "j"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        kept = data[:cut].count(b"\n")
        assert len(read_lines(path)) == kept
        assert path.read_bytes() == data[:cut], "a reader must not repair"
        with Journal(path) as journal:
            assert len(journal) == len(journal.lines) == kept
            for fields in FIELDS[kept:]:
                journal.append("row", fields)
        assert path.read_bytes() == data


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    data = _write(tmp_path / "whole")
    path = tmp_path / "j"
    last = data[:-1].rfind(b"\n") + 1
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        if place < last:
            with pytest.raises(InputError, match=r"line [12]: .*(checksum|journal record|missing)"):
                Journal(path)
        else:  # a damaged last line is one whose writing was cut off
            with Journal(path) as journal:
                assert len(journal) == 2


def test_missing_middle_line_is_named(tmp_path: Path) -> None:
    lines = _write(tmp_path / "j").splitlines(keepends=True)
    (tmp_path / "j").write_bytes(lines[0] + lines[2])
    with pytest.raises(InputError, match="j line 2: has number 2, 1 is due"):
        Journal(tmp_path / "j")


@pytest.mark.parametrize(
    "foreign", [b"hello", b"hello\n", b"{}\n", b'{"a": 1}\n{"b": 2}\n', b"\x89PNG\r\n\x1a\n", b"\n"]
)
def test_foreign_file_is_refused_and_kept(tmp_path: Path, foreign: bytes) -> None:
    (tmp_path / "j").write_bytes(foreign)
    with pytest.raises(InputError, match="j line 1: is no journal record"):
        Journal(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == foreign


def test_full_disk_takes_the_record_back_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "j"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(path) as journal:
        journal.append("row", {"a": 1})
        whole = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, before[1]))  # 20 bytes of the record fit
        try:
            with pytest.raises(OSError, match="what follows record 0 is taken back"):
                journal.append("row", {"a": "x" * 100})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert path.read_bytes() == whole
        journal.append("row", {"a": 2})
    assert [json.loads(line)["a"] for line in read_lines(path)] == [1, 2]


def test_append_is_on_disk_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync
    with Journal(tmp_path / "j") as journal:
        monkeypatch.setattr(os, "fsync", lambda fd: (synced.append((tmp_path / "j").stat().st_size), real(fd)))
        journal.append("row", {})
        assert synced == [(tmp_path / "j").stat().st_size]
        journal.append("row", {}, durable=False)
        journal.append("row", {}, durable=False)
        assert len(synced) == 1
        journal.sync()
        journal.sync()
        assert synced[1:] == [(tmp_path / "j").stat().st_size]


def test_failing_fsync_takes_back_what_is_not_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    with Journal(tmp_path / "j") as journal:
        journal.append("row", {})
        monkeypatch.setattr(os, "fsync", fails)
        journal.append("row", {}, durable=False)
        with pytest.raises(OSError, match="what follows record 0 is taken back"):
            journal.append("row", {})
    assert len(read_lines(tmp_path / "j")) == 1


def test_second_driver_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with FolderLock(tmp_path):
        with pytest.raises(InputError, match=rf"in use by pid {os.getpid()} on "):
            FolderLock(tmp_path)
        found = holder(tmp_path)
        assert found is not None
        assert found.pid == os.getpid()
    assert holder(tmp_path) is None
    FolderLock(tmp_path).close()


def test_lock_of_a_killed_driver_is_free_at_once(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from nas.lock import FolderLock; "
        "lock = FolderLock(pathlib.Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match=f"in use by pid {child.pid} "):
        FolderLock(tmp_path)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    FolderLock(tmp_path).close()


def test_encode_is_what_append_writes(tmp_path: Path) -> None:
    data = _write(tmp_path / "j")
    assert b"".join(encode(n, "row", fields) + b"\n" for n, fields in enumerate(FIELDS)) == data


def test_spawned_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    process = multiprocessing.get_context("spawn").Process(target=signal.pause, daemon=True)
    process.start()
    try:
        lock.close()
        FolderLock(tmp_path).close()
    finally:
        process.kill()
        process.join()
