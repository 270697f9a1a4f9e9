"""Networks that experts designed, written as architectures of our spaces. Knows nothing of how they are used.

The first five compute what the plain modules of experiments/designs compute at width 1, to rounding: the tests copy
the weights of those into these. The other three are likenesses, said with the same parts. All were published with
other training (pre-training, auxiliary losses, dropout) and all logits are enlarged to the frame's size bilinearly.
"""

from dataclasses import replace
from typing import Literal

from search_spaces.architecture import (
    Activation,
    Architecture,
    Attention,
    ConvSpec,
    DecoderSpec,
    DetailSpec,
    NetworkSpec,
    StageSpec,
    StemSpec,
    TrainingSpec,
)

SEPARABLE = ConvSpec("depthwise_separable")
LINEAR = ConvSpec("separable_linear")
WIDE_SEPARABLE = ConvSpec("depthwise_separable", 5)


def _inverted(
    depth: int,
    channels: int,
    stride: Literal[1, 2],
    expansion: int,
    conv: ConvSpec = SEPARABLE,
    act: Activation = "relu",
) -> StageSpec:
    return StageSpec("inverted_residual", depth, channels, stride, conv, expansion, act)


def contextnet() -> Architecture:
    """A shallow branch on the frame, a deep one on a copy of a quarter of the size, fused at 1/8 (model cn14).

    Left out: the paper's dropout and its pruning from twice the width. Kept: all layers and widths.
    """
    return Architecture(
        NetworkSpec(
            stem=StemSpec(32, kind="shrunk", factor=8),
            stages=(
                _inverted(1, 32, 1, 1),
                _inverted(1, 32, 1, 6),
                _inverted(3, 48, 2, 6),
                _inverted(3, 64, 2, 6),
                _inverted(2, 96, 1, 6),
                _inverted(2, 128, 1, 6),
                StageSpec("plain", 1, 128, 1, LINEAR),
            ),
            detail=DetailSpec(
                channels=128,
                depth=0,
                stride=8,
                fusion="feature_fusion",
                stem=StemSpec(32),
                stages=(
                    StageSpec("plain", 1, 64, 2, LINEAR),
                    StageSpec("plain", 1, 128, 2, LINEAR),
                    StageSpec("plain", 1, 128, 1, LINEAR),
                ),
            ),
            decoder=DecoderSpec("plain", 128),
        )
    )


def fast_scnn() -> Architecture:
    """Learning to downsample to 1/8, inverted residuals to 1/32, pyramid pooling, fusion with the 1/8 feature.

    Left out: dropout. Differs: the pyramid's windows are of one size, its branches have a bias and no batch norm.
    """
    return Architecture(
        NetworkSpec(
            stem=StemSpec(32),
            stages=(
                StageSpec("plain", 1, 48, 2, LINEAR),
                StageSpec("plain", 1, 64, 2, LINEAR),
                _inverted(3, 64, 2, 6),
                _inverted(3, 96, 2, 6),
                _inverted(3, 128, 1, 6),
            ),
            context="pyramid_pooling",
            detail=DetailSpec(channels=128, depth=0, stride=8, fusion="feature_fusion"),
            decoder=DecoderSpec("plain", 128, depth=2, conv=LINEAR),
        )
    )


def lraspp() -> Architecture:
    """MobileNetV3-small at output stride 16 by dilation, its last feature gated by its average, scores of the 1/8 skip.

    Kept: every layer's expansion, gate and activation; half the filters in the last block, as the paper's section 6.4.
    Differs: the head averages the whole feature.
    """
    gated: Attention = "expanded_squeeze_excitation"
    swish: Activation = "hard_swish"
    dilated = ConvSpec("depthwise_separable", 5, 2)
    return Architecture(
        NetworkSpec(
            stem=StemSpec(16, swish),
            stages=(
                replace(_inverted(1, 16, 2, 1), attention=gated),
                replace(_inverted(1, 24, 2, 1), hidden=72),
                replace(_inverted(1, 24, 1, 1), hidden=88),
                replace(_inverted(1, 40, 2, 4, WIDE_SEPARABLE, swish), attention=gated),
                replace(_inverted(2, 40, 1, 6, WIDE_SEPARABLE, swish), attention=gated),
                replace(_inverted(2, 48, 1, 3, WIDE_SEPARABLE, swish), attention=gated),
                replace(_inverted(3, 48, 1, 6, dilated, swish), attention=gated),
                StageSpec("plain", 1, 288, 1, ConvSpec("pointwise"), activation=swish),
            ),
            decoder=DecoderSpec("gated_skip", 128, 8),
        )
    )


def ddrnet() -> Architecture:
    """DDRNet-23-slim: a branch at 1/8 beside one to 1/64, that exchange twice, and the deep aggregation of averages.

    Left out: the auxiliary head. Differs: the pooled branches have a bias where the paper has batch norm.
    """
    fine = StageSpec("residual", 2, 64, 1)
    return Architecture(
        NetworkSpec(
            stem=StemSpec(32),
            stages=(
                StageSpec("plain", 1, 32, 2),
                StageSpec("residual", 2, 32, 1),
                StageSpec("residual", 2, 64, 2),
                StageSpec("residual", 2, 128, 2),
                StageSpec("residual", 2, 256, 2),
                StageSpec("bottleneck", 1, 512, 2, hidden=256),
            ),
            context="deep_aggregation",
            context_channels=128,
            detail=DetailSpec(
                channels=128,
                depth=0,
                stride=8,
                fusion="sum",
                stages=(fine, fine, StageSpec("bottleneck", 1, 128, 1, hidden=64)),
                exchange="bilateral",
            ),
            decoder=DecoderSpec("plain", 64, depth=1),
        )
    )


