import pickle
from dataclasses import replace
from pathlib import Path

import pytest

import evaluators.latency as latency
from evaluators.job import METRICS, Job
from evaluators.latency import CostEvaluator, LatencyEvaluator, MeasureError
from latency_tables.device import Target, parse_target
from latency_tables.measurement import TimingProtocol
from search_spaces.architecture import (
    Architecture,
    DecoderSpec,
    NetworkSpec,
    PointSpec,
    StageSpec,
    StemSpec,
    TemporalSite,
)
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.errors import InputError, MissingExtraError
from search_spaces.schedule_spec import KeyframesSpec

QUICK = TimingProtocol("quick", 3, 0.0, 5, 0.0, 3, 15, 0.0, 0.02, 60.0)
POINT = Architecture(PointSpec((("op", 1),)))


def _network(channels: int, cell: bool = False) -> Architecture:
    return Architecture(
        NetworkSpec(
            stem=StemSpec(channels),
            stages=(StageSpec("plain", 1, channels, 2),),
            decoder=DecoderSpec("bilinear", channels),
            temporal=(TemporalSite("bottleneck", ConvGRUSpec()),) if cell else (),
        )
    )


def _evaluator(folder: Path, target: str = "onnxruntime:f32:1@thiscpu") -> LatencyEvaluator:
    return LatencyEvaluator(parse_target(target), (48, 64), 5, folder, 0, QUICK)


@pytest.mark.parametrize("target", ["onnxruntime:f32:1@thiscpu", "torch:f32:1@thiscpu"])
def test_outcomes_come_in_order_and_failures_do_not_stop_the_others(target: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    jobs = [Job("measure", architecture) for architecture in (_network(4), POINT, _network(64, cell=True))]
    small, point, large = _evaluator(tmp_path, target).many(jobs)
    assert small.error is None
    assert large.error is None
    assert point.error is not None
    assert "cannot be built" in point.error
    assert not point.metrics
    assert set(small.metrics) <= set(METRICS)
    assert {"latency_ms", "latency_worst_ms", "latency_wall_p90_ms", "contended", "state_kb"} <= set(small.metrics)
    assert small.metrics["state_kb"] == 0
    assert large.metrics["state_kb"] == 12 * 16 * 64 * 4 / 1e3
    assert list(tmp_path.iterdir()) == []  # exports are gone once they are timed


def test_one_job_raises_its_reason(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match="a point of a recorded benchmark cannot be built"):
        _evaluator(tmp_path)(Job("measure", POINT))


def test_an_export_that_differs_is_never_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter is made to write another network than the one asked for."""
    pytest.importorskip("onnxruntime")
    export = latency.export_phases

    def other(model: object, size_hw: tuple[int, int], path: Path, metadata: dict[str, str]) -> tuple[Path, ...]:
        return export(latency.build_random(_network(4), 5, seed=99), size_hw, path, metadata)

    monkeypatch.setattr(latency, "export_phases", other)
    with pytest.raises(MeasureError, match=r"the exported network differs from torch by \d"):
        _evaluator(tmp_path)(Job("measure", _network(4)))


@pytest.mark.parametrize("target", ["onnxruntime:f32:1@thiscpu", "torch:f32:1@thiscpu"])
def test_a_schedule_is_measured_over_its_phases(target: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    spec = replace(_network(16).video, schedule=KeyframesSpec(2))
    metrics = _evaluator(tmp_path, target)(Job("measure", Architecture(spec))).metrics
    assert metrics["latency_worst_ms"] >= metrics["latency_ms"] > 0
    assert metrics["state_kb"] == 12 * 16 * 5 * 4 / 1e3
    costs = [CostEvaluator((48, 64), 5)(Job("cost", Architecture(s))).metrics for s in (spec, _network(16).video)]
    assert costs[0]["macs_m"] == pytest.approx(costs[1]["macs_m"] / 2)
    assert list(tmp_path.iterdir()) == []


def test_identity_names_target_size_and_protocol(tmp_path: Path) -> None:
    one = _evaluator(tmp_path)
    assert one.dataset.startswith("onnxruntime:f32:1@thiscpu ")
    assert one.dataset.endswith("48x64 5 classes, quick")
    others = [
        LatencyEvaluator(Target("torch", "f32", 1, "thiscpu"), (48, 64), 5, tmp_path, 0, QUICK),
        LatencyEvaluator(one.target, (64, 64), 5, tmp_path, 0, QUICK),
        LatencyEvaluator(one.target, (48, 64), 6, tmp_path, 0, QUICK),
        LatencyEvaluator(one.target, (48, 64), 5, tmp_path, 0),
    ]
    assert len({one.dataset, *(other.dataset for other in others)}) == 5


def test_a_figure_of_another_machine_is_another_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a search resumed elsewhere would answer from the old machine's record."""
    one = _evaluator(tmp_path)
    here = Job("measure", _network(4)).identity(one.dataset)
    monkeypatch.setattr(latency, "cpu_model", lambda: "another processor")
    assert Job("measure", _network(4)).identity(one.dataset) != here


def test_evaluators_travel_to_workers(tmp_path: Path) -> None:
    for evaluator in (_evaluator(tmp_path), CostEvaluator((48, 64), 5)):
        assert pickle.loads(pickle.dumps(evaluator)) == evaluator


def test_other_jobs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="job kind 'train' given, 'measure' allowed"):
        _evaluator(tmp_path).many([Job("train", _network(4))])
    with pytest.raises(InputError, match="job kind 'measure' given, 'cost' allowed"):
        CostEvaluator((48, 64), 5)(Job("measure", _network(4)))


@pytest.mark.parametrize("package", ["onnxruntime", "onnx"])
def test_absent_packages_are_no_fault_of_a_candidate(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"needs {package}, .*vidseg-nas\[onnx\]"):
        _evaluator(tmp_path).many([Job("measure", _network(4))])


def test_cost_of_a_network_counted_by_hand() -> None:
    """Stem 3->4 stride 2, stage 4->4 stride 2, projection 4->4 and classifier 4->5 at stride 4, frames 48x64."""
    metrics = CostEvaluator((48, 64), 5)(Job("cost", _network(4))).metrics
    macs = 24 * 32 * 27 * 4 + 12 * 16 * (36 * 4 + 16 + 20)
    parameters = 27 * 4 + 36 * 4 + 16 + 20 + 5 + 3 * 8  # three batch norms of 4 channels, one bias
    assert metrics == {"macs_m": macs / 1e6, "params_k": parameters / 1e3, "state_kb": 0.0}


def test_cost_of_a_point_is_an_error() -> None:
    with pytest.raises(InputError, match="cannot be built"):
        CostEvaluator((48, 64), 5)(Job("cost", POINT))
