"""One small network for everything that the registries of the network level list, for the tests that run over them."""

from collections.abc import Mapping
from dataclasses import replace

from search_spaces.architecture import Architecture, ConvSpec, DecoderSpec, DetailSpec, NetworkSpec, StageSpec, StemSpec
from search_spaces.contexts import CONTEXTS
from search_spaces.decoders import DECODERS
from search_spaces.fusion import FUSIONS
from search_spaces.network_questions import DETAIL_FUSIONS, DETAIL_STRIDES, FACTORS, SQUARE_KERNELS
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
        shapes = [(2, 3)] if kind == "conv" else [(factor, kernel) for factor in FACTORS for kernel in SQUARE_KERNELS]
        for factor, kernel in shapes:
            stem = StemSpec(8, "relu", kind, factor, kernel)  # type: ignore[arg-type]
            found[f"stem-{kind}-{factor}-{kernel}"] = replace(BASE, stem=stem, stages=BASE.stages[: 4 - factor // 2])
    return found


def _contexts() -> Mapping[str, NetworkSpec]:
    return {f"context-{kind}": replace(BASE, context=kind) for kind in CONTEXTS}


def _decoders() -> Mapping[str, NetworkSpec]:
    found = {}
    for kind in DECODERS:
        for skip_stride in (4,) if kind == "bilinear" else (2, 4, 8):
            for logits in ("full", "head"):
                decoder = DecoderSpec(kind, 16, skip_stride, "relu", logits)  # type: ignore[arg-type]
                found[f"decoder-{kind}-{skip_stride}-{logits}"] = replace(BASE, decoder=decoder)
    return found


def _details() -> Mapping[str, NetworkSpec]:
    assert set(DETAIL_FUSIONS) <= set(FUSIONS)
    found = {}
    for stride in DETAIL_STRIDES:
        for fusion in DETAIL_FUSIONS:
            for decoder in (DecoderSpec("bilinear", 16), DecoderSpec("unet", 16, 2, "relu", "head")):
                detail = DetailSpec(12, 2, ConvSpec("depthwise_separable"), stride, fusion)
                found[f"detail-{stride}-{fusion}-{decoder.kind}"] = replace(BASE, detail=detail, decoder=decoder)
    return found


KINDS: Mapping[str, Architecture] = {
    name: Architecture(spec)
    for name, spec in (_stems() | _contexts() | _decoders() | _details()).items()  # type: ignore[operator]
}
