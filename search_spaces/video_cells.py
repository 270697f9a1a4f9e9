"""The hierarchical space `video_cells`: network, stages, convolutions, activations, temporal cell, training.

Knows nothing of searchers. Choices are shared by the layers of a stage, as in MnasNet (Tan et al. 2019,
arXiv:1807.11626). A question is asked only where its answer changes the network.
"""

from dataclasses import dataclass, replace
from typing import Literal

from search_spaces.architecture import Architecture, DecoderSpec, NetworkSpec, StemSpec, TrainingSpec
from search_spaces.decisions import Choose
from search_spaces.stage_questions import ACTIVATIONS, ask_stage, joined
from search_spaces.temporal_questions import ask_temporal

SCALES: tuple[Literal["1", "3/4", "1/2"], ...] = ("1", "3/4", "1/2")
DECODERS: tuple[Literal["bilinear", "skip_add"], ...] = ("bilinear", "skip_add")
CONTEXTS: tuple[Literal["none", "global_pool"], ...] = ("none", "global_pool")
SKIP_STRIDES: tuple[Literal[4, 8], ...] = (4, 8)
TEMPORAL_WEIGHTS = (0.0, 1.0, 5.0)
"""Weight of the temporal consistency loss; without it gated cells learn to ignore their state."""


@dataclass(frozen=True, slots=True)
class VideoCells:
    """The full space. Every level is alive; what a question offers depends on the answers before it."""

    def decode(self, choose: Choose) -> Architecture:
        """Ask level by level: network, stem, stages, decoder, temporal cell, training."""
        scale = choose("network.input_scale", SCALES)
        output_stride = choose("network.output_stride", (8, 16))
        num_stages = choose("network.num_stages", (3, 4))
        stem = StemSpec(choose("stem.channels", (8, 16, 24)), choose("stem.activation", ACTIVATIONS))
        stages = []
        stride = 2
        for index in range(num_stages):
            step: Literal[1, 2] = 2 if stride < output_stride else 1
            stride *= step
            stages.append(ask_stage(choose, index, step))
        still = NetworkSpec(
            stem=stem,
            stages=joined(stages),
            input_scale=scale,
            context=choose("network.context", CONTEXTS),
            decoder=_decoder(choose, output_stride),
        )
        network = replace(still, temporal=ask_temporal(choose, still.placements))
        return Architecture(network, TrainingSpec(choose("training.temporal_weight", TEMPORAL_WEIGHTS)))


def _decoder(choose: Choose, output_stride: int) -> DecoderSpec:
    kind = choose("decoder.kind", DECODERS)
    skip_stride: Literal[2, 4, 8] = 4
    if kind == "skip_add" and output_stride == 16:
        skip_stride = choose("decoder.skip_stride", SKIP_STRIDES)
    channels = choose("decoder.channels", (16, 32, 48))
    return DecoderSpec(kind, channels, skip_stride, choose("decoder.activation", ACTIVATIONS))
