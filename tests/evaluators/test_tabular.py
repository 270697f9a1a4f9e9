"""What the recorded benchmarks answer, and that their noise is replayed."""

import pickle
from pathlib import Path

import pytest

from evaluators.job import Job
from evaluators.tabular import TabularEvaluator, open_benchmark
from search_spaces.architecture import Architecture, PointSpec
from search_spaces.decisions import enumerate_all
from search_spaces.errors import InputError
from search_spaces.spaces import make_space
from tests.search_spaces.recorded_files import real_folder, real_members, wide_file, wide_rows

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "tabular"


def spec_of(folder: Path) -> str:
    return f"tabular:{wide_file(folder)}?decisions=op,width&epochs=3:acc3,30:acc30&latency_ms=dev_ms"


def test_a_wide_table_answers_with_its_row_in_our_units(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    evaluator = TabularEvaluator(spec)
    points = [point.architecture for point in enumerate_all(make_space(spec))]
    for architecture, (_, _, low, high, latency) in zip(points, wide_rows(), strict=True):
        assert evaluator(Job("measure", architecture)).metrics == {"latency_ms": latency}
        assert evaluator(Job("train", architecture, epochs=3)).metrics == {"miou": pytest.approx(low / 100)}
        assert evaluator(Job("train", architecture, epochs=30, seed=7)).metrics == {"miou": pytest.approx(high / 100)}
        assert open_benchmark(spec).truth(architecture) == {"latency_ms": latency, "miou": pytest.approx(high / 100)}


def test_one_accuracy_of_unstated_length_answers_any_epochs(tmp_path: Path) -> None:
    spec = f"tabular:{wide_file(tmp_path)}?decisions=op,width&miou=acc30&latency_ms=dev_ms"
    architecture = Architecture(PointSpec((("op", 2), ("width", 16))))
    assert {TabularEvaluator(spec)(Job("train", architecture, epochs=n)).metrics["miou"] for n in (1, 99)} == {0.43}


def test_a_share_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shares.csv"
    path.write_text("a,acc,ms\n0,0.5,3\n1,1.0,4\n")
    benchmark = open_benchmark(f"tabular:{path}?decisions=a&miou=acc&latency_ms=ms")
    assert [benchmark.truth(Architecture(PointSpec((("a", n),))))["miou"] for n in (0, 1)] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (
            Job("train", Architecture(PointSpec((("op", 2), ("width", 16)))), epochs=7),
            "7 epochs given; recorded: 3, 30",
        ),
        (Job("train", Architecture(PointSpec((("op", 2), ("width", 9)))), epochs=3), "is not recorded"),
        (Job("prune", Architecture(PointSpec((("op", 2), ("width", 16))))), "job kind 'prune' given"),
    ],
)
def test_what_is_not_recorded_is_an_error_and_never_a_number(tmp_path: Path, job: Job, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TabularEvaluator(spec_of(tmp_path))(job)


def test_an_unknown_metric_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="option 'accuracy' given; allowed: a metric"):
        open_benchmark(f"tabular:{wide_file(tmp_path)}?decisions=op,width&miou=acc3&accuracy=acc3")
    with pytest.raises(InputError, match="no accuracy named"):
        open_benchmark(f"tabular:{wide_file(tmp_path)}?decisions=op,width")


class TestReplayedNoise:
    def test_a_training_is_one_recorded_seed_and_depends_on_the_jobs_seed_alone(self, tmp_path: Path) -> None:
        members = real_members(8)
        spec = f"tabular:{real_folder(tmp_path, members)}"
        drawn: set[float] = set()
        for seed in range(40):
            metrics = TabularEvaluator(spec)(Job("train", members[4].architecture, epochs=5, seed=seed)).metrics
            assert metrics == TabularEvaluator(spec)(Job("train", members[4].architecture, epochs=5, seed=seed)).metrics
            drawn.add(round(metrics["miou"], 6))
        assert drawn == {0.240, 0.241, 0.242}
        one_seed = {
            TabularEvaluator(spec)(Job("train", members[3].architecture, epochs=5, seed=seed)).metrics["miou"]
            for seed in range(20)
        }
        assert one_seed == {0.23}

    def test_networks_draw_apart(self, tmp_path: Path) -> None:
        """With one seed for all, not every network gives its first recorded row."""
        members = real_members(16)
        benchmark = open_benchmark(f"tabular:{real_folder(tmp_path, members)}")
        above = {
            round(benchmark.trained(member.architecture, 5, 0)["miou"] - 0.2 - index / 100, 6)
            for index, member in enumerate(members)
            if index % 2 == 0
        }
        assert above == {0.0, 0.001, 0.002}

    def test_the_truth_is_the_mean_at_the_most_epochs(self, tmp_path: Path) -> None:
        members = real_members(8)
        truth = open_benchmark(f"tabular:{real_folder(tmp_path, members)}").truth(members[4].architecture)
        assert truth["miou"] == pytest.approx(0.241)
        assert truth["latency_ms"] == 9.0
        assert truth["macs_m"] == 14.0


def test_a_folder_takes_the_first_latency_or_the_named_one(tmp_path: Path) -> None:
    members = real_members(4)
    folder = real_folder(tmp_path, members)
    job = Job("measure", members[1].architecture)
    assert TabularEvaluator(f"tabular:{folder}")(job).metrics == {
        "latency_ms": 6.0, "latency_halfwidth_ms": 0.1, "macs_m": 11.0, "params_k": 1.0, "state_kb": 0.0,
    }  # fmt: skip
    assert TabularEvaluator(f"tabular:{folder}?latency_ms=latency_openvino_ms")(job).metrics["latency_ms"] == 8.0
    train = Job("train", members[1].architecture, epochs=5)
    assert set(TabularEvaluator(f"tabular:{folder}")(train).metrics) == {"miou", "tc", "warp_flip"}
    other = TabularEvaluator(f"tabular:{folder}?tc=warp_flip")
    assert other(train).metrics["tc"] == 0.1


def test_identity_is_of_what_the_files_say_and_not_of_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = TabularEvaluator(spec_of(tmp_path))
    assert TabularEvaluator(spec_of(tmp_path / "other")).dataset == one.dataset
    assert TabularEvaluator(one.spec.replace("dev_ms", "acc3")).dataset != one.dataset
    before = one.dataset
    path = tmp_path / "wide.csv"
    path.write_text(path.read_text().replace("21.", "22."))
    assert TabularEvaluator(one.spec).dataset != before
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="the research data do not lie beside the repository")
def test_published_tables_in_our_units() -> None:
    micro = open_benchmark(f"tabular:{DATA}/transnas_micro_segmentation.csv.gz")
    mious = [micro.truth(network.member.architecture)["miou"] for network in micro.table.members]
    assert max(mious) == pytest.approx(0.26270681)
    cell = Architecture(
        PointSpec(tuple(zip(("e01", "e02", "e12", "e03", "e13", "e23"), (4, 2, 1, 2, 1, 1), strict=True)))
    )
    nb201 = open_benchmark(f"tabular:{DATA}/nb201.csv.gz?dataset=cifar100")
    assert nb201.trained(cell, 12, 0) == {"miou": pytest.approx(0.3184)}
    assert nb201.trained(cell, 200, 0) == {"miou": pytest.approx(0.527)}
    assert nb201.measured(cell) == {"latency_ms": 3.60585, "macs_m": 17.958592}
