"""`vidseg-nas data check`: read every item of a dataset once. Knows nothing of any dataset."""

from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.output import Answer, DebugOption, JsonOption, answer

if TYPE_CHECKING:
    from evaluators.datasets.base import CheckReport

MAX_PROBLEMS_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the group with its one command."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at a dataset.")
    group.command("check", epilog="Example: vidseg-nas data check folder:PATH")(check)
    app.add_typer(group, name="data")


def check(
    spec: Annotated[str, typer.Argument(metavar="D", help="moving_shapes, camvid:PATH, folder:PATH ...")],
    json_output: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Sizes, labels, gaps, damage, frame rate, class shares. Exit status 2 where something is wrong."""

    def work() -> Answer:
        from dataclasses import asdict

        from evaluators.datasets.registry import open_dataset

        report = open_dataset(spec).check()
        return Answer({**asdict(report), "ok": not report.problems}, _lines(report), 2 if report.problems else 0)

    answer(json_output, work)


def _lines(report: "CheckReport") -> tuple[str, ...]:
    lines = [f"{report.spec}: {report.num_frames} frames, {report.num_labelled} labelled"]
    lines += [f"size {height}x{width}: {number} frames" for (height, width), number in report.sizes]
    lines += [
        f"{split}/{name}: {frames} frames" + (f" at {fps:g} fps" if fps else "")
        for split, name, frames, fps in report.sequences
    ]
    lines += [f"class {name}: {share:.2%} of the labelled pixels" for name, share in report.class_shares]
    lines.append(f"ignored: {report.ignore_share:.2%} of the pixels")
    lines += [f"PROBLEM {item.path}: {item.what}" for item in report.problems[:MAX_PROBLEMS_SHOWN]]
    hidden = len(report.problems) - MAX_PROBLEMS_SHOWN
    if hidden > 0:
        lines.append(f"... and {hidden} more problems (--json lists all)")
    return (*lines, f"{len(report.problems)} problems" if report.problems else "no problems")
