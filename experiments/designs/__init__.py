"""Networks that others designed, as plain modules, to compare with what a search finds. Knows nothing of searches."""

from collections.abc import Callable, Mapping

from experiments.designs.common import Design
from experiments.designs.contextnet import ContextNet
from experiments.designs.ddrnet import DDRNet
from experiments.designs.enet import ENet
from experiments.designs.fast_scnn import FastSCNN
from experiments.designs.lraspp import LRASPP

DESIGNS: Mapping[str, Callable[[int, float], Design]] = {
    "fast_scnn": FastSCNN,
    "lraspp": LRASPP,
    "ddrnet": DDRNet,
    "enet": ENet,
    "contextnet": ContextNet,
}
"""(number of classes, width) -> network; the width multiplies every number of channels, 1 is the paper's."""
