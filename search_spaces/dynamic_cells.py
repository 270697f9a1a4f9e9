"""Spaces over a fixed network: only what stands between its frames is decided. Knows nothing of searchers.

`dynamic_cells` is the setting of Nekrasov et al. 2020, Architecture search of dynamic cells for semantic video
segmentation (WACV), in our reconstruction: a static network, one searched cell.
"""

from dataclasses import dataclass, replace

from search_spaces.architecture import Architecture, TrainingSpec
from search_spaces.decisions import Choose
from search_spaces.presets import preset
from search_spaces.restricted import restricted
from search_spaces.temporal_questions import ask_temporal
from search_spaces.video_cells import TEMPORAL_WEIGHTS

ONE_DYNAMIC_CELL = {"temporal.sites": (1,), "temporal0.kind": ("dynamic_cell",)}


@dataclass(frozen=True, slots=True)
class TemporalCells:
    """Everything temporal of the full space, on the network of a preset, whose own cells are left out."""

    preset: str = "plain_small"

    def decode(self, choose: Choose) -> Architecture:
        """Ask for cells and for training. Raises InputError where there is no such preset."""
        network = replace(preset(self.preset).architecture.video, temporal=())
        cells = ask_temporal(choose, network.placements)
        training = TrainingSpec(choose("training.temporal_weight", TEMPORAL_WEIGHTS))
        return Architecture(replace(network, temporal=cells), training)


@dataclass(frozen=True, slots=True)
class DynamicCells:
    """One dynamic cell on the network of a preset: its graph, placement, fusion, share and training."""

    preset: str = "plain_small"

    def decode(self, choose: Choose) -> Architecture:
        """The questions of TemporalCells, with one cell and its kind given."""
        return TemporalCells(self.preset).decode(restricted(choose, ONE_DYNAMIC_CELL))
