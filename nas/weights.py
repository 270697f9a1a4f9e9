"""Weights from safetensors, compared with their architecture before they are loaded. Knows nothing of folders."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.network import build

DTYPES = {"F32": torch.float32, "I64": torch.int64}


def read_weights(path: Path, architecture: Architecture, num_classes: int) -> Mapping[str, Tensor]:
    """The tensors of `path`, every name, shape and type that of the architecture's network.

    The comparison is with a network on the meta device, so that nothing is allocated for a foreign file.

    Raises:
        InputError: unreadable, truncated, or not the weights of this architecture.
    """
    with torch.device("meta"):
        expected = build(architecture, num_classes).state_dict()
    try:
        with safe_open(str(path), framework="pt") as file:
            names = set(file.keys())
            _compare_names(path, names, set(expected))
            for name in sorted(names):
                _compare_one(path, name, file.get_slice(name), expected[name])
            return {name: file.get_tensor(name) for name in sorted(names)}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: no readable safetensors file ({error})") from None


def _compare_names(path: Path, given: set[str], expected: set[str]) -> None:
    if given != expected:
        name = sorted(given ^ expected)[0]
        what = "is missing" if name in expected else "is unknown to the architecture"
        raise InputError(f"{path}: tensor {name!r} {what} ({len(given)} given, {len(expected)} needed)")


def _compare_one(path: Path, name: str, given: object, expected: Tensor) -> None:
    shape = tuple(given.get_shape())  # type: ignore[attr-defined]
    kind = given.get_dtype()  # type: ignore[attr-defined]
    if shape != tuple(expected.shape) or DTYPES.get(kind) is not expected.dtype:
        raise InputError(
            f"{path}: tensor {name!r} is {kind} {shape}; the architecture needs {expected.dtype} "
            f"{tuple(expected.shape)}"
        )
