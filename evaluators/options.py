"""The options of training, frozen and checked at the door. Knows nothing of how they are used."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.door import STRICT, dump_json, parse_json
from search_spaces.errors import InputError

Share = Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """How a network is trained. Defaults: see experiments/training.md.

    An epoch is as many frames as the training part has labelled ones, whatever the length of the clips, so
    that architectures with and without memory see equal numbers. The first `stills_share` of the steps runs
    on single frames (every frame of a batch is another scene), the rest on clips of `clip_frames`.
    """

    __pydantic_config__: ClassVar = STRICT
    batch_frames: Annotated[int, Field(ge=1, le=4096)] = 16
    clip_frames: Annotated[int, Field(ge=1, le=64)] = 4
    stills_share: Share = 0.5
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 8e-3
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 1e-3
    warmup_share: Share = 0.1
    decay_share: Share = 0.4
    average_share: Share = 0.03
    """Horizon of the weight average, as a share of all steps."""
    balance: Literal["sqrt", "enet", "ohem", "none"] = "sqrt"
    temporal_weight: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    """None: the architecture's own, which the space decides."""
    min_crop: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """Smallest side of the random crop, as a share of the picture's; 1 switches cropping off."""
    jitter: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2
    clips_per_frame: Annotated[float, Field(gt=0.0, le=16.0)] = 1.0
    """Size of the pool of training clips, relative to the labelled frames of the training part."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None


def train_options(values: Mapping[str, str | int | float | bool]) -> TrainOptions:
    """Options from a recipe's `training`. Raises InputError naming the option, what is given and allowed."""
    known = {f.name for f in fields(TrainOptions)}
    for name in values:
        if name not in known:
            raise InputError(f"training option {name!r} is unknown; allowed: {', '.join(sorted(known))}")
    floats = {f.name for f in fields(TrainOptions) if isinstance(getattr(TrainOptions(), f.name), float)}
    clean = {k: float(v) if k in floats and type(v) is int else v for k, v in values.items()}
    return parse_json(TrainOptions, json.dumps(clean), "training")


def identity_of(options: TrainOptions) -> str:
    """What of the options changes a result: everything but where and with how many threads it runs."""
    return dump_json(replace(options, device="auto", threads=None))
