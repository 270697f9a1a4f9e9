"""Every cell that can be asked for: exported, and run beside torch over frames with carried state."""

from dataclasses import asdict
from pathlib import Path

import pytest

from latency_tables.onnx_export import export_step
from latency_tables.parity import verify_step
from latency_tables.random_weights import build_random
from search_spaces.architecture import Architecture, DecoderSpec, NetworkSpec, StageSpec, StemSpec, TemporalSite
from search_spaces.cell_costs import forms_of
from search_spaces.cells.registry import CELLS
from search_spaces.network_spec import Placement
from search_spaces.temporal_questions import kinds_at

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIZE_HW = (50, 70)
PLACES: tuple[Placement, ...] = ("bottleneck", "logits")
SITES = [
    TemporalSite(place, spec)
    for place in PLACES
    for kind in CELLS
    if kind in kinds_at(place)
    for spec in forms_of(kind, place)
]


def _said(site: TemporalSite) -> str:
    return "-".join([*(str(value) for name, value in asdict(site.cell).items() if name != "kind"), site.cell.kind])


@pytest.mark.slow
@pytest.mark.parametrize("site", [pytest.param(site, id=f"{_said(site)}-{site.placement}") for site in SITES])
def test_an_exported_cell_computes_what_torch_computes(site: TemporalSite, tmp_path: Path) -> None:
    network = NetworkSpec(
        stem=StemSpec(8),
        stages=(StageSpec("plain", 1, 12, 2),),
        decoder=DecoderSpec("bilinear", 8),
        temporal=(site,),
    )
    model = build_random(Architecture(network), 5, seed=0)
    export_step(model, SIZE_HW, tmp_path / "m.onnx", {})
    parity = verify_step(model, tmp_path / "m.onnx", SIZE_HW, num_frames=6, seed=1)
    assert parity.ok, parity
    assert parity.logit_range > 0.1
