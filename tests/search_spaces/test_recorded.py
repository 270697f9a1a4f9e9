"""Recorded benchmarks as spaces: what is asked, what is refused at the door."""

import gzip
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.architecture import Architecture, PointSpec
from search_spaces.decisions import ListedSpace, enumerate_all, mutate, replay, sample
from search_spaces.errors import InputError
from search_spaces.likeness import most_like
from search_spaces.recorded import Answers, Member, RecordedSpace
from search_spaces.recorded_csv import read_csv
from search_spaces.recorded_table import open_table
from search_spaces.spaces import make_space
from tests.search_spaces.recorded_files import NETWORK_COLUMNS, real_folder, real_members, wide_file, write_csv

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "tabular"


def member(*answers: tuple[str, int]) -> Member:
    return Member(str(answers), answers, Architecture(PointSpec(answers)))


def wide(path: Path, more: str = "") -> str:
    return f"tabular:{path}?decisions=op,width&miou=acc30&latency_ms=dev_ms{more}"


# A conditional space's genotypes: "b" is asked where "a" is above 0.
CONDITIONAL: list[Answers] = [(("a", 0),), (("a", 1), ("b", 0)), (("a", 1), ("b", 4)), (("a", 2), ("b", 4))]


class TestRecordedSpace:
    def test_it_offers_what_leads_to_a_network_and_nothing_else(self) -> None:
        space = RecordedSpace([member(*answers) for answers in CONDITIONAL])
        found = list(enumerate_all(space))
        assert [point.architecture for point in found] == [Architecture(PointSpec(answers)) for answers in CONDITIONAL]
        sizes = [dict(point.num_options) for point in found]
        assert sizes == [{"a": 3}, {"a": 3, "b": 2}, {"a": 3, "b": 2}, {"a": 3, "b": 1}]

    @given(st.lists(st.tuples(*[st.integers(0, 3)] * 4), min_size=1, max_size=40, unique=True))
    @settings(deadline=None, max_examples=50)
    def test_its_points_are_the_recorded_ones(self, rows: list[tuple[int, ...]]) -> None:
        space = RecordedSpace([member(*zip("abcd", row, strict=True)) for row in rows])
        assert isinstance(space, ListedSpace)
        assert [point.architecture for point in space.members] == [
            Architecture(PointSpec(tuple(zip("abcd", row, strict=True)))) for row in rows
        ]
        by_key = {point.architecture.key: point for point in enumerate_all(space)}
        assert len(by_key) == len(rows)
        for point in space.members:
            assert by_key[point.architecture.key] == point
            assert replay(space, point.genotype) == point.architecture
        rng = random.Random(0)
        assert mutate(space, space.members[0].genotype, rng).architecture.key in by_key

    def test_a_sample_is_uniform_over_networks_and_not_over_answers(self) -> None:
        rows = [(0, 0), *((1, place) for place in range(9))]
        space = RecordedSpace([member(*zip("ab", row, strict=True)) for row in rows])
        rng = random.Random(1)
        drawn = Counter(sample(space, rng).genotype["a"] for _ in range(2000))
        assert 140 < drawn[0] < 260, "a tenth, where uniform answers give a half"

    def test_a_foreign_network_has_its_nearest_recorded_one(self) -> None:
        space = RecordedSpace([member(*zip("abc", row, strict=True)) for row in ((0, 0, 0), (1, 1, 1), (1, 2, 2))])
        foreign = Architecture(PointSpec((("a", 0), ("b", 2), ("c", 2))))
        assert most_like(space, foreign).architecture == Architecture(PointSpec((("a", 1), ("b", 2), ("c", 2))))

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([], "no networks given"),
            ([CONDITIONAL[0], CONDITIONAL[0]], "have the same answers"),
            ([(("a", 0), ("b", 0)), (("a", 0),)], "asked different"),
            ([(("a", 0),), (("a", 0), ("b", 0))], "asked different"),
            ([(("a", 0),), (("b", 0),)], "asked different"),
        ],
    )
    def test_networks_that_no_questions_tell_apart_are_refused(self, rows: list[Answers], message: str) -> None:
        with pytest.raises(InputError, match=message):
            RecordedSpace([member(*answers) for answers in rows])


