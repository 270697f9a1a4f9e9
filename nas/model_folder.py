"""The model folder: config, weights, metrics, card, checksums on disk. Knows nothing of training or search.

Layout of Hugging Face: config.json, model.safetensors, metrics.json, README.md, SHA256SUMS; export adds
model.onnx, or model.phase0.onnx and so on where the network has a schedule. Nothing in it is executed or
unpickled, and everything is checked before anything is built.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from nas.files import new_folder, sha256_of, write_atomically
from nas.recipe import Scalar
from search_spaces.architecture import Architecture
from search_spaces.door import STRICT, dump_json, parse_json, read_json
from search_spaces.errors import InputError
from search_spaces.network_spec import MAX_STAGES

if TYPE_CHECKING:
    from search_spaces.network import VideoSegmenter

CONFIG, WEIGHTS, METRICS, CARD, SUMS, ONNX = (
    "config.json", "model.safetensors", "metrics.json", "README.md", "SHA256SUMS", "model.onnx",
)  # fmt: skip
REQUIRED = (CONFIG, WEIGHTS, METRICS, CARD)
ALLOWED = re.compile(r"config\.json|model\.safetensors|metrics\.json|README\.md|model(\.phase\d{1,2})?\.onnx")
_SUM_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_.-]{1,64})", re.ASCII)

Byte = Annotated[int, Field(ge=0, le=255)]
Side = Annotated[int, Field(ge=32, le=4096)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """What the network was trained on; `fingerprint` is the hash of the content."""

    __pydantic_config__: ClassVar = STRICT
    spec: str
    fingerprint: str
    fps: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFacts:
    """How it was trained: enough to do it again."""

    __pydantic_config__: ClassVar = STRICT
    epochs: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]
    frames_seen: Annotated[float, Field(ge=0)]
    options: dict[str, Scalar] = field(default_factory=dict)
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """config.json. `schedule`: each stage is computed every so many frames; all ones means every frame.

    How it is computed in between is said by the architecture's own schedule.
    """

    __pydantic_config__: ClassVar = STRICT
    architecture: Architecture
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=255)]
    palette: Annotated[tuple[tuple[Byte, Byte, Byte], ...], Field(min_length=2, max_length=255)]
    size: tuple[Side, Side]
    schedule: Annotated[tuple[Annotated[int, Field(ge=1, le=8)], ...], Field(min_length=1, max_length=MAX_STAGES)]
    dataset: DatasetFacts
    training: TrainingFacts
    schema: Literal[1] = 1

    def __post_init__(self) -> None:
        if len(self.palette) != len(self.classes):
            raise ValueError(f"palette has {len(self.palette)} colours for {len(self.classes)} classes")
        if self.schedule != schedule_of(self.architecture):
            raise ValueError(f"schedule {self.schedule} given; the architecture's is {schedule_of(self.architecture)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetrics:
    """metrics.json: what was measured, on which split, at the end of training."""

    __pydantic_config__: ClassVar = STRICT
    split: str
    metrics: dict[str, float]
    schema: Literal[1] = 1


@dataclass(frozen=True, eq=False)
class Model:
    """A model folder, read and built: the network in eval mode."""

    path: Path
    config: ModelConfig
    metrics: ModelMetrics
    network: "VideoSegmenter"


def schedule_of(architecture: Architecture) -> tuple[int, ...]:
    """Refresh period of every stage, in frames."""
    return architecture.video.refresh_periods


def write_model(
    path: Path, config: ModelConfig, metrics: Mapping[str, float], split: str, network: "VideoSegmenter"
) -> None:
    """Write a new model folder; it appears whole or not at all.

    Raises:
        InputError: `path` exists already.
    """
    from safetensors.torch import save

    from nas.model_card import model_card

    results = ModelMetrics(split=split, metrics=dict(metrics))
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    with new_folder(path) as folder:
        write_atomically(folder / CONFIG, dump_json(config) + "\n")
        write_atomically(folder / WEIGHTS, save(tensors, {"format": "pt", "key": config.architecture.key}))
        write_atomically(folder / METRICS, dump_json(results) + "\n")
        write_atomically(folder / CARD, model_card(config, results, num_parameters))
        write_sums(folder)


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS (the format of `sha256sum`) over the files of a model folder."""
    names = sorted(path.name for path in folder.iterdir() if ALLOWED.fullmatch(path.name))
    write_atomically(folder / SUMS, "".join(f"{sha256_of(folder / name)}  {name}\n" for name in names))


def read_config(path: Path) -> ModelConfig:
    """Verify every checksum of a model folder and read its config.json.

    Raises:
        InputError: no model folder, a missing, foreign or changed file, or a field out of bounds.
    """
    _verify_sums(path)
    return read_json(ModelConfig, path / CONFIG)


def read_model(path: Path) -> Model:
    """Verify a model folder and build its network with its weights, in eval mode.

    Raises:
        InputError: as `read_config`, a network too large for its frames, or weights that are not those of the
            architecture.
    """
    from nas.weights import read_weights
    from search_spaces.network import build
    from search_spaces.trace import require_affordable

    config = read_config(path)
    metrics = read_json(ModelMetrics, path / METRICS)
    num_classes = len(config.classes)
    require_affordable(config.architecture, config.size, num_classes)
    weights = read_weights(path / WEIGHTS, config.architecture, num_classes)
    network = build(config.architecture, num_classes)
    network.load_state_dict(weights)
    return Model(path, config, metrics, network.eval())


def read_architecture(path: Path) -> Architecture:
    """An architecture from its JSON file. Raises InputError naming the file and the field."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return parse_json(Architecture, text, str(path))


def is_model_folder(path: Path) -> bool:
    """Whether `path` looks like a model folder (nothing is verified)."""
    return (path / CONFIG).is_file() and (path / WEIGHTS).is_file()


def _verify_sums(path: Path) -> None:
    if not path.is_dir():
        raise InputError(f"{path}: no such model folder")
    sums = path / SUMS
    if not sums.is_file():
        raise InputError(f"{path}: not a model folder, {SUMS} is missing")
    listed: dict[str, str] = {}
    for number, line in enumerate(sums.read_text(errors="replace").splitlines(), 1):
        found = _SUM_LINE.fullmatch(line)
        if found is None or not ALLOWED.fullmatch(found[2]):
            raise InputError(f"{sums}: line {number} is no checksum of a model folder's file: {line[:80]!r}")
        listed[found[2]] = found[1]
    for name in REQUIRED:
        if name not in listed:
            raise InputError(f"{sums}: {name} is not listed; needed: {', '.join(REQUIRED)}")
    for name, digest in listed.items():
        if not (path / name).is_file():
            raise InputError(f"{path / name}: listed in {SUMS} but missing")
        if sha256_of(path / name) != digest:
            raise InputError(f"{path / name}: its checksum is not the one in {SUMS}; the file is damaged or changed")
