"""One small network for everything that the registries of the network level list, for the tests that run over them."""

from collections.abc import Mapping
from dataclasses import replace

from search_spaces.architecture import Architecture, ConvSpec, DecoderSpec, DetailSpec, NetworkSpec, StageSpec, StemSpec
from search_spaces.contexts import CONTEXTS
from search_spaces.decoder_spec import SKIPLESS
from search_spaces.decoders import DECODERS
from search_spaces.detail_fusions import DETAIL_FUSIONS
from search_spaces.exchanges import EXCHANGES
from search_spaces.network_questions import DETAIL_STRIDES, SQUARE_KERNELS
from search_spaces.stems import STEMS

BASE = NetworkSpec(
    stem=StemSpec(8),
    stages=(
        StageSpec("plain", 1, 8, 2),
        StageSpec("residual", 1, 16, 2, ConvSpec("depthwise_separable")),
        StageSpec("plain", 1, 24, 2, activation="hard_swish"),
    ),
    decoder=DecoderSpec("skip_add", 16),
)
"""Strides 4, 8 and 16 behind a stem of stride 2."""


def _stems() -> Mapping[str, NetworkSpec]:
    found = {}
    for kind in STEMS:
        if kind == "shrunk":  # beside a branch from the frame alone: `_from_frame`
            continue
        conv = kind != "space_to_depth"
        shapes = [(2, 3)] if conv else [(factor, kernel) for factor in (2, 4) for kernel in SQUARE_KERNELS]
        for factor, kernel in shapes:
            stem = StemSpec(8, "relu", kind, factor, kernel)  # type: ignore[arg-type]
            found[f"stem-{kind}-{factor}-{kernel}"] = replace(BASE, stem=stem, stages=BASE.stages[: 4 - factor // 2])
    return found


def _contexts() -> Mapping[str, NetworkSpec]:
    found = {f"context-{kind}": replace(BASE, context=kind) for kind in CONTEXTS}
    narrow = replace(BASE, context="deep_aggregation", context_channels=12)
    return {**found, "context-deep_aggregation-narrow": narrow}


def _decoders() -> Mapping[str, NetworkSpec]:
    found = {}
    for kind in DECODERS:
        for skip_stride in (4,) if kind in SKIPLESS else (2, 4, 8):
            for logits in ("full", "head"):
                channels = BASE.given_channels if kind == "plain" else 16
                decoder = DecoderSpec(kind, channels, skip_stride, "relu", logits)  # type: ignore[arg-type]
                found[f"decoder-{kind}-{skip_stride}-{logits}"] = replace(BASE, decoder=decoder)
    units = DecoderSpec("plain", 12, activation="silu", depth=2, conv=ConvSpec("separable_linear"))
    return {**found, "decoder-plain-units": replace(BASE, decoder=units)}


def _details() -> Mapping[str, NetworkSpec]:
    found = {}
    for stride in DETAIL_STRIDES:
        for fusion in DETAIL_FUSIONS.keys() - {"sum"}:
            for decoder in (DecoderSpec("bilinear", 16), DecoderSpec("unet", 16, 2, "relu", "head")):
                detail = DetailSpec(12, 2, ConvSpec("depthwise_separable"), stride, fusion)  # type: ignore[arg-type]
                found[f"detail-{stride}-{fusion}-{decoder.kind}"] = replace(BASE, detail=detail, decoder=decoder)
    bare = DetailSpec(12, 0, stride=8, fusion="feature_fusion", activation="silu")
    return {**found, "detail-8-bare": replace(BASE, detail=bare)}


def _from_frame() -> Mapping[str, NetworkSpec]:
    """A second branch with a stem of its own; the stages see the frame, or a copy of half or a quarter of its size."""
    stages = (StageSpec("plain", 1, 8, 2), StageSpec("residual", 1, 12, 2))
    found = {}
    for stem in (StemSpec(8), StemSpec(8, kind="shrunk", factor=4), StemSpec(8, kind="shrunk", factor=8)):
        detail = DetailSpec(12, 0, stride=8, fusion="gate", stem=StemSpec(6), stages=stages)
        behind = BASE.stages[{2: 0, 4: 1, 8: 1}[stem.stride] :]
        decoder = DecoderSpec("bilinear", 16)
        found[f"frame-{stem.kind}-{stem.factor}"] = replace(
            BASE, stem=stem, stages=behind, detail=detail, decoder=decoder
        )
    return found


def _exchanges() -> Mapping[str, NetworkSpec]:
    """Three stages of the network beside three of the branch, two exchanges between."""
    found = {}
    fine = (StageSpec("residual", 1, 8, 1, activation="silu"), StageSpec("bottleneck", 1, 12, 1, activation="prelu"))
    beside = (
        StageSpec("residual", 2, 16, 2, activation="prelu"),
        StageSpec("inverted_residual", 1, 20, 2, ConvSpec("depthwise_separable"), 2, "hard_swish"),
        StageSpec("bottleneck", 1, 24, 1, hidden=16),
    )
    for kind in EXCHANGES:
        for fusion in ("sum", "modulate"):
            detail = DetailSpec(12, 0, stride=4, fusion=fusion, stages=(fine[0], *fine), exchange=kind)  # type: ignore[arg-type]
            found[f"exchange-{kind}-{fusion}"] = replace(
                BASE, stages=(BASE.stages[0], *beside), context="deep_aggregation", context_channels=12,
                detail=detail, decoder=DecoderSpec("skip_add", 16, 2),
            )  # fmt: skip
    return found


KINDS: Mapping[str, Architecture] = {
    name: Architecture(spec)
    for name, spec in (
        {**_stems(), **_contexts(), **_decoders(), **_details(), **_from_frame(), **_exchanges()}
    ).items()
}
