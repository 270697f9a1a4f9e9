"""What `video_cells` asks of stem, context, detail branch and decoder. Knows nothing of stages or cells.

An option is offered only where the features that it needs exist. What random members at equal latency were measured to
be worse with is not offered: experiments/space.md.
"""

from fractions import Fraction
from typing import Literal

from search_spaces.architecture import ConvSpec, DecoderSpec, DetailSpec, Factorization, StemSpec
from search_spaces.decisions import Choose
from search_spaces.decoder_spec import SKIPLESS
from search_spaces.detail_spec import DetailFusion
from search_spaces.stage_questions import ACTIVATIONS, FACTORIZATIONS, KERNELS

STEMS: tuple[Literal["conv", "space_to_depth"], ...] = ("conv", "space_to_depth")
SQUARE_KERNELS: tuple[Literal[1, 3], ...] = (1, 3)
CONTEXTS: tuple[Literal["none", "global_pool", "pyramid_pooling", "dilated_pyramid", "deep_aggregation"], ...] = (
    "none", "global_pool", "pyramid_pooling", "dilated_pyramid", "deep_aggregation",
)  # fmt: skip
DETAIL_STRIDES: tuple[Literal[4, 8], ...] = (4, 8)
DETAIL_FUSIONS: tuple[DetailFusion, ...] = ("add", "gate", "feature_fusion", "guided_aggregation", "modulate")
"""All but "sum", which is for branches that end without an activation."""

Decoder = Literal["bilinear", "skip_add", "unet", "guided", "gated_skip", "plain"]
DECODERS: tuple[Decoder, ...] = ("bilinear", "skip_add", "unet", "guided", "gated_skip", "plain")
HEAD_CONVS: tuple[Factorization, ...] = ("depthwise_separable", "dense", "separable_linear")
"""Of the unit of a plain decoder. There is one: a second could as well be a block of the last stage."""

SKIP_STRIDES: tuple[Literal[4, 8], ...] = (4, 8)
COARSEST_PX = Fraction(32, 3)
"""Of the frame, that one value of the feature under the class scores may stand for. Stride 8 of a frame at 3/4 is."""

LOGITS: tuple[Literal["full", "head"], ...] = ("full", "head")


def ask_stem(choose: Choose) -> StemSpec:
    """The questions of the stem."""
    channels = choose("stem.channels", (8, 16, 24))
    act = choose("stem.activation", ACTIVATIONS)
    if choose("stem.kind", STEMS) == "conv":
        return StemSpec(channels, act)
    return StemSpec(channels, act, "space_to_depth", 2, choose("stem.kernel", SQUARE_KERNELS))


def ask_detail(choose: Choose, stem_stride: int, output_stride: int) -> DetailSpec | None:
    """The questions of the second branch, where a feature between the stem's stride and the last one exists."""
    strides = tuple(stride for stride in DETAIL_STRIDES if stem_stride <= stride < output_stride)
    if choose("network.branches", (1, 2)) == 1:
        return None
    stride = choose("detail.stride", strides) if len(strides) > 1 else strides[0]
    return DetailSpec(
        channels=choose("detail.channels", (16, 32, 48, 64)),
        depth=choose("detail.depth", (1, 2, 3)),
        conv=ConvSpec(choose("detail.factorization", FACTORIZATIONS), choose("detail.kernel", KERNELS)),
        stride=stride,
        fusion=choose("detail.fusion", DETAIL_FUSIONS),
        activation=choose("detail.activation", ACTIVATIONS),
    )


def ask_decoder(choose: Choose, given_stride: int, scale: Fraction) -> DecoderSpec:
    """The questions of a decoder that is given a feature of `given_stride`; there is one at every stride from 4 on.

    Where that feature is too coarse for the frame, which `scale` makes smaller, a decoder looks back.
    """
    fine = tuple(stride for stride in (4, 8, 16) if stride / scale <= COARSEST_PX)
    strides = tuple(stride for stride in SKIP_STRIDES if stride < given_stride and stride in fine)
    kinds = DECODERS if given_stride in fine else tuple(kind for kind in DECODERS if kind not in SKIPLESS)
    kind: Decoder = choose("decoder.kind", kinds) if strides else "bilinear"
    skip_stride: Literal[4, 8] = 4
    if kind not in SKIPLESS and len(strides) > 1:
        skip_stride = choose("decoder.skip_stride", strides)
    channels = choose("decoder.channels", (16, 32))
    act = choose("decoder.activation", ACTIVATIONS)
    logits = choose("decoder.logits", LOGITS)
    if kind != "plain":
        return DecoderSpec(kind, channels, skip_stride, act, logits)
    conv = ConvSpec(choose("decoder.factorization", HEAD_CONVS))
    return DecoderSpec(kind, channels, activation=act, logits=logits, depth=1, conv=conv)
