"""`vidseg-nas measure`: latency of a network on the target. Knows nothing of how it is timed."""

from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.options import SizeOption
from nas.commands.output import Answer, DebugOption, JsonOption, answer
from nas.commands.parse import size_hw

if TYPE_CHECKING:
    from latency_tables.measurement import Measurement

TARGET = "onnxruntime:f32:1@thiscpu"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("measure", epilog=f"Example: vidseg-nas measure my-model --device {TARGET} --fps 25")(measure)


def measure(
    network: Annotated[str, typer.Argument(metavar="MODEL_DIR|ARCH.json|preset:NAME|FILE.onnx", help="Also DIR#N.")],
    device: Annotated[str, typer.Option("--device", help="RUNTIME[:precision[:threads]]@NAME.")] = TARGET,
    fps: Annotated[float | None, typer.Option("--fps", help="Frames a second that must be kept up.")] = None,
    size: SizeOption = None,
    classes: Annotated[
        int | None, typer.Option("--classes", min=1, max=255, help="Number of classes, for an architecture alone.")
    ] = None,
    json_output: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Time a network frame by frame with carried state: percentiles, jitter, and whether the host was quiet."""

    def work() -> Answer:
        from dataclasses import asdict

        from nas.measuring import measure_named

        found = measure_named(network, device, size_hw(size) if size else None, classes, fps)
        facts = {
            "network": found.what,
            "target": found.target,
            "size_hw": list(found.size_hw),
            "fps": fps,
            "measurement": asdict(found.measurement),
        }
        height, width = found.size_hw
        title = f"{found.what} on {found.target}, {height}x{width}"
        return Answer(facts, (title, *_lines(found.measurement, fps)))

    answer(json_output, work)


def _phases(found: "Measurement") -> str:
    """The phases of a schedule; nothing where there is none."""
    if len(found.phases) == 1:
        return ""
    wall_ms = ", ".join(f"{phase.wall_p10_ms:.3f}" for phase in found.phases)
    return f" of {len(found.phases)}; wall p10 of each {wall_ms} ms"


def _lines(found: "Measurement", fps: float | None) -> list[str]:
    lines = [
        f"latency: {found.latency_ms:.3f} ms a frame ± {found.halfwidth_ms:.3f} (95 %, {found.n} runs)",
        f"worst phase: {found.latency_worst_ms:.3f} ms{_phases(found)}",
        f"wall: min {found.wall_min_ms:.3f}, p10 {found.wall_p10_ms:.3f}, p50 {found.wall_p50_ms:.3f}, "
        f"p90 {found.wall_p90_ms:.3f}, p99 {found.wall_p99_ms:.3f} ms; jitter {found.jitter:.2f}",
        f"CPU time: min {found.cpu_min_ms:.3f}, p10 {found.cpu_p10_ms:.3f}, p50 {found.cpu_p50_ms:.3f} ms",
        f"carried state: {found.state_bytes / 1e3:.1f} kB",
    ]
    if fps is not None:
        budget_ms = 1e3 / fps
        verdict = "keeps up" if found.wall_p99_ms <= budget_ms else "does not keep up"
        lines.append(
            f"{verdict} with {fps:g} frames a second: {budget_ms:.1f} ms a frame, "
            f"{found.deadline_miss_rate or 0.0:.1%} of the frames took longer"
        )
    if not found.contended:
        lines.append("the host was quiet (wall and CPU time agree, the anchor network is steady)")
    else:
        lines.append("contended: other work ran on this host, the figures are too high; measure again when it is quiet")
    return lines
