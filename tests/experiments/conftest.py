"""Makes the helpers of this folder importable, and gives the networks whose frame is cut into parts."""

import sys
from pathlib import Path

import pytest

from latency_tables.random_weights import build_random
from search_spaces.architecture import Architecture
from search_spaces.network import VideoSegmenter

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture(params=("everything", "bilinear"))
def architecture(request: pytest.FixtureRequest) -> Architecture:
    from frame_networks import ARCHITECTURES

    return ARCHITECTURES[request.param]


@pytest.fixture
def model(architecture: Architecture) -> VideoSegmenter:
    from frame_networks import NUM_CLASSES

    return build_random(architecture, NUM_CLASSES, seed=0)
