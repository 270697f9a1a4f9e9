"""Every stem, context, decoder, head and second branch exports and computes in onnxruntime what torch does."""

from dataclasses import replace
from pathlib import Path

import pytest

from latency_tables.onnx_export import export_step
from latency_tables.parity import verify_step
from latency_tables.random_weights import build_random
from search_spaces.architecture import Architecture, TemporalSite
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.resizing import logits_hw
from tests.search_spaces.network_kinds import KINDS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_exports(name: str, tmp_path: Path) -> None:
    """With a memory on the decoder feature; at an odd size, where the pyramid's windows overlap."""
    size_hw = (75, 101)
    spec = replace(KINDS[name].video, temporal=(TemporalSite("decoder", ConvGRUSpec(1)),))
    model = build_random(Architecture(spec), 5, seed=0)
    export_step(model, size_hw, tmp_path / "m.onnx", {})
    parity = verify_step(model, tmp_path / "m.onnx", size_hw, num_frames=3, seed=0)
    assert parity.ok
    assert parity.logit_range > 0.1
    proto = onnx.load(str(tmp_path / "m.onnx"))
    (shape,) = [
        tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in proto.graph.output
        if value.name == "logits"
    ]
    assert shape == (1, 5, *logits_hw(*size_hw, spec))
