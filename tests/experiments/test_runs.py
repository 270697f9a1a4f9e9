"""Runs of an experiment go on where they stopped, and the statistics of its pages are what they say."""

import csv
import functools
from pathlib import Path

import numpy as np
import pytest

from experiments.ranking import bootstrap, cross_seed_tau, spread, tau
from experiments.runs import read_rows, run_jobs

KEYS = ("name", "seed")
COLUMNS = (*KEYS, "part", "value")


def _scored(log: Path, job: int) -> list[dict[str, object]]:
    """Two rows a job; every call leaves a file, and a job of 13 is broken."""
    log.joinpath(str(job)).touch()
    if job == 13:
        raise ValueError("thirteen")
    return [{"part": part, "value": job * 10 + part} for part in (0, 1)]


def _run(path: Path, log: Path, jobs: list[int], workers: int = 1) -> None:
    log.mkdir(exist_ok=True)
    keyed = [({"name": "a", "seed": job}, job) for job in jobs]
    run_jobs(path, COLUMNS, KEYS, keyed, functools.partial(_scored, log), workers=workers)


@pytest.mark.slow
class TestRuns:
    def test_what_has_rows_is_not_run_again(self, tmp_path: Path) -> None:
        path = tmp_path / "raw.csv"
        _run(path, tmp_path / "one", [1, 2, 3], workers=2)
        _run(path, tmp_path / "two", [2, 3, 4])
        assert sorted(file.name for file in (tmp_path / "two").iterdir()) == ["4"]
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows == read_rows(path)
        assert sorted((row["seed"], row["value"]) for row in rows) == [
            ("1", "10"), ("1", "11"), ("2", "20"), ("2", "21"), ("3", "30"), ("3", "31"), ("4", "40"), ("4", "41"),
        ]  # fmt: skip

    def test_what_was_there_before_a_broken_job_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "raw.csv"
        with pytest.raises(ValueError, match="thirteen"):
            _run(path, tmp_path / "log", [1, 2, 3, 13])
        assert {row["seed"] for row in read_rows(path)} == {"1", "2", "3"}


def test_spread_takes_the_noise_of_seeds_off() -> None:
    rng = np.random.default_rng(0)
    found = spread(rng.normal(0, 3, (4000, 1)) + rng.normal(0, 2, (4000, 2)))
    assert found.architectures == pytest.approx(3, rel=0.05)
    assert found.seeds == pytest.approx(2, rel=0.05)
    assert found.ratio == pytest.approx(1.5, rel=0.1)
    assert spread(rng.normal(0, 2, (4000, 2))).architectures < 0.5


def test_ranks_are_compared_between_different_seeds() -> None:
    """Each seed orders the networks its own way: equal seeds agree wholly, different ones not at all."""
    scores_AS = np.array([[0.0, 3.0], [1.0, 2.0], [2.0, 1.0], [3.0, 0.0]])
    assert tau(scores_AS[:, 0], scores_AS[:, 0]) == 1.0
    assert cross_seed_tau(scores_AS, scores_AS) == -1.0


def test_a_bootstrap_interval_holds_the_mean_of_its_draws() -> None:
    values = np.random.default_rng(1).normal(5, 1, 400)
    found = bootstrap(lambda index: float(values[index].mean()), len(values), seed=0)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert found.low < found.value < found.high
