"""Known designs: the model contract over all of them, the figures of their papers, and the table they end in."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.designs import DESIGNS
from experiments.designs.common import pooled, scaled
from experiments.designs.entries import WIDTHS, Entry, design_entries, front_entries
from experiments.designs.streaming import Streamed
from experiments.designs.table import SCORES, markdown, summary
from experiments.designs.timing import COLUMNS, counts, time_entries
from experiments.runs import read_rows
from latency_tables.measurement import TimingProtocol
from latency_tables.onnx_export import export_step
from latency_tables.parity import verify_step
from latency_tables.random_weights import enliven
from search_spaces.errors import InputError
from search_spaces.presets import PRESETS
from search_spaces.trace import num_macs, num_parameters

TOLERANCE = 1e-4
"""Of float32 sums in another order: the contract of the model."""

MODELS = [
    pytest.param(name, average, id=f"{name}-{'average' if average else 'plain'}")
    for name in DESIGNS
    for average in (False, True)
]


def _built(name: str, average: bool, width: float = 0.25) -> Streamed:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return enliven(Streamed(DESIGNS[name](5, width), average=average))


def _clip(batch: int, frames: int, height: int, width: int) -> Tensor:
    return torch.rand(batch, frames, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "average"), MODELS)
class TestEveryDesign:
    @torch.no_grad()
    def test_a_clip_equals_its_frames_one_by_one_at_an_odd_size(self, name: str, average: bool) -> None:
        model, clip = _built(name, average), _clip(2, 4, 61, 75)
        whole = model(clip)
        assert whole.shape == (2, 4, 5, 61, 75)
        state = model.initial_state(2, 61, 75)
        assert len(state) == (2 if average else 0)
        assert all(not tensor.any() for tensor in state)
        for t in range(4):
            logits, following = model.step(clip[:, t], state)
            assert [s.shape for s in following] == [s.shape for s in state]
            state = following
            assert (logits - whole[:, t]).abs().max() < TOLERANCE * (whole.max() - whole.min())

    @pytest.mark.parametrize("size_hw", [(32, 32), (33, 95), (120, 160)])
    def test_the_state_promised_is_the_state_returned(self, name: str, average: bool, size_hw: tuple[int, int]) -> None:
        with torch.device("meta"):
            model = Streamed(DESIGNS[name](5, 0.25), average=average).eval()
            state = model.initial_state(1, *size_hw)
            logits, following = model.step(torch.empty(1, 3, *size_hw), state)
        assert logits.shape == (1, 5, *size_hw)
        assert [tensor.shape for tensor in following] == [tensor.shape for tensor in state]

    def test_every_parameter_learns(self, name: str, average: bool) -> None:
        """At the smallest frame too, where the coarsest features are one pixel."""
        for height, width in ((32, 32), (61, 75)):
            model = _built(name, average).train()
            model(_clip(4, 2, height, width)).square().mean().backward()
            for parameter_name, parameter in model.named_parameters():
                assert parameter.grad is not None, parameter_name
                assert torch.isfinite(parameter.grad).all(), parameter_name
                assert (height, width) == (32, 32) or parameter.grad.any(), parameter_name

    def test_remembers_only_with_an_average(self, name: str, average: bool) -> None:
        model, (past, now) = _built(name, average), _clip(1, 2, 48, 64).unbind(1)
        with torch.no_grad():
            fresh, _ = model.step(now, model.initial_state(1, 48, 64))
            after, _ = model.step(now, model.step(past, model.initial_state(1, 48, 64))[1])
        assert ((after - fresh).abs().max() > 1e-3) == average

    @pytest.mark.slow
    @pytest.mark.parametrize("size_hw", [(120, 160), (61, 75)])
    def test_the_export_computes_the_same(
        self, name: str, average: bool, size_hw: tuple[int, int], tmp_path: Path
    ) -> None:
        model = _built(name, average)
        export_step(model, size_hw, tmp_path / "model.onnx", {})
        parity = verify_step(model, tmp_path / "model.onnx", size_hw, num_frames=4, seed=0)
        assert parity.ok, parity


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_width_scales_the_network(name: str) -> None:
    sizes = [sum(p.numel() for p in DESIGNS[name](11, width).parameters()) for width in (0.25, 0.5, 1.0, 1.5)]
    assert all(small * 1.5 < large for small, large in pairwise(sizes))


@pytest.mark.parametrize(
    ("name", "params_m", "macs_g", "size_hw"),
    [
        pytest.param("fast_scnn", 1.11, None, (64, 64), id="fast_scnn: table 3"),
        pytest.param("contextnet", 0.85, None, (64, 64), id="contextnet: table 5"),
        pytest.param("lraspp", 0.47, 2.9, (1024, 2048), id="lraspp: table 8"),
        pytest.param("ddrnet", 5.7, 36.3, (1024, 2048), id="ddrnet: table 5"),
        pytest.param("enet", 0.37, 3.83 / 2, (360, 640), id="enet: table 3, two operations a multiply-accumulate"),
    ],
)
def test_at_width_one_it_is_as_large_as_its_paper_says(
    name: str, params_m: float, macs_g: float | None, size_hw: tuple[int, int]
) -> None:
    """The papers' Cityscapes models (19 classes; ENet 20)."""
    found = counts(Entry(name, 1.0), size_hw, 19)
    assert float(found["params_k"]) / 1e3 == pytest.approx(params_m, rel=0.1)
    if macs_g is not None:
        assert float(found["macs_m"]) / 1e3 == pytest.approx(macs_g, rel=0.1)


