"""Facts of the machine a search runs on: processor, cores, memory, versions. Knows nothing of searches."""

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "vidseg-nas", "torch", "numpy", "pydantic", "safetensors", "ray", "optuna", "onnx", "onnxscript",
    "onnxruntime", "openvino", "av", "opencv-python-headless", "matplotlib", "scipy",
)  # fmt: skip


def machine_facts() -> Mapping[str, str]:
    """Processor, cores this process may use, memory, system: names nobody, no host, no user."""
    return {
        "processor": _processor(),
        "cores": f"{usable_cores()} usable of {os.cpu_count()}",
        "memory": f"{_mebibytes('MemTotal')} MiB, {_mebibytes('MemAvailable')} MiB available",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions() -> Mapping[str, str | None]:
    """Installed version of every package we know of; None where it is absent. Nothing is imported."""
    return {name: _version(name) for name in PACKAGES}


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _mebibytes(field: str) -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    found = [int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{field}:")]
    return found[0] if found else 0
