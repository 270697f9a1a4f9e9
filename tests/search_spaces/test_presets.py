"""Every preset is a network of the space: it streams at odd sizes, learns, survives JSON and says what it costs."""

import pytest
import torch

from search_spaces.architecture import Architecture
from search_spaces.network import build
from search_spaces.presets import PRESETS, REFERENCE_CLASSES, REFERENCE_HW, preset_cost
from search_spaces.trace import num_macs

PUBLISHED = {
    "contextnet_like": (0.85, 0.03),
    "fast_scnn_like": (1.11, 0.03),
    "ddrnet_like": (5.7, 0.02),
    "enet_like": (0.37, 0.03),
    "pidnet_s_like": (7.6, 0.03),
}
"""Millions of parameters in the papers' tables, and by which share ours may differ for what is said to be left out."""


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("name", sorted(PRESETS))
class TestEveryPreset:
    @pytest.mark.parametrize("size_hw", [(61, 75), (32, 32)])
    def test_a_clip_equals_its_frames(self, name: str, size_hw: tuple[int, int]) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build(PRESETS[name].architecture, 5).eval()
        clip = torch.rand(2, 2, 3, *size_hw, generator=_generator())
        with torch.no_grad():
            whole, state = model(clip), model.initial_state(2, *size_hw)
            assert whole.shape == (2, 2, 5, *size_hw)
            for t in range(2):
                logits, state = model.step(clip[:, t], state)
                assert (logits - whole[:, t]).abs().max() < 1e-4

    def test_every_parameter_learns(self, name: str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build(PRESETS[name].architecture, 5).train()
        model(torch.rand(4, 2, 3, 75, 101, generator=_generator())).square().mean().backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name

    def test_the_record_survives_json(self, name: str) -> None:
        architecture = PRESETS[name].architecture
        again = Architecture.from_json(architecture.to_json())
        assert again == architecture
        assert again.key == architecture.key

    def test_its_cost_is_that_of_a_step(self, name: str) -> None:
        cost = preset_cost(name)
        with torch.device("meta"):
            model = build(PRESETS[name].architecture, REFERENCE_CLASSES)
        assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())
        assert cost.macs == num_macs(PRESETS[name].architecture, REFERENCE_HW, REFERENCE_CLASSES)
        assert cost.state_bytes == 0


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_design_has_the_parameters_of_its_paper(name: str) -> None:
    millions, share = PUBLISHED[name]
    assert preset_cost(name).parameters / 1e6 == pytest.approx(millions, rel=share)


def test_presets_are_different_networks() -> None:
    assert len({entry.architecture.network_key for entry in PRESETS.values()}) == len(PRESETS)
