"""From a model folder to a checked ONNX file in it. Knows nothing of training, of search or of the exporter."""

import json
from dataclasses import dataclass
from pathlib import Path

from nas.model_card import logits_sentence
from nas.model_folder import ONNX, Model, read_model, write_sums
from search_spaces.errors import InputError

NUM_FRAMES = 8
"""Frames of the check: an error in a carried state shows in the frames after it."""

_CHECK_SEED = 0


@dataclass(frozen=True, slots=True)
class Export:
    """A verified file: `relative` is the largest difference to torch over the range of torch's logits."""

    path: Path
    size_hw: tuple[int, int]
    runtime: str
    max_abs: float
    relative: float
    num_frames: int


class ParityError(RuntimeError):
    """The exported file computes something else than torch does."""


def export_model(folder: Path, runtime: str, size_hw: tuple[int, int] | None = None) -> Export:
    """Write `folder`/model.onnx for frames of `size_hw` (the model's own by default) and check it.

    The file is compared with torch over several frames with carried state in `runtime`, and appears under its
    name only when it agrees; SHA256SUMS follows.

    Raises:
        InputError: a bad model folder, an unknown runtime, a size too large for memory, or a missing extra.
        ParityError: the file disagrees with torch; none is left behind.
    """
    from latency_tables.onnx_export import export_step
    from latency_tables.parity import verify_step
    from latency_tables.runtimes.registry import RUNTIMES
    from search_spaces.trace import require_affordable

    allowed = [name for name, info in RUNTIMES.items() if info.needs_onnx]
    if runtime not in allowed:
        raise InputError(f"--runtime: {runtime!r} given; allowed: {', '.join(allowed)}")
    model = read_model(folder)
    size = size_hw or model.config.size
    require_affordable(model.config.architecture, size, len(model.config.classes))
    temporary = folder / f".{ONNX}.tmp"
    try:
        export_step(model.network, size, temporary, _metadata(model, size))
        parity = verify_step(model.network, temporary, size, num_frames=NUM_FRAMES, seed=_CHECK_SEED, runtime=runtime)
        if not parity.ok:
            raise ParityError(
                f"{folder}: the exported network differs from torch by {parity.max_abs:.3g} "
                f"({parity.relative:.3g} of the logits' range) in {runtime}; no file was left"
            )
        temporary.replace(folder / ONNX)
    finally:
        temporary.unlink(missing_ok=True)
    write_sums(folder)
    return Export(folder / ONNX, size, runtime, parity.max_abs, parity.relative, NUM_FRAMES)


def _metadata(model: Model, size_hw: tuple[int, int]) -> dict[str, str]:
    """The facts that travel inside the file, so that it explains itself without its folder."""
    from search_spaces.resizing import logits_hw

    config = model.config
    return {
        "producer": "vidseg-nas",
        "schema": str(config.schema),
        "key": config.architecture.key,
        "architecture": config.architecture.to_json(),
        "classes": json.dumps(config.classes),
        "palette": json.dumps(config.palette),
        "size_hw": json.dumps(size_hw),
        "schedule": json.dumps(config.schedule),
        "frame": "float32 RGB NCHW 0..1; normalization inside",
        "logits_hw": json.dumps(logits_hw(*size_hw, config.architecture.video)),
        "logits": logits_sentence(config.architecture.video),
        "state": "zeros at the start of a video and after a cut or gap; feed next_state_i as state_i",
        "metrics": json.dumps(model.metrics.metrics, sort_keys=True),
        "metrics_split": model.metrics.split,
        "dataset_fingerprint": config.dataset.fingerprint,
    }
