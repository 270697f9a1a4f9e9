"""From a model folder to checked ONNX files in it. Knows nothing of training, of search or of the exporter."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nas.model_card import logits_sentence, schedule_sentence
from nas.model_folder import ONNX, Model, read_model, write_sums
from search_spaces.errors import InputError

NUM_FRAMES = 8
"""Frames of the check: an error in a carried state shows in the frames after it."""

_CHECK_SEED = 0


@dataclass(frozen=True, slots=True)
class Export:
    """Verified files, one a phase: `relative` is the largest difference to torch over the range of torch's logits."""

    paths: tuple[Path, ...]
    size_hw: tuple[int, int]
    runtime: str
    max_abs: float
    relative: float
    num_frames: int


class ParityError(RuntimeError):
    """The exported file computes something else than torch does."""


def export_model(folder: Path, runtime: str, size_hw: tuple[int, int] | None = None) -> Export:
    """Write `folder`/model.onnx for frames of `size_hw` (the model's own by default) and check it.

    With a schedule that is model.phase0.onnx and so on, one for every phase: frame t runs the one of t modulo their
    number. The files are compared with torch over several frames with carried state in `runtime`, and appear
    under their names only when they agree; SHA256SUMS follows.

    Raises:
        InputError: a bad model folder, an unknown runtime, a size too large for memory, or a missing extra.
        ParityError: a file disagrees with torch; none is left behind.
    """
    from latency_tables.onnx_export import export_phases, phase_path
    from latency_tables.parity import verify_step
    from latency_tables.runtimes.registry import RUNTIMES
    from search_spaces.trace import require_affordable

    allowed = [name for name, info in RUNTIMES.items() if info.needs_onnx]
    if runtime not in allowed:
        raise InputError(f"--runtime: {runtime!r} given; allowed: {', '.join(allowed)}")
    model = read_model(folder)
    size = size_hw or model.config.size
    require_affordable(model.config.architecture, size, len(model.config.classes))
    num_frames = max(NUM_FRAMES, 2 * model.network.num_phases)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as scratch:
        written = export_phases(model.network, size, Path(scratch, ONNX), _metadata(model, size))
        parity = verify_step(model.network, written, size, num_frames=num_frames, seed=_CHECK_SEED, runtime=runtime)
        if not parity.ok:
            raise ParityError(
                f"{folder}: the exported network differs from torch by {parity.max_abs:.3g} "
                f"({parity.relative:.3g} of the logits' range) in {runtime}; no file was left"
            )
        names = [ONNX] if len(written) == 1 else [phase_path(Path(ONNX), phase).name for phase in range(len(written))]
        for path, name in zip(written, names, strict=True):
            # A file that serves several phases gets all their names: whoever runs them need not know.
            whole = shutil.copyfile(path, Path(scratch, f"{name}.whole"))
            whole.replace(folder / name)
    write_sums(folder)
    paths = tuple(folder / name for name in names)
    return Export(paths, size, runtime, parity.max_abs, parity.relative, num_frames)


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
        "refresh_periods": json.dumps(config.schedule),
        "schedule": schedule_sentence(config.architecture.video),
        "frame": "float32 RGB NCHW 0..1; normalization inside",
        "logits_hw": json.dumps(logits_hw(*size_hw, config.architecture.video)),
        "logits": logits_sentence(config.architecture.video),
        "state": "zeros at the start of a video and after a cut or gap; feed next_state_i as state_i",
        **_trigger(model),
        "metrics": json.dumps(model.metrics.metrics, sort_keys=True),
        "metrics_split": model.metrics.split,
        "dataset_fingerprint": config.dataset.fingerprint,
    }


def _trigger(model: Model) -> dict[str, str]:
    """Which state calls a learned key frame, and when: `schedule` says how to read it."""
    from search_spaces.change_gate import gate_of

    gate = gate_of(model.network)
    if gate is None:
        return {}
    num_states = len(model.network.initial_state(1, *model.config.size))
    return {"trigger": json.dumps({"state": f"state_{num_states - 1}", "threshold": float(gate.threshold)})}
