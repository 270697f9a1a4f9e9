import numpy as np
import pytest

from latency_tables.measurement import FINAL, SEARCH, Rounds, TimingProtocol, summarize
from latency_tables.stats import halfwidth, is_steady, phase_p10, round_latencies, variation


def _rounds(cpu: list[list[float]], wall: list[list[float]] | None = None, num_phases: int = 1) -> Rounds:
    arrays = [np.array(samples) for samples in cpu]
    return Rounds([np.array(samples) for samples in wall] if wall else arrays, arrays, num_phases, 2000)


def _draws(seed: int, rounds: int = 6, runs: int = 20) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [list(5.0 + rng.random(runs) * 0.01) for _ in range(rounds)]


def test_halfwidth_is_students() -> None:
    # mean 2, s = 1, n = 3: t(0.975, 2) = 4.303, so 4.303 / sqrt(3)
    assert halfwidth([1.0, 2.0, 3.0]) == pytest.approx(2.4843, abs=1e-3)
    assert halfwidth([1.0]) == float("inf")


def test_halfwidth_covers_the_mean_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(10.0, 1.0, (2000, 5))
    covered = np.mean([abs(row.mean() - 10.0) <= halfwidth(list(row)) for row in draws])
    assert covered == pytest.approx(0.95, abs=0.02)


def test_variation() -> None:
    assert variation([9.0, 10.0, 11.0]) == pytest.approx(0.1)
    assert variation([9.0]) == 0.0


def test_phases_alternate_within_a_block() -> None:
    samples = np.array([1.0, 9.0] * 10)
    assert phase_p10(samples, 2) == [1.0, 9.0]
    assert round_latencies([samples], 2) == [5.0]


def test_steady_when_rounds_agree() -> None:
    same = [np.array([5.0] * 10)] * 3
    assert is_steady(same, 1, 0.02)
    assert not is_steady([*same[:2], np.array([6.0] * 10)], 1, 0.02)


def test_one_thread_is_judged_by_cpu_time_and_more_by_wall_time() -> None:
    cpu, wall = _draws(1), [[2 * value for value in block] for block in _draws(1)]
    anchor = _rounds(_draws(2))
    one = summarize(_rounds(cpu, wall), anchor, threads=1, load_average=0.0)
    two = summarize(_rounds(cpu, wall), anchor, threads=2, load_average=0.0)
    assert one.latency_ms == pytest.approx(5.0, abs=0.01)
    assert two.latency_ms == pytest.approx(10.0, abs=0.02)
    assert one.n == 120
    assert one.state_bytes == 2000


def test_latency_is_the_mean_over_phases_and_worst_the_dearest() -> None:
    cpu = [[2.0, 6.0, 4.0] * 10] * 4
    found = summarize(_rounds(cpu, num_phases=3), _rounds(_draws(2)), threads=1, load_average=0.0)
    assert found.latency_ms == pytest.approx(4.0)
    assert found.latency_worst_ms == pytest.approx(6.0)
    assert [phase.cpu_p10_ms for phase in found.phases] == pytest.approx([2.0, 6.0, 4.0])


def test_waiting_for_a_core_is_contention() -> None:
    cpu = _draws(1)
    waited = [[value * 1.2 for value in block] for block in cpu]
    calm = summarize(_rounds(cpu), _rounds(_draws(2)), threads=1, load_average=0.0)
    contended = summarize(_rounds(cpu, waited), _rounds(_draws(2)), threads=1, load_average=0.0)
    assert not calm.contended
    assert contended.contended
    assert contended.wall_cpu_ratio == pytest.approx(1.2)


def test_a_drifting_anchor_is_contention() -> None:
    drifting = [[5.0 + index] * 10 for index in range(6)]
    found = summarize(_rounds(_draws(1)), _rounds(drifting), threads=1, load_average=0.0)
    assert found.anchor_cv > 0.05
    assert found.contended


def test_deadline_misses_are_counted_on_wall_time() -> None:
    wall = [[30.0, 30.0, 30.0, 50.0]] * 5
    found = summarize(_rounds(_draws(1), wall), _rounds(_draws(2)), threads=1, load_average=0.0, fps=25.0)
    assert found.deadline_miss_rate == 0.25


@pytest.mark.parametrize(("protocol", "runs"), [(SEARCH, 50), (FINAL, 500)])
def test_protocols_keep_the_promised_number_of_runs(protocol: TimingProtocol, runs: int) -> None:
    assert protocol.min_runs >= runs
    assert protocol.warmup_runs >= 3


def test_a_protocol_of_one_round_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 rounds"):
        TimingProtocol("x", 3, 0.0, 5, 0.0, 1, 15, 0.2, 0.02, 60.0)
