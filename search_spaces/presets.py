"""Experts' designs written as architectures of our spaces. Knows nothing of how they are used.

They are likenesses within what the space can say: each docstring names what is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.architecture import Architecture, ConvSpec, DecoderSpec, NetworkSpec, StageSpec, StemSpec
from search_spaces.errors import InputError

SEPARABLE = ConvSpec("depthwise_separable")


@dataclass(frozen=True, slots=True)
class Preset:
    """A known design, where it comes from and what it is good for."""

    architecture: Architecture
    source: str
    description: str


def _fast_scnn() -> Architecture:
    """Learning-to-downsample, inverted residuals at 1/16, fusion with the 1/8 feature.

    Left out: the stage at 1/32 and the pyramid pooling (a global gate stands in), half of the widths' growth.
    """
    return Architecture(
        NetworkSpec(
            stem=StemSpec(32),
            stages=(
                StageSpec("plain", 1, 48, 2, SEPARABLE),
                StageSpec("plain", 1, 64, 2, SEPARABLE),
                StageSpec("inverted_residual", 3, 64, 2, SEPARABLE, expansion=6),
                StageSpec("inverted_residual", 3, 96, 1, SEPARABLE, expansion=6),
                StageSpec("inverted_residual", 3, 128, 1, SEPARABLE, expansion=6),
            ),
            context="global_pool",
            decoder=DecoderSpec("skip_add", 128, 8),
        )
    )


def _lraspp() -> Architecture:
    """A MobileNetV3-small-like encoder at stride 16, gated by its global average, with the 1/8 skip.

    Left out: squeeze-excitation and the per-layer expansions.
    """
    return Architecture(
        NetworkSpec(
            stem=StemSpec(16, "hard_swish"),
            stages=(
                StageSpec("inverted_residual", 1, 16, 2, SEPARABLE, expansion=1, activation="relu"),
                StageSpec("inverted_residual", 2, 24, 2, SEPARABLE, expansion=4, activation="relu"),
                StageSpec("inverted_residual", 5, 48, 2, ConvSpec("depthwise_separable", 5), 4, "hard_swish"),
                StageSpec("inverted_residual", 3, 96, 1, ConvSpec("depthwise_separable", 5, 2), 4, "hard_swish"),
            ),
            context="global_pool",
            decoder=DecoderSpec("skip_add", 64, 8, "relu"),
        )
    )


def _plain_small() -> Architecture:
    """Depthwise-separable residual encoder at stride 8 with dilations and a 1/4 skip: 0.1 M parameters."""
    return Architecture(
        NetworkSpec(
            stem=StemSpec(16),
            stages=(
                StageSpec("residual", 1, 32, 2, SEPARABLE),
                StageSpec("residual", 2, 64, 2, SEPARABLE),
                StageSpec("residual", 2, 64, 1, ConvSpec("depthwise_separable", 3, 2)),
                StageSpec("residual", 2, 64, 1, ConvSpec("depthwise_separable", 3, 4)),
            ),
            decoder=DecoderSpec("skip_add", 32, 4),
        )
    )


PRESETS: Mapping[str, Preset] = {
    "fast_scnn_like": Preset(_fast_scnn(), "Poudel et al. 2019, arXiv:1902.04502", "two-speed encoder, fusion at 1/8"),
    "lraspp_like": Preset(
        _lraspp(), "Howard et al. 2019, arXiv:1905.02244, section 6.4", "MobileNetV3-small with a gated skip"
    ),
    "plain_small": Preset(_plain_small(), "Original", "a small separable residual network, the plain baseline"),
}


def preset(name: str) -> Preset:
    """The preset called `name`. Raises InputError naming the allowed ones."""
    if name not in PRESETS:
        raise InputError(f"preset {name!r} is unknown; allowed: {', '.join(PRESETS)}")
    return PRESETS[name]
