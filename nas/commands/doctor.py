"""`vidseg-nas doctor`: is this machine fit, and what is missing. Knows nothing of searches."""

import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from nas.commands.output import Answer, DebugOption, JsonOption, answer

MIN_MEMORY_BYTES = 2 * 2**30
MIN_SHM_BYTES = 256 * 2**20
"""Ray's object store lies in /dev/shm; below this it falls back to files and says so at length."""


@dataclass(frozen=True)
class Check:
    """One thing looked at. A check that is not `needed` is a hint and leaves the exit status at 0."""

    name: str
    ok: bool
    found: str
    needed: bool = True


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog="Example: vidseg-nas doctor --json")(doctor)


def doctor(json_output: JsonOption = False, debug: DebugOption = False) -> None:
    """Versions, cores, memory, runtimes present, Ray, write access: exit status 0 if a search can run here."""
    answer(json_output, _work)


def _work() -> Answer:
    from nas.machine import machine_facts, versions

    checks = [*_core_packages(), *_extras(), _memory(), _shm(), *_writable()]
    healthy = all(check.ok for check in checks if check.needed)
    facts = {
        "healthy": healthy,
        "machine": dict(machine_facts()),
        "versions": dict(versions()),
        "checks": [asdict(check) for check in checks],
    }
    lines = [f"{name}: {value}" for name, value in machine_facts().items()]
    lines += [f"{_mark(check)} {check.name}: {check.found}" for check in checks]
    lines.append("ready" if healthy else "not ready: see the lines marked FAIL")
    return Answer(facts, tuple(lines), 0 if healthy else 1)


def _mark(check: Check) -> str:
    if check.ok:
        return "ok  "
    return "FAIL" if check.needed else "note"


def _core_packages() -> list[Check]:
    from nas.machine import versions

    found = versions()
    core = ("torch", "numpy", "pydantic", "safetensors")
    return [Check(name, found[name] is not None, found[name] or "not installed") for name in core]


def _extras() -> list[Check]:
    """Optional packages: present or the command that installs them."""
    from nas.machine import versions

    found = versions()
    extras = {
        "onnxruntime": "onnx", "onnx": "onnx", "onnxscript": "onnx", "openvino": "openvino", "ray": "ray",
        "optuna": "optuna", "av": "video", "opencv-python-headless": "flow", "matplotlib": "report",
        "scipy": "report",
    }  # fmt: skip
    return [
        Check(name, found[name] is not None, found[name] or f"absent; pip install 'vidseg-nas[{extra}]'", needed=False)
        for name, extra in extras.items()
    ]


def _memory() -> Check:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return Check("memory", False, "cannot be read", needed=False)
    return Check("memory", total >= MIN_MEMORY_BYTES, f"{total / 2**30:.1f} GiB (at least 2 needed)")


def _shm() -> Check:
    shm = Path("/dev/shm")
    if not shm.is_dir():
        return Check("/dev/shm", False, "absent; Ray will be slow", needed=False)
    free = shutil.disk_usage(shm).free
    return Check("/dev/shm", free >= MIN_SHM_BYTES, f"{free / 2**20:.0f} MiB free (Ray wants 256)", needed=False)


def _writable() -> list[Check]:
    home = Path(os.environ.get("HOME", str(Path("~").expanduser())))
    # Without a writable HOME only Ray fails to start (it keeps a token there).
    return [
        _write_check("current folder", Path.cwd(), needed=True),
        _write_check("temporary folder", Path(tempfile.gettempdir()), needed=True),
        _write_check("HOME", home, needed=False),
    ]


def _write_check(name: str, folder: Path, *, needed: bool) -> Check:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        return Check(f"write access, {name}", False, f"{error.strerror}", needed)
    return Check(f"write access, {name}", True, "yes", needed)
