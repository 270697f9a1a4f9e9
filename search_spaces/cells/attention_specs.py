"""The recorded form of the temporal cells that look for what to remember. Knows nothing of modules.

Their families: per-pixel kernels (Li et al. 2018, arXiv:1804.00389) and attention over remembered frames
(TDNet, Hu et al. 2020, arXiv:2004.01800; TMANet, Wang et al. 2021, arXiv:2102.08643).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from search_spaces.door import STRICT


@dataclass(frozen=True, slots=True)
class AdaptiveKernelsSpec:
    """The output of the frame before, moved by a 3x3 kernel of its own for every pixel, is averaged in."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["adaptive_kernels"] = "adaptive_kernels"


@dataclass(frozen=True, slots=True)
class LocalCorrelationSpec:
    """As adaptive kernels, the kernel being how well the new pixel matches the old window (`kernel` pixels wide)."""

    __pydantic_config__: ClassVar = STRICT
    kernel: Literal[3, 5] = 3
    kind: Literal["local_correlation"] = "local_correlation"


@dataclass(frozen=True, slots=True)
class AttentionPropagationSpec:
    """Attention over the last `frames` frames, kept pooled by `pool`, compared by `key_channels`."""

    __pydantic_config__: ClassVar = STRICT
    frames: Literal[1, 2, 3] = 2
    pool: Literal[3, 4] = 4
    key_channels: Literal[16, 32, 64] = 16
    kind: Literal["attention_propagation"] = "attention_propagation"


@dataclass(frozen=True, slots=True)
class MemoryAttentionSpec:
    """Attention over all pixels of the last two frames; its cost grows with the square of the pixels."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["memory_attention"] = "memory_attention"


@dataclass(frozen=True, slots=True)
class TemporalAttentionSpec:
    """Attention over the last `frames` frames at the same pixel."""

    __pydantic_config__: ClassVar = STRICT
    frames: Literal[2, 3] = 3
    kind: Literal["temporal_attention"] = "temporal_attention"
