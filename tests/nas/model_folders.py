"""A small network and the facts of its model folder, shared by the tests of such folders."""

from dataclasses import replace

from nas.model_folder import (
    DatasetFacts,
    ModelConfig,
    TrainingFacts,
    schedule_of,
)
from search_spaces.architecture import (
    Architecture,
    ConvSpec,
    DecoderSpec,
    NetworkSpec,
    StageSpec,
    StemSpec,
    TemporalSite,
)
from search_spaces.cells.specs import ConvGRUSpec

SEPARABLE = ConvSpec("depthwise_separable")
SMALL = Architecture(
    NetworkSpec(
        stem=StemSpec(8),
        stages=(StageSpec("plain", 1, 12, 2, SEPARABLE), StageSpec("residual", 1, 16, 2, SEPARABLE)),
        decoder=DecoderSpec("skip_add", 8, 4),
        temporal=(TemporalSite("bottleneck", ConvGRUSpec()),),
    )
)


AT_HEAD = Architecture(replace(SMALL.video, decoder=DecoderSpec("skip_add", 8, 4, logits="head")))


def config_of(architecture: Architecture = SMALL) -> ModelConfig:
    return ModelConfig(
        architecture=architecture,
        classes=("ground", "a|b <i>", "sky"),
        palette=((0, 0, 0), (255, 0, 0), (0, 0, 255)),
        size=(48, 64),
        schedule=schedule_of(architecture),
        dataset=DatasetFacts(spec="folder:somewhere/secret", fingerprint="f" * 64, fps=12.5),
        training=TrainingFacts(epochs=3, seed=1, frames_seen=120, options={"learning_rate": 0.01}, origin="preset:x"),
    )
