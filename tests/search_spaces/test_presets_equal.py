"""Presets of the five designs that are plain modules too: with those modules' weights they compute the same."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from experiments.designs import DESIGNS
from experiments.designs.streaming import Streamed
from latency_tables.random_weights import enliven
from search_spaces.network import VideoSegmenter, build
from search_spaces.presets import PRESETS

NUM_CLASSES = 7
TOLERANCE = 1e-5

Parts = Mapping[str, str]
"""Where a part of the plain module is in the built network; within a part both have the same order."""

CONTEXTNET: Parts = {
    "detail.0": "detail.stem.0", "detail.1": "detail.stem.1", "detail.3": "detail.units.0",
    "detail.4": "detail.units.1", "detail.5": "detail.units.2",
    "context.0": "stem.conv.0", "context.1": "stem.conv.1",
    **{f"context.{3 + index}": f"stages.{index}" for index in range(7)},
    "fuse": "detail.fusion", "classify": "decoder.classify",
}  # fmt: skip
FAST_SCNN: Parts = {
    "downsample.0": "stem.0", "downsample.1": "stem.1", "downsample.3": "stages.0", "downsample.4": "stages.1",
    "extract.0": "stages.2", "extract.1": "stages.3", "extract.2": "stages.4", "extract.3": "context",
    "fuse": "detail.fusion",
    "classify.0": "decoder.units.0", "classify.1": "decoder.units.1", "classify.2": "decoder.classify",
}  # fmt: skip
LRASPP: Parts = {
    "to_eighth.0": "stem.0", "to_eighth.1": "stem.1",
    "to_eighth.3.0": "stages.0", "to_eighth.3.1": "stages.1", "to_eighth.3.2": "stages.2",
    "from_eighth.0.0": "stages.3", "from_eighth.0.1": "stages.4.0", "from_eighth.0.2": "stages.4.1",
    "from_eighth.0.3": "stages.5.0", "from_eighth.0.4": "stages.5.1",
    **{f"from_eighth.0.{5 + index}": f"stages.6.{index}" for index in range(3)},
    "from_eighth.1": "stages.7.0.0", "from_eighth.2": "stages.7.0.1",
    "project": "decoder.project", "weigh": "decoder.weigh",
    "classify_deep": "decoder.classify", "classify_eighth": "decoder.classify_skip",
}  # fmt: skip
DDRNET: Parts = {
    "stem.0": "stem.0", "stem.1": "stem.1", "stem.3": "stages.0.0.0", "stem.4": "stages.0.0.1",
    "stem.6": "stages.1", "stem.7": "stages.2",
    "coarse_4": "stages.3", "coarse_5": "stages.4", "coarse_6": "stages.5",
    "fine_4": "detail.beside.0.stage", "fine_5": "detail.beside.1.stage", "fine_6": "detail.beside.2.stage",
    "fuse_4": "detail.beside.0.exchange", "fuse_5": "detail.beside.1.exchange", "pyramid": "context",
    "classify.0.0": "detail.fusion.norm.0", "classify.0.2": "decoder.units.0.0", "classify.1": "decoder.units.0.1",
    "classify.3": "decoder.classify",
}  # fmt: skip
ENET: Parts = {
    "initial": "stem", "quarter": "stages.0", "eighth.0": "stages.1.0", "eighth.1.0": "stages.1.1",
    **{f"eighth.1.{1 + index}": f"stages.{2 + index}" for index in range(7)},
    **{f"eighth.2.{index}": f"stages.{9 + index}" for index in range(8)},
    "up_quarter": "decoder.ups.0", "decode_quarter": "decoder.stages.0",
    "up_half": "decoder.ups.1", "decode_half": "decoder.stages.1", "classify": "decoder.classify",
}  # fmt: skip
PARTS: Mapping[str, Parts] = {
    "contextnet": CONTEXTNET,
    "fast_scnn": FAST_SCNN,
    "lraspp": LRASPP,
    "ddrnet": DDRNET,
    "enet": ENET,
}


def _below(state: Mapping[str, Tensor], prefix: str) -> list[str]:
    return [name for name in state if name.startswith(f"{prefix}.")]


def _copied(plain: nn.Module, built: VideoSegmenter, parts: Parts) -> None:
    """Every tensor of the one into its place in the other, each once; PReLU's slopes differ in shape alone."""
    given, wanted = plain.state_dict(), built.state_dict()
    pairs = []
    for one, other in parts.items():
        pairs += list(zip(_below(given, one), _below(wanted, other), strict=True))
    assert sorted(one for one, _ in pairs) == sorted(given)
    assert sorted(other for _, other in pairs) == sorted(wanted)
    for one, other in pairs:
        assert given[one].squeeze().shape == wanted[other].squeeze().shape, (one, other)
        wanted[other].copy_(given[one].view_as(wanted[other]))


def _random_statistics(module: nn.Module) -> None:
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean += 0.2 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.4)
        for name, slope_C in norm.named_parameters(recurse=False):
            if name == "slope":
                nn.init.uniform_(slope_C, -0.2, 0.8)


def test_every_plain_design_has_its_preset() -> None:
    assert set(PARTS) == set(DESIGNS)
    assert {f"{name}_like" for name in DESIGNS} <= set(PRESETS)


@pytest.mark.parametrize("size_hw", [(96, 128), (75, 101)])
@pytest.mark.parametrize("name", sorted(PARTS))
@torch.no_grad()
def test_a_preset_computes_what_the_plain_module_does(name: str, size_hw: tuple[int, int]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = enliven(Streamed(DESIGNS[name](NUM_CLASSES, 1.0), average=False))
        _random_statistics(plain)
        built = build(PRESETS[f"{name}_like"].architecture, NUM_CLASSES).eval()
    _copied(plain.design, built, PARTS[name])
    clip = torch.rand(1, 2, 3, *size_hw, generator=torch.Generator().manual_seed(1))
    expected, found = plain(clip), built(clip)
    scale = float(expected.max() - expected.min())
    assert scale > 0.1
    assert float((found - expected).abs().max()) < TOLERANCE * max(1.0, scale)


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_preset_has_as_many_parameters_as_the_plain_module(name: str) -> None:
    with torch.device("meta"):
        plain, built = DESIGNS[name](19, 1.0), build(PRESETS[f"{name}_like"].architecture, 19)
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in built.parameters())
