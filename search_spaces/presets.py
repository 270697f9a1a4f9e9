"""Experts' designs by name, and what each costs. Knows nothing of how they are used."""

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces import known_designs
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.trace import num_macs, num_parameters, state_bytes

REFERENCE_HW = (360, 480)
REFERENCE_CLASSES = 19
"""Of every preset's cost."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A known design, where it comes from, what it is good for, and the survey's section on its idea ("" for none)."""

    architecture: Architecture
    source: str
    description: str
    survey: str = ""


@dataclass(frozen=True, slots=True)
class PresetCost:
    """Of a step at REFERENCE_HW with REFERENCE_CLASSES."""

    parameters: int
    macs: int
    state_bytes: int


PRESETS: Mapping[str, Preset] = {
    "contextnet_like": Preset(
        known_designs.contextnet(),
        "Poudel et al. 2018, arXiv:1805.04554",
        "two branches on two sizes of the frame",
        "3",
    ),
    "fast_scnn_like": Preset(
        known_designs.fast_scnn(), "Poudel et al. 2019, arXiv:1902.04502", "two-speed encoder, fusion at 1/8", "3"
    ),
    "lraspp_like": Preset(
        known_designs.lraspp(),
        "Howard et al. 2019, arXiv:1905.02244, section 6.4",
        "MobileNetV3-small with a gated skip",
        "5.4.3",
    ),
    "ddrnet_like": Preset(
        known_designs.ddrnet(), "Hong et al. 2021, arXiv:2101.06085", "DDRNet-23-slim: two branches that exchange", "3"
    ),
    "enet_like": Preset(
        known_designs.enet(), "Paszke et al. 2016, arXiv:1606.02147", "a long encoder of small bottlenecks", "5.4"
    ),
    "bisenetv2_like": Preset(
        known_designs.bisenetv2(), "Yu et al. 2020, arXiv:2004.02147", "a wide detail branch guides and is guided", "3"
    ),
    "pidnet_s_like": Preset(
        known_designs.pidnet_s(),
        "Xu et al. 2022, arXiv:2206.02066",
        "detail by pixel attention, boundaries trained",
        "3",
    ),
    "seaformer_like": Preset(
        known_designs.seaformer(),
        "Wan et al. 2023, arXiv:2301.13156",
        "squeezed axial attention at the deep end",
        "4.4.1",
    ),
    "plain_small": Preset(
        known_designs.plain_small(), "Original", "a small separable residual network, the plain baseline", "5.4.2"
    ),
}


def preset(name: str) -> Preset:
    """The preset called `name`. Raises InputError naming the allowed ones."""
    if name not in PRESETS:
        raise InputError(f"preset {name!r} is unknown; allowed: {', '.join(PRESETS)}")
    return PRESETS[name]


def preset_cost(name: str) -> PresetCost:
    """What the preset called `name` costs; counted, nothing is built. Raises InputError as `preset`."""
    architecture = preset(name).architecture
    return PresetCost(
        num_parameters(architecture, REFERENCE_CLASSES),
        num_macs(architecture, REFERENCE_HW, REFERENCE_CLASSES),
        state_bytes(architecture, REFERENCE_HW, REFERENCE_CLASSES),
    )
