import re

import pytest

from latency_tables.device import Fingerprint, Target, fingerprint, parse_target
from latency_tables.runtimes.registry import RUNTIMES
from search_spaces.door import dump_json, parse_json
from search_spaces.errors import InputError, MissingExtraError


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("onnxruntime@thiscpu", "onnxruntime:f32:1@thiscpu"),
        ("onnxruntime:f32@pi-5", "onnxruntime:f32:1@pi-5"),
        ("torch:f32:4@thiscpu", "torch:f32:4@thiscpu"),
    ],
)
def test_target_text_round_trips(text: str, full: str) -> None:
    target = parse_target(text)
    assert str(target) == full
    assert parse_target(str(target)) == target
    assert target.is_local == (target.device == "thiscpu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("onnxruntime", r"RUNTIME\[:precision\[:threads\]\]@NAME is allowed"),
        ("onnxruntime@", "is allowed"),
        ("onnxruntime@../x", "is allowed"),
        ("onnxruntime:f32:1:2@thiscpu", "is allowed"),
        ("tvm@thiscpu", "runtime 'tvm' given; allowed: onnxruntime, openvino, torch"),
        ("onnxruntime:f64@thiscpu", "precision 'f64' given; onnxruntime allows: f32"),
        ("onnxruntime:f32:0@thiscpu", r"threads '0' given; 1\.\.256 allowed"),
        ("onnxruntime:f32:999@thiscpu", "threads '999' given"),
        ("onnxruntime:f32:two@thiscpu", "threads 'two' given"),
    ],
)
def test_bad_target_says_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_target(text)


def test_fingerprint_names_the_machine_and_the_runtime() -> None:
    found = fingerprint("torch")
    assert found.cores >= 1
    assert found.cpu
    assert re.match(r"\d+\.\d+", found.runtime_version)
    assert parse_json(Fingerprint, dump_json(found), "fingerprint") == found


def test_fingerprint_of_an_unknown_runtime_says_which_exist() -> None:
    with pytest.raises(InputError, match="allowed: onnxruntime, openvino, torch"):
        fingerprint("tvm")


def test_absent_runtime_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert not RUNTIMES["onnxruntime"].present
    assert RUNTIMES["torch"].present
    with pytest.raises(MissingExtraError, match=r"onnxruntime, which is not installed.*vidseg-nas\[onnx\]"):
        fingerprint("onnxruntime")


def test_target_is_read_strictly() -> None:
    assert parse_json(Target, dump_json(Target("torch", "f32", 2, "x")), "t") == Target("torch", "f32", 2, "x")
    with pytest.raises(InputError, match="field threads"):
        parse_json(Target, '{"runtime":"torch","precision":"f32","threads":"2","device":"x"}', "t")