class TestWideTables:
    def test_decisions_are_the_named_columns(self, tmp_path: Path) -> None:
        space = make_space(wide(wide_file(tmp_path)))
        points = [dict(point.architecture.network.values) for point in enumerate_all(space)]  # type: ignore[union-attr]
        assert points == [{"op": op, "width": width} for op in range(3) for width in (8, 16)]

    def test_rows_under_the_least_latency_are_left_out(self, tmp_path: Path) -> None:
        assert len(open_table(wide(wide_file(tmp_path), "&min_latency_ms=2")).members) == 5

    def test_a_packed_file_is_the_same_table(self, tmp_path: Path) -> None:
        plain = wide_file(tmp_path)
        packed = tmp_path / "wide.csv.gz"
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        one, other = open_table(wide(plain)), open_table(wide(packed))
        assert one.networks.rows == other.networks.rows
        assert one.networks.sha256 == other.networks.sha256

    def test_a_changed_file_is_read_again(self, tmp_path: Path) -> None:
        path = wide_file(tmp_path)
        assert len(open_table(wide(path)).members) == 6
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
        assert len(open_table(wide(path)).members) == 3

    def test_nb201_cells_are_read_edge_by_edge(self, tmp_path: Path) -> None:
        cell = "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"
        columns = ["arch_str", "cifar10_val12", "cifar10_val200", "cifar10model_mflops", "pixel3_ms"]
        path = write_csv(
            tmp_path / "nb.csv", columns, [(cell, 50, 90, 10, 3.0), (cell.replace("1x1", "3x3"), 1, 2, 3, 0)]
        )
        table = open_table(f"tabular:{path}")
        (network,) = table.members
        assert network.member.answers == tuple(
            zip(("e01", "e02", "e12", "e03", "e13", "e23"), (0, 1, 2, 3, 4, 0), strict=True)
        )
        path.write_text(path.read_text().replace("avg_pool_3x3~1", "avg_pool_5x5~1"))
        with pytest.raises(InputError, match=r"nb\.csv line 2, column 'arch_str'"):
            open_table(f"tabular:{path}")

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ("", "no known benchmark; name its decisions"),
            ("?decisions=op,nosuch", "column 'nosuch' is missing; it has op, width"),
            ("?decisions=op,op", "each once"),
            ("?decisions=op,width&miou=nosuch", "column 'nosuch' is missing"),
            ("?decisions=op,width&epochs=3:acc3,3:acc30", "epochs: '3:acc30' given"),
            ("?decisions=op,width&epochs=x:acc3", "epochs: 'x:acc3' given"),
            ("?decisions=op,width&miou", "option 'miou' given; NAME=VALUE is needed"),
            ("?decisions=op,width&dataset=cifar10", "dataset 'cifar10' given; allowed: none"),
            ("?decisions=op,width&latency_ms=dev_ms&min_latency_ms=99", "no row has a dev_ms of at least 99"),
            ("?decisions=op,width&latency_ms=op", r"line 2, column 'op': 'conv' given; a finite number"),
            ("?decisions=op,width&min_latency_ms=x", "min_latency_ms: 'x' given"),
        ],
    )
    def test_what_cannot_be_read_is_said(self, tmp_path: Path, more: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            open_table(f"tabular:{wide_file(tmp_path)}{more}")

    def test_a_column_of_many_values_is_no_decision(self, tmp_path: Path) -> None:
        path = write_csv(tmp_path / "many.csv", ("a", "miou"), [(place, 0.5) for place in range(65)])
        with pytest.raises(InputError, match="decision column 'a' has 65 values, at most 64"):
            open_table(f"tabular:{path}?decisions=a")

    def test_two_rows_of_one_point_are_refused_with_both_lines(self, tmp_path: Path) -> None:
        path = write_csv(tmp_path / "twice.csv", ("a", "miou"), [(0, 0.5), (1, 0.5), (0, 0.6)])
        with pytest.raises(InputError, match=r"line 2 and .* line 4 have the same answers"):
            make_space(f"tabular:{path}?decisions=a")


class TestFiles:
    """The door: any file is either read or refused with its line."""

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"a,b\n", "has a header but no rows"),
            (b"a,b\n1,2\n3\n", "line 3: 1 values given, 2 needed"),
            (b"a,b\n1,2\n3,4,5\n", "line 3: 3 values given"),
            (b"a,a\n1,2\n", "line 1: column 2 'a' is given twice"),
            (b"a,\n1,2\n", "line 1: column 2 has no name"),
            (b'a,b\n1,"2\n', "no CSV"),
            (b"a,b\n1,2\n\xff,3\n", "line 3: is not UTF-8"),
            (",".join(f"c{place}" for place in range(1025)).encode() + b"\n1\n", "1025 columns given"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, content: bytes, message: str) -> None:
        path = tmp_path / "f.csv"
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_csv(path)

    def test_a_truncated_packed_file_names_its_line(self, tmp_path: Path) -> None:
        text = "a,b\n" + "".join(f"{random.Random(n).random()},{n}\n" for n in range(2000))
        whole = gzip.compress(text.encode())
        path = tmp_path / "f.csv.gz"
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match=r"f\.csv\.gz line \d+: the packed file is truncated") as caught:
            read_csv(path)
        line = int(re.findall(r"line (\d+)", str(caught.value))[0])
        assert 500 < line < 1500
        path.write_bytes(b"no gzip")
        with pytest.raises(InputError, match="truncated or damaged"):
            read_csv(path)

    def test_a_bomb_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("search_spaces.recorded_csv.MAX_BYTES", 1 << 20)
        path = tmp_path / "f.csv.gz"
        path.write_bytes(gzip.compress(b"a,b\n" + b"0" * (1 << 23)))
        with pytest.raises(InputError, match="more than 1048576 bytes"):
            read_csv(path)

    def test_an_absent_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"nosuch\.csv: cannot be read"):
            make_space(f"tabular:{tmp_path / 'nosuch.csv'}")
        with pytest.raises(InputError, match="no path given"):
            make_space("tabular:")


