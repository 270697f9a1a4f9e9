"""Every preset exports and computes in onnxruntime what torch does, over frames with carried state."""

from dataclasses import replace
from pathlib import Path

import pytest

from latency_tables.onnx_export import export_step
from latency_tables.parity import verify_step
from latency_tables.random_weights import build_random
from search_spaces.architecture import TemporalSite
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.presets import PRESETS

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_exports_with_a_memory_on_its_decoder(name: str, tmp_path: Path) -> None:
    """At an odd size, where halvings round."""
    size_hw = (75, 101)
    architecture = PRESETS[name].architecture
    site = TemporalSite("decoder", ConvGRUSpec(1))
    model = build_random(replace(architecture, network=replace(architecture.video, temporal=(site,))), 5, seed=0)
    export_step(model, size_hw, tmp_path / "m.onnx", {})
    parity = verify_step(model, tmp_path / "m.onnx", size_hw, num_frames=6, seed=0)
    assert parity.ok
    assert parity.logit_range > 0.1
