"""The streaming step as one ONNX file, or one a phase of its schedule. Knows nothing of timing or of training.

Legend: B batch (1), H/W pixels, K classes. Inputs `frame` [1,3,H,W] and `state_0..n`; outputs `logits`
[1,K,H,W], or smaller where the architecture leaves their enlarging to the caller, and `next_state_0..n`.

What an export costs is tracing and decomposing every operation, and the exporter's registry of translations,
which it rebuilds at each call (about a quarter). Folding batch norms beforehand and pausing the cyclic garbage
collector took a 58-node network from 1.5 s to 1.1 s; the graph that comes out is the same.
"""

import contextlib
import copy
import gc
import importlib
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from search_spaces.architecture import Architecture
from search_spaces.errors import MissingExtraError
from search_spaces.frame_phases import distinct_phases, phase_given
from search_spaces.fuse import fuse_branches
from search_spaces.resizing import logits_hw
from search_spaces.training_only import training_only_parts

OPSET = 20

_LOGGERS = ("torch.onnx", "torch.fx", "torch.export", "torch._dynamo", "onnx_ir", "onnxscript")


class ExportError(RuntimeError):
    """A network cannot be exported or its export computes something else; the message says what and where."""


class _Step(nn.Module):
    """`step` of a phase with its state as plain inputs and outputs."""

    def __init__(self, model: nn.Module, phase: int) -> None:
        super().__init__()
        self.model = model
        self.phase = phase_given(model, phase)

    def forward(self, frame_BCHW: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """(frame, state...) -> (logits, next state...)."""
        logits_BKHW, following = cast("Any", self.model).step(frame_BCHW, state, *self.phase)
        return (logits_BKHW, *following)


def export_phases(
    model: nn.Module, size_hw: tuple[int, int], path: Path, metadata: Mapping[str, str]
) -> tuple[Path, ...]:
    """Write one graph a phase of the model's schedule; the files, frame t runs the one of t modulo their number.

    Without a schedule that is `path`; with one NAME.phase0.onnx, ... beside it. Phases that compute the same share
    a file, which is then named by the first of them and returned once for each. The metadata say which (`phases`).
    Raises as `export_step`.
    """
    first = distinct_phases(model)
    if len(first) == 1:
        export_step(model, size_hw, path, metadata)
        return (path,)
    paths = tuple(phase_path(path, phase) for phase in first)
    for phase in sorted(set(first)):
        phases = json.dumps([other for other, kind in enumerate(first) if kind == phase])
        facts = {**metadata, "phases": phases, "num_phases": str(len(first))}
        export_step(model, size_hw, paths[phase], facts, phase)
    return paths


def phase_path(path: Path, phase: int) -> Path:
    """`model.onnx` to `model.phase0.onnx`."""
    return path.with_name(f"{path.stem}.phase{phase}{path.suffix}")


def export_step(
    model: nn.Module, size_hw: tuple[int, int], path: Path, metadata: Mapping[str, str], phase: int = 0
) -> None:
    """Write `model.step` for frames of `size_hw` to `path`, one file, with `metadata` in its properties.

    `model` has the methods of a VideoSegmenter and stays as it is; of its schedule, one phase is written.

    Raises:
        ExportError: the network is in train mode, has a part that only trains, or an operation that ONNX or the
            exporter lacks.
        MissingExtraError: onnx or onnxscript is absent.
        OSError: the file cannot be written.
    """
    for package in ("onnx", "onnxscript"):
        _require(package)
    training = [name or "the network" for name, module in model.named_modules() if module.training]
    if training:
        raise ExportError(f"{training[0]} is in train mode; call eval() before exporting")
    dropped = training_only_parts(model)
    if dropped:
        raise ExportError(f"{dropped[0]} is there for training alone; export the network without it")
    frame_BCHW = torch.zeros(1, 3, *size_hw)
    state: tuple[Tensor, ...] = cast("Any", model).initial_state(1, *size_hw)
    folded = _Step(fold_batch_norms(model), phase).eval()
    with _quiet(), _collector_paused(), torch.no_grad():
        try:
            program = torch.onnx.export(
                folded,
                (frame_BCHW, *state),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                external_data=False,
                input_names=["frame", *(f"state_{i}" for i in range(len(state)))],
                output_names=["logits", *(f"next_state_{i}" for i in range(len(state)))],
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(_reason(str(error))) from error
    assert program is not None
    proto = program.model_proto
    _strip(proto)
    _add_metadata(proto, metadata)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def step_metadata(architecture: Architecture, num_classes: int, size_hw: tuple[int, int]) -> dict[str, str]:
    """The facts every exported step carries; a caller adds its own (classes' names, metrics)."""
    return {
        "schema": "1",
        "architecture": architecture.to_json(),
        "key": architecture.key,
        "num_classes": str(num_classes),
        "height": str(size_hw[0]),
        "width": str(size_hw[1]),
        "logits_hw": json.dumps(logits_hw(*size_hw, architecture.video)),
    }


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """A copy in which every Conv2d directly followed by a BatchNorm2d in a Sequential is one convolution.

    Branches that sum up to one convolution become it first (`search_spaces.fuse`). Only plain Sequentials are
    touched: there, neighbours in the list are neighbours in the computation.
    """
    folded = fuse_branches(copy.deepcopy(model))
    for module in folded.modules():
        if type(module).forward is not nn.Sequential.forward:
            continue
        assert isinstance(module, nn.Sequential)
        for index in range(len(module) - 1):
            conv, norm = module[index], module[index + 1]
            if isinstance(conv, nn.Conv2d) and type(norm) is nn.BatchNorm2d and norm.track_running_stats:
                module[index] = fuse_conv_bn_eval(conv, norm)
                module[index + 1] = nn.Identity()
    return folded.eval()


def read_metadata(path: Path) -> dict[str, str]:
    """The properties that `export_step` wrote.

    Raises:
        MissingExtraError: onnx is absent.
    """
    onnx = _require("onnx")
    proto = onnx.load(str(path), load_external_data=False)
    return {prop.key: prop.value for prop in proto.metadata_props}


def _require(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise MissingExtraError(package, "onnx", "exporting to ONNX") from None


def _strip(proto: Any) -> None:
    """Drop what the exporter notes on every node: stack traces with paths of this machine."""
    del proto.metadata_props[:]
    graph = proto.graph
    del graph.metadata_props[:]
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""


def _add_metadata(proto: Any, metadata: Mapping[str, str]) -> None:
    for key in sorted(metadata):
        prop = proto.metadata_props.add()
        prop.key, prop.value = key, metadata[key]


def _reason(message: str) -> str:
    """One line from the exporter's page of advice: the operation it stumbled on, or the exception's first line."""
    operator = re.search(r"OpOverload\(op='([\w.:]+)'", message) or re.search(r"target=torch\.ops\.([\w.]+)", message)
    if operator:
        return f"operator {operator[1]} cannot be exported to ONNX"
    _, _, summary = message.partition("## Exception summary")
    cause = re.search(r"<class '([\w.]+)'>: (.+)", summary)
    line = f"{cause[1].rsplit('.', 1)[-1]}: {cause[2]}" if cause else message.strip().splitlines()[0]
    where = re.search(r"File: \S+?([^/\s:]+:\d+) in (\w+)", message)
    return f"the step cannot be traced ({line}{f', at {where[1]} in {where[2]}' if where else ''})"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of packages we do not want and prints graphs when it fails; the error says enough."""
    silenced = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in silenced]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for logger in silenced:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(silenced, before, strict=True):
                logger.setLevel(level)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Tracing allocates many small objects that stay; looking for cycles among them is wasted."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
