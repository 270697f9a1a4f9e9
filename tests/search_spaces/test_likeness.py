"""The nearest point of a space: exact inside it, a likeness outside, the same every time."""

import random

import pytest

from search_spaces.architecture import NetworkSpec
from search_spaces.decisions import replay, sample
from search_spaces.likeness import most_like
from search_spaces.network_questions import DECODERS
from search_spaces.presets import PRESETS
from search_spaces.spaces import make_space


@pytest.mark.parametrize("name", ["toy", "video_cells"])
def test_every_point_of_a_space_is_found_exactly(name: str) -> None:
    space, rng = make_space(name), random.Random(7)
    for _ in range(40):
        point = sample(space, rng)
        found = most_like(space, point.architecture)
        assert found.architecture == point.architecture
        assert replay(space, found.genotype) == point.architecture


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_relative_of_a_preset_keeps_what_the_space_can_say(name: str) -> None:
    space, preset = make_space("video_cells"), PRESETS[name].architecture
    found = most_like(space, preset)
    network = found.architecture.network
    assert isinstance(network, NetworkSpec)
    assert replay(space, found.genotype) == found.architecture
    assert network.strides[-1] == min(16, preset.video.strides[-1])
    assert network.context == preset.video.context
    assert (network.detail is None) == (preset.video.detail is None)
    decoder = preset.video.decoder
    if decoder.kind in DECODERS and (decoder.kind != "plain" or decoder.depth == 1):
        assert network.decoder.kind == decoder.kind
    assert network.temporal == preset.video.temporal
    assert abs(len(network.stages) - min(4, len(preset.video.stages))) <= 1
    assert most_like(space, preset).genotype == found.genotype