@pytest.mark.parametrize("width", [0.0, -1.0, 5.0, float("nan")])
def test_an_absurd_width_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match=r"width \S+ given; more than 0 and at most 4 is needed"):
        DESIGNS["enet"](11, width)


def test_too_small_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"31x64 given; each side must be at least 32"):
        _built("enet", True).initial_state(1, 31, 64)


def test_widths_are_multiples_of_eight() -> None:
    assert [scaled(c, w) for c, w in ((64, 0.5), (48, 0.25), (40, 0.5), (13, 1.0), (8, 0.1))] == [32, 16, 24, 16, 8]


@pytest.mark.parametrize(("size_hw", "bins"), [((12, 18), 3), ((12, 18), 6), ((6, 6), 1), ((4, 5), 6), ((1, 1), 2)])
def test_pooling_is_the_adaptive_one_where_windows_are_equal(size_hw: tuple[int, int], bins: int) -> None:
    feature = torch.rand(2, 3, *size_hw, generator=torch.Generator().manual_seed(0))
    expected = F.adaptive_avg_pool2d(feature, (min(bins, size_hw[0]), min(bins, size_hw[1])))
    assert torch.allclose(pooled(feature, bins), expected, atol=1e-6)


def test_pooling_sees_every_pixel_where_windows_are_unequal() -> None:
    feature = torch.ones(1, 1, 7, 11, requires_grad=True)
    out = pooled(feature, 3)
    assert out.shape == (1, 1, 3, 3)
    out.sum().backward()
    assert feature.grad is not None
    assert feature.grad.all()


def test_relus_make_a_prelu() -> None:
    layer = DESIGNS["enet"](5, 0.25).initial.norm[1]  # type: ignore[union-attr, index]
    x = torch.randn(2, 16, 3, 4, generator=torch.Generator().manual_seed(0))[:, :8]
    with torch.no_grad():
        layer.slope.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(layer(x), F.prelu(x, layer.slope.flatten()))


def test_entries_are_named_once_and_build_the_same_network_from_the_same_seed() -> None:
    entries = list(design_entries())
    assert len({tuple(entry.key.values()) for entry in entries}) == len(entries) == 2 * sum(map(len, WIDTHS.values()))
    first, again, other = (entries[1].build(11, seed=seed) for seed in (0, 0, 1))
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_front_is_read_and_counted_as_its_trace_counts_it(tmp_path: Path) -> None:
    # The counter does not see the inner products of pixel attention, a product and its sum.
    architectures = [PRESETS[name].architecture for name in sorted(PRESETS.keys() - {"pidnet_s_like"})]
    path = tmp_path / "front.json"
    members = [
        {"trial": i, "key": a.key, "architecture": json.loads(a.to_json()), "metrics": {"miou": 0.5}}
        for i, a in enumerate(architectures)
    ]
    path.write_text(json.dumps(members))
    entries = list(front_entries(path))
    assert [entry.architecture for entry in entries] == architectures
    for entry, architecture in zip(entries, architectures, strict=True):
        found = counts(entry, (120, 160), 11)
        # The counter of torch leaves out the inner product of a pixel attention.
        assert float(found["macs_m"]) == pytest.approx(num_macs(architecture, (120, 160), 11) / 1e6, rel=1e-4)
        assert float(found["params_k"]) == pytest.approx(num_parameters(architecture, 11) / 1e3)
        assert entry.temporal_weight == architecture.training.temporal_weight