class TestFolder:
    def test_it_asks_what_the_networks_were_asked(self, tmp_path: Path) -> None:
        members = real_members(12)
        space = make_space(f"tabular:{real_folder(tmp_path, members)}")
        assert isinstance(space, ListedSpace)
        assert {point.architecture.key for point in enumerate_all(space)} == {m.architecture.key for m in members}
        assert [point.architecture for point in space.members] == [m.architecture for m in members]
        assert [list(point.genotype) for point in space.members] == [list(m.genotype) for m in members]

    def test_a_network_without_a_genotype_is_recorded_but_not_proposed(self, tmp_path: Path) -> None:
        folder = real_folder(tmp_path, real_members(6))
        table = read_csv(folder / "networks.csv")
        place = table.columns.index("genotype")
        rows = [list(row.values) for row in table.rows]
        rows[2][place] = "{}"
        write_csv(folder / "networks.csv", table.columns, rows)
        found = open_table(f"tabular:{folder}")
        assert [network.member.name for network in found.foreign] == ["n2"]
        assert len(list(enumerate_all(found.space))) == 5

    def test_networks_that_are_not_timed_yet_are_left_out(self, tmp_path: Path) -> None:
        folder = real_folder(tmp_path, real_members(6))
        table = read_csv(folder / "networks.csv")
        rows = [list(row.values) for row in table.rows]
        rows[1][NETWORK_COLUMNS.index("latency_onnxruntime_ms")] = ""
        write_csv(folder / "networks.csv", NETWORK_COLUMNS, rows)
        assert len(open_table(f"tabular:{folder}").members) == 5
        assert len(open_table(f"tabular:{folder}?latency_ms=latency_openvino_ms").members) == 6

    def test_networks_that_are_not_trained_yet_are_left_out(self, tmp_path: Path) -> None:
        folder = real_folder(tmp_path, real_members(6))
        path = folder / "trainings.csv"
        path.write_text("".join(line for line in path.open() if not line.startswith("n3,5,")))
        assert len(open_table(f"tabular:{folder}").members) == 5
        assert len(open_table(f"tabular:{folder}?epochs=2").members) == 6

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("name", "n1", r"line 2, column 'name': 'n1' given|line 3, column 'name': 'n1' given"),
            ("name", "other", "trainings.csv line 2, column 'name': 'n0' given; no network"),
            ("genotype", '{"a": "b"}', r"networks\.csv line 2, column 'genotype': field answers\.a"),
            ("genotype", "[1]", r"line 2, column 'genotype': field answers"),
            ("architecture", "{}", r"line 2, column 'architecture': field network"),
            ("latency_onnxruntime_ms", "fast", r"line 2, column 'latency_onnxruntime_ms': 'fast' given"),
        ],
    )
    def test_a_bad_value_is_named(self, tmp_path: Path, column: str, value: str, message: str) -> None:
        folder = real_folder(tmp_path, real_members(4))
        table = read_csv(folder / "networks.csv")
        rows = [list(row.values) for row in table.rows]
        rows[0][NETWORK_COLUMNS.index(column)] = value
        write_csv(folder / "networks.csv", NETWORK_COLUMNS, rows)
        with pytest.raises(InputError, match=message):
            open_table(f"tabular:{folder}")

    def test_the_same_architecture_twice_is_refused(self, tmp_path: Path) -> None:
        one, *others = real_members(4)
        folder = real_folder(tmp_path, [one, *others, one])
        with pytest.raises(InputError, match=r"line 6, column 'name': 'n4' given; line 2 records the same"):
            open_table(f"tabular:{folder}")

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("n0,5,0,0.5,0.8,0.1,1", r"column 'seed': '0' given; line \d+ records this training"),
            ("n0,5,x,0.5,0.8,0.1,1", "column 'seed': 'x' given; an integer"),
            ("n0,five,9,0.5,0.8,0.1,1", "column 'epochs': 'five' given; an integer"),
            ("n0,5,9,0.5", "4 values given, 7 needed"),
        ],
    )
    def test_a_bad_training_is_named_with_its_line(self, tmp_path: Path, line: str, message: str) -> None:
        folder = real_folder(tmp_path, real_members(4))
        path = folder / "trainings.csv"
        path.write_text(path.read_text() + line + "\n")
        last = len(path.read_text().splitlines())
        with pytest.raises(InputError, match=rf"trainings\.csv line {last}\D.*{message}"):
            open_table(f"tabular:{folder}")

    def test_options_of_one_file_are_refused(self, tmp_path: Path) -> None:
        folder = real_folder(tmp_path, real_members(4))
        with pytest.raises(InputError, match="option decisions is for one CSV"):
            open_table(f"tabular:{folder}?decisions=name")
        with pytest.raises(InputError, match="epochs: '7' given; recorded: 2, 5"):
            open_table(f"tabular:{folder}?epochs=7")


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="the research data do not lie beside the repository")
@pytest.mark.parametrize(
    ("spec", "points"),
    [
        ("transnas_micro_segmentation.csv.gz", 4096),
        ("transnas_micro_segmentation.csv.gz?latency_ms=gtx1080ti_b1_ms", 4096),
        ("transnas_micro_segmentation.csv.gz?decisions=e01,e02,e12,e03,e13,e23&miou=segmentsemantic_val_pixacc", 4096),
        ("nb201.csv.gz", 15625 - 202),
        ("nb201.csv.gz?dataset=imagenet16&latency_ms=gold_6240_ms", 15625),
    ],
)
def test_published_tables_are_whole(spec: str, points: int) -> None:
    space = make_space(f"tabular:{DATA}/{spec}")
    assert sum(1 for _ in enumerate_all(space)) == points
