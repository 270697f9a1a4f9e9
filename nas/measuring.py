"""Measure what a user names: a trial, preset, architecture, model folder or ONNX file. Times nothing itself."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.sources import Source, open_source
from search_spaces.errors import InputError

if TYPE_CHECKING:
    from latency_tables.device import Target
    from latency_tables.measurement import Measurement
    from latency_tables.runtimes.base import Candidate

_SEED = 0
"""Of the random weights and of the order of rounds: what a dense network costs does not depend on them."""


class MeasureError(RuntimeError):
    """It could not be measured; the message is the reason."""


@dataclass(frozen=True)
class Measured:
    """A measurement and what was measured."""

    what: str
    target: str
    size_hw: tuple[int, int]
    measurement: "Measurement"


def measure_named(
    network: str, target_text: str, size_hw: tuple[int, int] | None, num_classes: int | None, fps: float | None
) -> Measured:
    """Measure with the protocol for finalists.

    Of an ONNX file that is one phase of a schedule, that phase is timed by itself, frame after frame.
    `size_hw` and `num_classes` default to those of the model folder, or of the search the trial is from.

    Raises:
        InputError: an unknown network or target, or a size that is missing or cannot be had.
        MeasureError: it cannot be exported, verified or timed.
    """
    from latency_tables.device import parse_target
    from latency_tables.measurement import FINAL, Failure
    from latency_tables.protocol import measure
    from latency_tables.runtimes.base import Candidate

    target = parse_target(target_text)
    if fps is not None and not fps > 0:
        raise InputError(f"--fps: {fps:g} given; more than 0 is needed")
    with tempfile.TemporaryDirectory(prefix="vidseg-nas-measure-") as scratch:
        if network.endswith(".onnx"):
            what, size = network, _onnx_size(Path(network), size_hw)
            candidate = Candidate(size, (network,))
        else:
            source = open_source(network)
            what = source.origin
            size, classes = _size_and_classes(source, size_hw, num_classes)
            candidate = _candidate(source, target, size, classes, Path(scratch, "model.onnx"))
        (result,) = measure([candidate], target, FINAL, seed=_SEED, fps=fps)
    if isinstance(result, Failure):
        raise MeasureError(result.reason)
    return Measured(what, str(target), size, result)


def _candidate(source: Source, target: "Target", size_hw: tuple[int, int], num_classes: int, path: Path) -> "Candidate":
    from latency_tables.onnx_export import export_phases
    from latency_tables.parity import verify_step
    from latency_tables.random_weights import build_random
    from latency_tables.runtimes.base import Candidate
    from latency_tables.runtimes.registry import runtime_info
    from search_spaces.trace import require_affordable

    require_affordable(source.architecture, size_hw, num_classes)
    text = source.architecture.to_json()
    if not runtime_info(target.runtime).needs_onnx:
        return Candidate(size_hw, (), text, num_classes, _SEED)
    model = build_random(source.architecture, num_classes, seed=_SEED)
    paths = export_phases(model, size_hw, path, {"key": source.architecture.key})
    parity = verify_step(model, paths, size_hw, seed=_SEED, runtime=target.runtime)
    if not parity.ok:
        raise MeasureError(
            f"{source.origin}: the exported network differs from torch by {parity.relative:.2g} of its logits' range"
        )
    return Candidate(size_hw, tuple(map(str, paths)), text, num_classes, _SEED)


def _size_and_classes(
    source: Source, size_hw: tuple[int, int] | None, num_classes: int | None
) -> tuple[tuple[int, int], int]:
    """What was given, else what the model folder or the search says."""
    if size_hw is not None and num_classes is not None:
        return size_hw, num_classes
    if source.model_folder is not None:
        from nas.model_folder import read_config

        config = read_config(source.model_folder)
        return size_hw or config.size, num_classes or len(config.classes)
    if source.recipe is not None:
        from evaluators.datasets.registry import open_dataset

        info = open_dataset(source.recipe.data, source.recipe.size_hw).info
        return size_hw or info.size_hw, num_classes or len(info.classes)
    missing = "--size HxW" if size_hw is None else "--classes K"
    raise InputError(f"{source.origin}: {missing} is needed, for an architecture alone does not say it")


def _onnx_size(path: Path, size_hw: tuple[int, int] | None) -> tuple[int, int]:
    """The frame size of an ONNX file of ours, from its metadata.

    Raises:
        InputError: no such file, no file of ours, or another size than the one asked for.
    """
    from latency_tables.onnx_export import read_metadata

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        size = json.loads(read_metadata(path).get("size_hw", "null"))
    except DecodeError:
        raise InputError(f"{path}: no ONNX file") from None
    except ValueError:
        size = None
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)):
        if size_hw is None:
            raise InputError(f"{path}: its metadata name no frame size; give --size HxW")
        return size_hw
    found = (size[0], size[1])
    if size_hw not in (None, found):
        raise InputError(f"--size: {size_hw[0]}x{size_hw[1]} given; {path} takes {found[0]}x{found[1]}")
    return found
