"""The hierarchical space `video_cells`: network, stages, convolutions, activations, temporal cells, schedule, training.

Knows nothing of searchers. Choices are shared by the layers of a stage, as in MnasNet (Tan et al. 2019,
arXiv:1807.11626). A question is asked only where its answer changes the network.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from search_spaces.architecture import Architecture, NetworkSpec, TrainingSpec
from search_spaces.decisions import Choose
from search_spaces.network_questions import CONTEXTS, ask_decoder, ask_detail, ask_stem
from search_spaces.schedule_questions import ask_schedule
from search_spaces.schedule_rules import heads_refusal
from search_spaces.stage_questions import ask_stage, joined
from search_spaces.temporal_questions import ask_temporal

SCALES: tuple[Literal["1", "3/4", "1/2"], ...] = ("1", "3/4", "1/2")
TEMPORAL_WEIGHTS = (0.0, 1.0, 5.0)
"""Weight of the temporal consistency loss; without it gated cells learn to ignore their state."""


@dataclass(frozen=True, slots=True)
class VideoCells:
    """The full space. Every level is alive; what a question offers depends on the answers before it."""

    def decode(self, choose: Choose) -> Architecture:
        """Ask level by level: network, stem, stages, detail branch, decoder, cells, schedule, training."""
        scale = choose("network.input_scale", SCALES)
        stem = ask_stem(choose)
        output_stride = choose("network.output_stride", (8, 16))
        num_stages = choose("network.num_stages", (3, 4))
        stages = []
        stride = stem.stride
        for index in range(num_stages):
            step: Literal[1, 2] = 2 if stride < output_stride else 1
            stride *= step
            stages.append(ask_stage(choose, index, step))
        context = choose("network.context", CONTEXTS)
        detail = ask_detail(choose, stem.stride, output_stride)
        still = NetworkSpec(
            stem=stem,
            stages=joined(stages),
            input_scale=scale,
            context=context,
            detail=detail,
            decoder=ask_decoder(choose, output_stride if detail is None else detail.stride, Fraction(scale)),
        )
        network = replace(still, temporal=ask_temporal(choose, still.placements))
        network = replace(network, schedule=ask_schedule(choose, network))
        return Architecture(network, _training(choose, network))


def _training(choose: Choose, network: NetworkSpec) -> TrainingSpec:
    """Heads are offered where the schedule leaves a feature of every frame for them."""
    weight = choose("training.temporal_weight", TEMPORAL_WEIGHTS)
    auxiliary = heads_refusal(network, auxiliary=True, boundary=False) is None
    boundary = heads_refusal(network, auxiliary=False, boundary=True) is None
    return TrainingSpec(
        weight,
        auxiliary=auxiliary and choose("training.auxiliary", (False, True)),
        boundary=boundary and choose("training.boundary", (False, True)),
    )