@pytest.mark.slow
def test_designs_and_a_front_are_timed_in_one_run(tmp_path: Path) -> None:
    protocol = TimingProtocol("brief", 1, 0.01, 2, 0.01, 2, 4, 0.1, 1.0, 60.0)
    entries = [Entry("fast_scnn", 0.25, True), Entry("front:0", architecture=PRESETS["plain_small"].architecture)]
    assert time_entries(entries, (48, 64), 5, protocol, tmp_path / "out" / "latency.csv") == []
    rows = read_rows(tmp_path / "out" / "latency.csv")
    assert [(row["name"], row["width"], row["average"]) for row in rows] == [
        ("fast_scnn", "0.25", "yes"),
        ("front:0", "-", "-"),
    ]
    for row in rows:
        assert tuple(row) == COLUMNS
        assert float(row["latency_ms"]) > 0
        assert row["contended"] in ("yes", "no")


@pytest.mark.parametrize("text", ["[", '{"a": 1}', '[{"trial": 0}]', "3"])
def test_what_is_no_front_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "front.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"front\.json: \w+Error: .*; the front\.json of a search folder is needed"):
        list(front_entries(path))


def _results() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three entries: fast and poor, slow and good, slower than that and poorer."""
    figures = {"a": (1.0, (0.3, 0.5)), "b": (2.0, (0.6, 0.6)), "c": (3.0, (0.8, 0.2))}
    rows = [
        {
            "name": name, "width": "1", "average": "no", "size": "120x160", "epochs": 15, "seed": seed, "cpu_s": 60.0,
            **dict.fromkeys(SCORES, 0.9), "miou_stills": stills,
        }
        for name, (_, scores) in figures.items()
        for seed, stills in enumerate(scores)
    ]  # fmt: skip
    latencies = [
        {"name": name, "width": "1", "average": "no", "latency_ms": ms, "halfwidth": 0.01, "contended": "no"}
        for name, (ms, _) in reversed(figures.items())
    ]
    return pd.DataFrame(rows), pd.DataFrame(latencies)


def test_the_table_takes_medians_and_finds_what_is_optimal() -> None:
    table = summary(*_results()).set_index("name")
    assert list(table.index) == ["a", "b", "c"]
    assert table["miou_stills"].tolist() == pytest.approx([0.4, 0.6, 0.5])
    assert table["pareto"].tolist() == [True, True, False]


def test_the_table_is_written_out() -> None:
    lines = markdown(*_results()).splitlines()
    assert lines[0] == "### 120x160, 15 epochs, 2 seeds"
    assert "| a | 1 | no | 1.000 ± 0.010 | 90.00 (90.00..90.00) | 40.00 (30.00..50.00) |" in lines[4]
    assert lines[4].endswith("| yes |")
    assert lines[6].endswith("|  |")
    assert lines[-1] == "6 trainings, 6 CPU minutes"


def test_no_batch_norm_sees_a_pooled_map() -> None:
    """One pixel a frame gives no statistics: training would normalize by something else than it evaluates."""
    for name, make in DESIGNS.items():
        model = make(5, 0.25).train()
        smallest = []
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_hook(
                    lambda _module, inputs, _out, seen=smallest: seen.append(inputs[0].shape[2] * inputs[0].shape[3])
                )
        model(torch.rand(2, 3, 120, 160, generator=torch.Generator().manual_seed(0)))
        assert min(smallest) >= 6, name
