"""The model card (README.md) of a model folder, made from its facts. Knows nothing of files or training."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from evaluators.job import METRICS
from search_spaces.schedule_spec import KeyframesSpec

if TYPE_CHECKING:
    from nas.model_folder import ModelConfig, ModelMetrics
    from search_spaces.architecture import NetworkSpec

_USE = """```python
from nas.api import Streamer

streamer = Streamer("PATH/OF/THIS/FOLDER")
labels = streamer.step(frame)  # frame: uint8, height x width x 3, RGB; labels: uint8, height x width
```"""


def model_card(config: "ModelConfig", results: "ModelMetrics", num_parameters: int) -> str:
    """Markdown with YAML front matter, as model hubs read it; every figure is one of the folder's facts."""
    network = config.architecture.video
    cells = ", ".join(f"{site.cell.kind} at {site.placement}" for site in network.temporal) or "none"
    height, width = config.size
    lines = [
        "---",
        "library_name: vidseg-nas",
        "pipeline_tag: image-segmentation",
        "tags: [video, semantic-segmentation, neural-architecture-search, streaming]",
        f"datasets: [{_yaml(_dataset_name(config.dataset.spec))}]",
        f"metrics: [{', '.join(_yaml(name) for name in sorted(results.metrics))}]",
        "---",
        "",
        f"# Streaming video segmentation network {config.architecture.key[:12]}",
        "",
        "Found and trained with vidseg-nas. It takes one RGB frame at a time and carries a state.",
        "",
        "| fact | value |",
        "|---|---|",
        _row("architecture key", config.architecture.key),
        _row("parameters", f"{num_parameters:,}"),
        _row("trained at (height x width)", f"{height} x {width}"),
        _row("temporal cells", cells),
        _row("schedule", schedule_sentence(network)),
        _row("logits of a step", logits_sentence(network)),
        _row("classes", ", ".join(config.classes)),
        _row("data", f"{config.dataset.spec} (fingerprint {config.dataset.fingerprint[:16]})"),
        _row("training", f"{config.training.epochs} epochs, seed {config.training.seed}"),
        _row("training frames seen", f"{config.training.frames_seen:,.0f}"),
        _row("training options", json.dumps(config.training.options, sort_keys=True)),
        _row("origin", config.training.origin or "not recorded"),
        "",
        f"## Measured on the split `{results.split}`",
        "",
        "| metric | value | what it is |",
        "|---|---|---|",
        *(
            f"| {_cell(name)} | {value:.6g} | {_cell(METRICS.get(name, ''))} |"
            for name, value in sorted(results.metrics.items())
        ),
        "",
        "## Use",
        "",
        _USE,
        "",
        "The licence of these weights is for whoever trained them to decide; the data may restrict it.",
        "",
    ]
    return "\n".join(lines)


def schedule_sentence(network: "NetworkSpec") -> str:
    """What runs at which frame, and how to run the exported phases."""
    schedule = network.schedule
    if schedule is None:
        return "none: every frame runs the whole network"
    values = (f"{name} {value}" for name, value in asdict(schedule).items() if name != "kind")
    if isinstance(schedule, KeyframesSpec) and schedule.trigger == "learned":
        return (
            f"{schedule.kind} ({'; '.join(values)}): a frame runs model.phase0.onnx (key) where, of the last state "
            "tensor it finds, the first value is over the threshold (in the files' metadata: trigger) or the second "
            "is 0 or less, as after a reset, and model.phase1.onnx else, all with the same state; no warm-up; how "
            f"often a key frame comes depends on the video, every {schedule.period} frames is what the threshold is "
            f"fitted to and {schedule.max_interval} the most"
        )
    warmup = schedule.warmup_frames
    return (
        f"{schedule.kind} ({'; '.join(values)}): frame t after a reset runs phase t modulo {schedule.num_phases}, "
        f"exported as model.phase0.onnx to model.phase{schedule.num_phases - 1}.onnx, all with the same state; "
        + (f"the first {warmup} frames are a warm-up and worse than those after them" if warmup else "no warm-up")
    )


def logits_sentence(network: "NetworkSpec") -> str:
    """Where the class scores of one exported step are, and what is left to whoever takes them."""
    if network.decoder.logits == "full":
        return "at the frame's size"
    scale = "" if network.input_scale == "1" else f" of the frame at {network.input_scale} of its size"
    return (
        f"at stride {network.head_stride}{scale}; enlarge them bilinearly (half-pixel centres), then take the largest"
    )


def _dataset_name(spec: str) -> str:
    """`camvid:PATH` becomes `camvid`: a card is published, where a path means nothing."""
    return spec.split(":", 1)[0]


def _row(fact: str, value: str) -> str:
    return f"| {fact} | {_cell(value)} |"


def _cell(text: str) -> str:
    """Text that cannot leave its cell of a Markdown table, nor be HTML."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.split())


def _yaml(text: str) -> str:
    return json.dumps(text)  # a JSON string is a YAML string
