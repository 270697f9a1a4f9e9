"""Sizes are bounded before anything is allocated: parameters, classes, features at the asked size."""

import resource
from dataclasses import replace

import pytest
import torch

from search_spaces.architecture import Architecture, ConvSpec, DecoderSpec, NetworkSpec, StageSpec, StemSpec
from search_spaces.errors import InputError
from search_spaces.network import build, num_parameters
from search_spaces.presets import PRESETS
from search_spaces.trace import require_affordable

PLAIN = PRESETS["plain_small"].architecture
HUGE = Architecture(  # every field is allowed by itself; together 27 GB of weights
    NetworkSpec(
        stem=StemSpec(1024),
        stages=tuple(StageSpec("residual", 16, 1024, 1, ConvSpec("dense", 5)) for _ in range(8)),
        decoder=DecoderSpec("bilinear", 1024),
    )
)
WIDE = Architecture(NetworkSpec(StemSpec(1024), (StageSpec("plain", 1, 8, 2),), DecoderSpec("bilinear", 8)))
"""Few parameters, but its stem alone holds 1024 channels at half the size."""


def test_too_many_parameters_are_refused_without_allocating_them() -> None:
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"6712496133 parameters given, at most 134217728 allowed"):
        build(HUGE, 5)
    with pytest.raises(InputError, match=r"6712496133 parameters given"):
        require_affordable(HUGE, (64, 64), 5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 500_000


def test_too_large_a_feature_is_refused_at_the_size_that_makes_it_so() -> None:
    require_affordable(WIDE, (1024, 1024), 5)
    with pytest.raises(InputError, match=r"at 4096x4096: a feature of 4294967296 values given, at most 536870912"):
        require_affordable(WIDE, (4096, 4096), 5)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_affordable_at_4k(name: str) -> None:
    require_affordable(PRESETS[name].architecture, (2160, 3840), 19)


@pytest.mark.parametrize("num_classes", [-1, 0, 1, 256])
def test_a_number_of_classes_that_cannot_be_is_the_users_error(num_classes: int) -> None:
    with pytest.raises(InputError, match=rf"num_classes {num_classes} given, 2..255 allowed"):
        build(PLAIN, num_classes)


def test_counting_draws_no_random_number() -> None:
    """Were it so, a network's weights would depend on whether it was counted before."""
    spec = replace(PLAIN, network=replace(PLAIN.video, stem=StemSpec(12))).video
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    counted = num_parameters(spec, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert counted == sum(p.numel() for p in build(Architecture(spec), 3).parameters())
