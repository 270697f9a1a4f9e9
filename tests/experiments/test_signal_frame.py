"""The cut of a step into parts and the levers: what they compute. Nothing here is judged by its time."""

import csv
import json
from pathlib import Path

import pytest
import torch
from frame_networks import ARCHITECTURES, BILINEAR, EVERYTHING, NUM_CLASSES, QUICK, SIZE_HW, outputs
from torch import nn

from experiments import signal_frame
from experiments.frame_parts import Prefix, parts_of
from experiments.frame_profile import _owners, part_of_values, profile
from experiments.signal_frame import CALL, Member, Setting, export_prefixes, measure_parts, read_front
from latency_tables.random_weights import build_random
from search_spaces.errors import InputError
from search_spaces.network import VideoSegmenter
from search_spaces.presets import PRESETS


class TestParts:
    def test_all_parts_are_exactly_the_step(self, model: VideoSegmenter) -> None:
        whole = Prefix(model, len(parts_of(model)))
        for given, expected in zip(outputs(whole), outputs(model), strict=True):
            assert torch.equal(given, expected)

    def test_names_in_order(self) -> None:
        everything, bilinear, branches = (build_random(a, NUM_CLASSES, seed=0) for a in ARCHITECTURES.values())
        assert [part.name for part in parts_of(bilinear)] == [
            "input", "stem", "stage 0", "decoder", "head", "upsampling",
        ]  # fmt: skip
        assert [part.name for part in parts_of(everything)] == [
            "input", "stem", "stage 0", "stage 1", "context", "temporal bottleneck", "decoder", "temporal decoder",
            "head", "temporal logits", "upsampling",
        ]  # fmt: skip
        assert [part.name for part in parts_of(branches)] == [
            "input", "stem", "stage 0", "stage 1", "context", "detail", "temporal skip2", "decoder", "head",
            "temporal logits",
        ]  # fmt: skip

    def test_every_parameter_is_in_one_part(self, model: VideoSegmenter) -> None:
        names = [name for part in parts_of(model) for name in part.modules]
        found = [parameter for name in names for parameter in model.get_submodule(name).parameters()]
        assert len({id(parameter) for parameter in found}) == len(found)
        assert {id(parameter) for parameter in found} == {id(parameter) for parameter in model.parameters()}

    @pytest.mark.parametrize("name", ["contextnet_like", "ddrnet_like", "lraspp_like"])
    def test_a_branch_from_the_frame_one_beside_the_stages_and_scores_of_a_skip(self, name: str) -> None:
        model = build_random(PRESETS[name].architecture, NUM_CLASSES, seed=0)
        self.test_every_parameter_is_in_one_part(model)
        self.test_all_parts_are_exactly_the_step(model)

    def test_a_part_uses_the_modules_it_names_and_no_others(self, model: VideoSegmenter) -> None:
        parts = parts_of(model)
        before: set[str] = set()
        for count in range(1, len(parts) + 1):
            called: set[str] = set()
            hooks = [
                module.register_forward_hook(lambda *_, name=name, called=called: called.add(name))
                for name, module in model.named_modules()
                if isinstance(module, nn.Conv2d)
            ]
            outputs(Prefix(model, count), 1)
            for hook in hooks:
                hook.remove()
            new = called - before
            before |= called
            assert all(name.startswith(parts[count - 1].modules) for name in new)

    def test_a_prefix_carries_the_states_of_its_own_cells_alone(self) -> None:
        model = build_random(EVERYTHING, NUM_CLASSES, seed=0)
        carried = [len(Prefix(model, count).initial_state(1, *SIZE_HW)) for count in range(len(parts_of(model)) + 1)]
        assert carried == [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 4, 4]

    def test_the_probe_reads_one_pixel(self, model: VideoSegmenter) -> None:
        for count in range(len(parts_of(model))):
            bare, probed = Prefix(model, count), Prefix(model, count, SIZE_HW)
            (given, *_), (feature, *_) = outputs(probed, 1), outputs(bare, 1)
            assert given.shape == (1, 1, 1, 1)
            torch.testing.assert_close(given[0, 0, 0, 0], feature[0, :, 0, 0].mean())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of the networks that end after each part, by part; without the one that computes nothing."""
    folder = tmp_path_factory.mktemp("prefixes")
    paths = export_prefixes(EVERYTHING, Setting(SIZE_HW, NUM_CLASSES, QUICK, folder), folder)
    return {part: path for part, path in paths.items() if part != CALL}


@pytest.mark.slow
class TestExportedParts:
    def test_every_node_of_the_whole_and_of_the_optimized_graph_has_a_part(self, exported: dict[str, Path]) -> None:
        import onnx

        *_, (last, whole) = exported.items()
        named = part_of_values(exported)
        nodes = onnx.load(str(whole)).graph.node
        assert {named[node.name] for node in nodes} == set(exported)
        weights = {node.input[1]: named[node.name] for node in nodes if node.op_type == "Conv"}
        assert weights["model.model.decoder.classify.weight"] == "head"
        assert weights["model.model.stages.1.0.body.0.weight"] == "stage 1"
        assert named["logits"] == last
        assert (named["next_state_0"], named["next_state_1"]) == ("temporal bottleneck", "temporal decoder")
        found = profile(whole, named, SIZE_HW, num_runs=5, seed=0)
        assert set(found.num_kernels) == set(exported)

    def test_what_is_no_prefix_of_the_whole_is_refused(self, exported: dict[str, Path]) -> None:
        with pytest.raises(ValueError, match="after 'stage 0', is not in the whole"):
            part_of_values({part: exported[part] for part in ("stage 0", "stem")})

    def test_a_node_of_no_part_is_refused(self, exported: dict[str, Path]) -> None:
        with pytest.raises(ValueError, match="belongs to no part"):
            _owners(exported["stem"], {})

    def test_parts_sum_to_the_whole(self, tmp_path: Path) -> None:
        rows = list(measure_parts([Member("it", BILINEAR)], Setting(SIZE_HW, NUM_CLASSES, QUICK, tmp_path)))
        assert [row["part"] for row in rows] == ["call", "input", "stem", "stage 0", "decoder", "head", "upsampling"]
        assert set(rows[0]) == set(signal_frame.PART_COLUMNS)
        total = sum(float(str(row["part_ms"])) for row in rows)
        assert total == pytest.approx(float(str(rows[0]["latency_ms"])), abs=1e-4)
        assert rows[-1]["cumulative_ms"] == rows[-1]["latency_ms"]


class TestFront:
    @pytest.fixture
    def front(self, tmp_path: Path) -> Path:
        architecture = json.loads(PRESETS["plain_small"].architecture.to_json())
        entries = [
            {"trial": trial, "key": "", "architecture": architecture, "metrics": {"latency_ms": latency_ms}}
            for trial, latency_ms in ((7, 3.0), (2, 1.0), (5, 2.0), (9, 0.5), (1, 4.0))
        ]
        path = tmp_path / "front.json"
        path.write_text(json.dumps(entries))
        return path

    def test_cheapest_median_dearest(self, front: Path) -> None:
        assert [member.name for member in read_front(front, None)] == ["trial 9", "trial 5", "trial 1"]

    def test_named_trials(self, front: Path) -> None:
        assert [member.name for member in read_front(front, [7, 9])] == ["trial 7", "trial 9"]

    def test_unknown_trial(self, front: Path) -> None:
        with pytest.raises(InputError, match="trial 3 given"):
            read_front(front, [3])


def test_tables_of_measured_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Widths 40..72 of a known curve: 4 % above the line at 44, 52, ... and 10 % at 56."""
    from experiments.frame_table import print_levers

    curve = {40: 1.0, 44: 1.04, 48: 1.0, 52: 1.092, 56: 1.1, 60: 1.092, 64: 1.0, 68: 1.04, 72: 1.0}
    host = {"protocol": "p", "size": "8x8", "network": "n", "contended": 0, "anchor_cv": 0.01, "halfwidth_ms": 0.1}
    rows = [
        {**host, "lever": "width of stage 1", "variant": str(width), "base": "64", "latency_ms": latency_ms}
        for width, latency_ms in curve.items()
    ]
    rows += [
        {**host, "lever": "none", "variant": "as it is", "base": "as it is", "latency_ms": 2.0},
        {**host, "lever": "stem", "variant": "x", "base": "as it is", "ratio": 0.5, "ratio_halfwidth": 0.01},
    ]
    path = tmp_path / "levers.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, signal_frame.LEVER_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print_levers(path)
    printed = capsys.readouterr().out
    assert "| none | as it is | as it is | 2.000 ± 0.100 ms |" in printed
    assert "| stem | x | as it is | 0.500 ± 0.010 |" in printed
    assert "| +4.0 (n 4) | +10.0 (n 1) |" in printed