def enet() -> Architecture:
    """A long encoder of bottlenecks at 1/8, plain, dilated and asymmetric by turns, and a small decoder of them.

    Left out: dropout, unpooling by remembered maxima (both paths of the decoder are resized), training in two stages.
    """

    def regular(conv: ConvSpec) -> StageSpec:
        return StageSpec("bottleneck", 1, 128, 1, conv, activation="prelu")

    asymmetric = regular(ConvSpec("spatial_separable", 5))
    plain, dilated = regular(ConvSpec()), [regular(ConvSpec("dense", 3, dilation)) for dilation in (2, 4, 8, 16)]
    # Bottlenecks 2.2 to 2.8 of table 1; 2.0 and 2.1 go before, and section 3 repeats 2.1 to 2.8.
    section = (dilated[0], asymmetric, dilated[1], plain, dilated[2], asymmetric, dilated[3])
    return Architecture(
        NetworkSpec(
            stem=StemSpec(16, "prelu", "conv_pool"),
            stages=(
                StageSpec("pooled_bottleneck", 5, 64, 2, activation="prelu"),
                StageSpec("pooled_bottleneck", 2, 128, 2, activation="prelu"),
                *section,
                plain,
                *section,
            ),
            decoder=DecoderSpec("upsampling_bottleneck", 16, 2, "prelu"),
        )
    )


def bisenetv2() -> Architecture:
    """A wide shallow detail branch from the frame, a narrow deep one to 1/32, bilateral guided aggregation at 1/8.

    Left out: the pooling half of the stem block, the 3x3 that expands in the gather-and-expansion layers (here
    inverted residuals) and their second depthwise convolution where they halve, the head's width of 1024, the
    booster heads. The context embedding is a gate by the global average instead of its sum.
    """
    return Architecture(
        NetworkSpec(
            stem=StemSpec(16),
            stages=(
                StageSpec("plain", 1, 16, 2),
                _inverted(2, 32, 2, 6),
                _inverted(2, 64, 2, 6),
                _inverted(4, 128, 2, 6),
            ),
            context="global_pool",
            detail=DetailSpec(
                channels=128,
                depth=0,
                stride=8,
                fusion="guided_aggregation",
                stem=StemSpec(64),
                stages=(
                    StageSpec("plain", 1, 64, 1),
                    StageSpec("plain", 3, 64, 2),
                    StageSpec("plain", 3, 128, 2),
                ),
            ),
            decoder=DecoderSpec("plain", 128, depth=1),
        )
    )


def pidnet_s() -> Architecture:
    """A detail branch at 1/8 that takes from the deep one by pixel attention twice, a deep aggregation, a gated fusion.

    Left out: the third branch, of boundaries; boundaries are a head that only trains, and the gate between detail and
    context comes from both of them. The aggregation is DDRNet's in turn, not the parallel one.
    """
    fine = StageSpec("residual", 2, 64, 1)
    return Architecture(
        NetworkSpec(
            stem=StemSpec(32),
            stages=(
                StageSpec("plain", 1, 32, 2),
                StageSpec("residual", 2, 32, 1),
                StageSpec("residual", 2, 64, 2),
                StageSpec("residual", 3, 128, 2),
                StageSpec("residual", 3, 256, 2),
                StageSpec("bottleneck", 2, 512, 2, hidden=256),
            ),
            context="deep_aggregation",
            context_channels=128,
            detail=DetailSpec(
                channels=128,
                depth=0,
                stride=8,
                fusion="gate",
                stages=(fine, fine, StageSpec("bottleneck", 1, 128, 1, hidden=64)),
                exchange="pixel_attention",
            ),
            decoder=DecoderSpec("plain", 128, depth=1),
        ),
        TrainingSpec(boundary=True),
    )


def seaformer() -> Architecture:
    """Inverted residuals to 1/64, squeezed axial attention at the two deepest strides, a gate on the 1/8 feature.

    Of the tiny model. Left out: the second of two attention layers at each stride and their feed-forward networks,
    position embeddings, the fusion with the 1/32 feature before that with the 1/64 one, its expansion of 4 in one
    block of the second stage.
    """
    act: Activation = "relu6"
    return Architecture(
        NetworkSpec(
            stem=StemSpec(16, act),
            stages=(
                _inverted(1, 16, 1, 1, SEPARABLE, act),
                _inverted(2, 16, 2, 3, SEPARABLE, act),
                _inverted(2, 32, 2, 3, WIDE_SEPARABLE, act),
                _inverted(2, 64, 2, 3, SEPARABLE, act),
                replace(_inverted(2, 128, 2, 3, WIDE_SEPARABLE, act), attention="axial"),
                replace(_inverted(2, 160, 2, 6, SEPARABLE, act), attention="axial"),
            ),
            detail=DetailSpec(channels=96, depth=0, stride=8, fusion="modulate"),
            decoder=DecoderSpec("bilinear", 96),
        )
    )


def plain_small() -> Architecture:
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
