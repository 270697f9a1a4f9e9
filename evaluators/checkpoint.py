"""Weights on disk: safetensors with a checksum beside them. Knows nothing of what the weights are of."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from search_spaces.errors import InputError

MAX_BYTES = 2 * 1024**3


def save_weights(path: Path, state: Mapping[str, Tensor]) -> str:
    """Write `path` and `path`.sha256, each by a rename, so that neither is ever half there. Returns the sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Plain contiguous order: the file is the same whatever memory format training used.
    blob = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()})
    digest = hashlib.sha256(blob).hexdigest()
    write_atomically(path, blob)
    write_atomically(path.with_name(path.name + ".sha256"), f"{digest}\n".encode())
    return digest


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read what `save_weights` wrote.

    Raises:
        InputError: a file is missing, too large, truncated, edited or no safetensors file.
    """
    checksum = path.with_name(path.name + ".sha256")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes given, at most {MAX_BYTES} allowed")
        blob = path.read_bytes()
        expected = checksum.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None
    found = hashlib.sha256(blob).hexdigest()
    if found != expected:
        raise InputError(
            f"{path}: sha256 {found[:12]}... found, {checksum.name} says {expected[:12]}...; "
            "the file is damaged or foreign, train the trial again"
        )
    try:
        return load(blob)
    except SafetensorError as error:
        raise InputError(f"{path}: no safetensors file ({error})") from None


def write_atomically(path: Path, blob: bytes) -> None:
    """Write a file so that a reader sees the old or the new content, also after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(blob)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
