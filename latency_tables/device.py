"""The target of a measurement as text and as values, and what this machine is. Knows nothing of networks."""

import os
import platform
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from latency_tables.runtimes.registry import RUNTIMES, load_runtime
from search_spaces.door import STRICT
from search_spaces.errors import InputError

THIS_CPU = "thiscpu"
"""The name of the machine this process runs on."""

MAX_THREADS = 256

_FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "asimdhp", "bf16",
    "i8mm", "sve", "sve2",
)  # fmt: skip
"""The instruction sets that kernels of the runtimes branch on."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a latency belongs to; change one field and it is another target."""

    __pydantic_config__: ClassVar = STRICT
    runtime: str
    precision: str
    threads: int
    device: str

    def __str__(self) -> str:
        return f"{self.runtime}:{self.precision}:{self.threads}@{self.device}"

    @property
    def is_local(self) -> bool:
        """Whether this process can measure on it."""
        return self.device == THIS_CPU


def parse_target(text: str) -> Target:
    """`RUNTIME[:precision[:threads]]@NAME`, such as `onnxruntime:f32:1@thiscpu`; the inverse of `str`.

    Raises:
        InputError: what was given and what is allowed.
    """
    shape = f"target {text!r}: RUNTIME[:precision[:threads]]@NAME is allowed, such as onnxruntime:f32:1@{THIS_CPU}"
    how, at, device = text.partition("@")
    parts = how.split(":")
    if not at or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", device) or len(parts) > 3:
        raise InputError(shape)
    runtime = parts[0]
    if runtime not in RUNTIMES:
        raise InputError(f"target {text!r}: runtime {runtime!r} given; allowed: {', '.join(RUNTIMES)}")
    allowed = RUNTIMES[runtime].precisions
    precision = parts[1] if len(parts) > 1 else allowed[0]
    if precision not in allowed:
        raise InputError(f"target {text!r}: precision {precision!r} given; {runtime} allows: {', '.join(allowed)}")
    threads = parts[2] if len(parts) > 2 else "1"
    if not re.fullmatch(r"[1-9][0-9]{0,2}", threads) or int(threads) > MAX_THREADS:
        raise InputError(f"target {text!r}: threads {threads!r} given; 1..{MAX_THREADS} allowed")
    return Target(runtime, precision, int(threads), device)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the measuring machine is, as far as it shapes a latency."""

    __pydantic_config__: ClassVar = STRICT
    cpu: str
    flags: tuple[str, ...]
    cores: int
    memory_gib: float
    machine: str
    os: str
    python: str
    runtime: str
    runtime_version: str


def fingerprint(runtime: str) -> Fingerprint:
    """This machine and its version of `runtime`.

    Raises:
        InputError: no such runtime.
        MissingExtraError: the runtime is not installed.
    """
    version = load_runtime(runtime).version()
    cpu, flags = _cpu()
    return Fingerprint(
        cpu=cpu,
        flags=flags,
        cores=_usable_cores(),
        memory_gib=_memory_gib(),
        machine=platform.machine(),
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        runtime=runtime,
        runtime_version=version,
    )


@lru_cache(maxsize=1)
def cpu_model() -> str:
    """Name, family, model and stepping of this machine's processor, as far as it tells."""
    return _cpu()[0]


def _cpu() -> tuple[str, tuple[str, ...]]:
    """Model and the flags of `_FLAGS` it has; Linux tells both, elsewhere the model alone is known."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine(), ()
    first: dict[str, str] = {}
    for line in info.read_text(errors="replace").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            first.setdefault(name.strip(), value.strip())
    words = [first[name] for name in ("model name", "cpu family", "model", "stepping") if name in first]
    names = ("", "family", "model", "stepping")
    model = " ".join(f"{name} {word}".strip() for name, word in zip(names, words, strict=False))
    present = set(first.get("flags", first.get("Features", "")).split())
    return model or platform.machine(), tuple(flag for flag in _FLAGS if flag in present)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0.0
    return float(round(total / 2**30, 1))
