"""The runtimes by name, whether they are present and how to install them. Imports none of them until asked."""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from latency_tables.runtimes.base import Runtime
from search_spaces.errors import InputError, MissingExtraError


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """One line of `list runtimes`. `needs_onnx`: measures an exported file instead of an architecture."""

    name: str
    package: str
    extra: str | None
    precisions: tuple[str, ...]
    needs_onnx: bool
    module: str
    about: str

    @property
    def present(self) -> bool:
        """Whether the package can be imported here."""
        try:
            return importlib.util.find_spec(self.package) is not None
        except ValueError:  # a package whose import was blocked in this process
            return False

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install 'vidseg-nas[{self.extra}]'" if self.extra else "pip install vidseg-nas"


RUNTIMES: Mapping[str, RuntimeInfo] = {
    info.name: info
    for info in (
        RuntimeInfo(
            "onnxruntime",
            "onnxruntime",
            "onnx",
            ("f32",),
            needs_onnx=True,
            module="latency_tables.runtimes.onnxruntime",
            about="ONNX Runtime, CPU",
        ),
        RuntimeInfo(
            "openvino",
            "openvino",
            "openvino",
            ("f32",),
            needs_onnx=True,
            module="latency_tables.runtimes.openvino",
            about="OpenVINO, CPU",
        ),
        RuntimeInfo(
            "torch",
            "torch",
            None,
            ("f32",),
            needs_onnx=False,
            module="latency_tables.runtimes.torch_eager",
            about="PyTorch eager, CPU, channels last: needs nothing beyond the core install",
        ),
    )
}
"""Every runtime a target may name."""


def runtime_info(name: str) -> RuntimeInfo:
    """The registry's line for `name`.

    Raises:
        InputError: no such runtime.
    """
    if name not in RUNTIMES:
        raise InputError(f"runtime {name!r} is unknown; allowed: {', '.join(RUNTIMES)}")
    return RUNTIMES[name]


def load_runtime(name: str) -> Runtime:
    """Import the runtime `name`.

    Raises:
        InputError: no such runtime.
        MissingExtraError: it is not installed.
    """
    info = runtime_info(name)
    if not info.present:
        raise MissingExtraError(info.package, info.extra or "all", f"measuring with {name}")
    module = importlib.import_module(info.module)
    return cast("Runtime", module.RUNTIME)
