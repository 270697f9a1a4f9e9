"""The cost table: a row for every member of the registries, counts of the part alone, and what the printer flags."""

import csv
from pathlib import Path

import pytest

from experiments.op_costs import COLUMNS, SMOKE, run
from experiments.op_costs_harness import DENSE, NOTHING, counts
from experiments.op_costs_parts import UNIT, parts, variants
from experiments.op_costs_table import markdown
from search_spaces.activations import ACTIVATIONS, GATES
from search_spaces.cells.registry import CELLS
from search_spaces.contexts import CONTEXTS
from search_spaces.decoders import DECODERS
from search_spaces.ops.attention import ATTENTIONS
from search_spaces.ops.blocks import BLOCKS
from search_spaces.ops.registry import CONVS
from search_spaces.stems import STEMS

PARTS = {part.key: part for part in parts()}


@pytest.mark.parametrize(
    ("group", "registry"),
    [
        ("convolution", CONVS),
        ("block", BLOCKS),
        ("activation", ACTIVATIONS),
        ("gate", GATES),
        ("attention", ATTENTIONS),
        ("stem", STEMS),
        ("context", CONTEXTS.keys() - {"none"}),
        ("decoder", DECODERS),
        ("cell", CELLS),
    ],
)
def test_every_member_has_a_row(group: str, registry: object) -> None:
    assert {part.name for part in PARTS.values() if part.group == group} == set(registry)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("key", "macs_m", "params_k", "state_kb"),
    [
        (DENSE, 9 * 64 * 64 * 2700 / 1e6, (9 * 64 * 64 + 128) / 1e3, 0),
        ("convolution/depthwise_separable/3x3", (9 + 64) * 64 * 2700 / 1e6, (73 * 64 + 256) / 1e3, 0),
        ("convolution/dense/3x3 stride 2", 9 * 64 * 64 * 23 * 30 / 1e6, (9 * 64 * 64 + 128) / 1e3, 0),
        ("activation/relu", 0, 0, 0),
        ("activation/prelu", 0, 0.064, 0),
        ("attention/squeeze_excitation", 2 * 64 * 16 / 1e6, (2 * 64 * 16 + 80) / 1e3, 0),
        ("cell/min_gru", 2 * 64 * 64 * 2700 / 1e6, (2 * 64 * 64 + 128) / 1e3, 4 * 64 * 2700 / 1e3),
    ],
)
def test_counts_are_the_parts_alone(key: str, macs_m: float, params_k: float, state_kb: float) -> None:
    expected = {"macs_m": macs_m, "params_k": params_k, "state_kb": state_kb}
    assert counts(PARTS[key]) == pytest.approx(expected, abs=1e-9)


def test_variants_change_one_answer_at_a_time() -> None:
    def ask(choose: object) -> tuple[object, ...]:
        kind = choose("s.kind", ("a", "b"))  # type: ignore[operator]
        extra = choose("s.extra", (1, 2)) if kind == "b" else 0  # type: ignore[operator]
        return kind, extra, choose("s.size", (3, 5, 7)), choose("s.depth", (1, 2))  # type: ignore[operator]

    found = dict(variants(ask, {}, ("depth",)))
    assert found == {
        "": ("a", 0, 3, 1), "kind b": ("b", 1, 3, 1), "size 5": ("a", 0, 5, 1), "size 7": ("a", 0, 7, 1),
    }  # fmt: skip
    assert set(dict(variants(ask, {"kind": "b"}, ("depth",)))) == {"", "extra 2", "size 5", "size 7"}


def _written(path: Path, parts_ms: dict[tuple[str, str], tuple[float, float]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for (group, name), (macs_m, ms) in parts_ms.items():
            row: dict[str, object] = {"protocol": "search", "group": group, "name": name, "macs_m": macs_m}
            row |= {"variant": "3x3" if name == "dense" else "", "params_k": 1, "state_kb": 0}
            for runtime in ("onnxruntime", "torch"):
                row |= {f"{runtime}_ms": ms, f"{runtime}_halfwidth_ms": 0.01, f"{runtime}_ratio": ms}
                row |= {f"{runtime}_ratio_halfwidth": 0.01, f"{runtime}_contended": 0, f"{runtime}_anchor_cv": 0.01}
            writer.writerow(row)
    return path


def test_the_printer_flags_what_macs_do_not_see(tmp_path: Path) -> None:
    path = _written(
        tmp_path / "costs.csv",
        {
            ("convolution", "dense"): (100, 1.0),
            ("block", "honest"): (10, 0.1),
            ("block", "wide"): (50, 2.0),
            ("block", "within the noise"): (99, 1.01),
            ("activation", "dear"): (0, 3.0),
        },
    )
    text = markdown(path)
    _, _, misled = text.partition("### Where MACs mislead, onnxruntime")
    assert "over 4 parts" in misled
    assert "| wide (2, 4) | dense, 3x3 (4, 2) | 0.500 | 2.00 |" in misled
    assert "within the noise (3, 3) | dense" not in misled
    assert "| honest" not in misled
    assert "Without MACs, in dense 3x3 convolutions: dear 3.000." in misled


@pytest.mark.slow
def test_a_run_measures_and_subtracts(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    chosen = [NOTHING, UNIT, PARTS[DENSE], PARTS["activation/mish"], PARTS["cell/min_gru"]]
    run(chosen, SMOKE, tmp_path / "costs.csv")
    with (tmp_path / "costs.csv").open() as file:
        rows = {"/".join(filter(None, (r["group"], r["name"], r["variant"]))): r for r in csv.DictReader(file)}
    assert list(rows) == [part.key for part in chosen]
    for runtime in ("onnxruntime", "torch"):
        assert float(rows[DENSE][f"{runtime}_ratio"]) == 1.0
        assert rows[NOTHING.key][f"{runtime}_ratio"] == ""
        assert all(float(row[f"{runtime}_halfwidth_ms"]) >= 0 for row in rows.values())
    assert not any(row["note"] for row in rows.values())
    assert "| min_gru | 22.12 |" in markdown(tmp_path / "costs.csv")
