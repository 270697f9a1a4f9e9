"""Writes report.html into a search folder. Knows nothing of what stands on the page."""

from collections.abc import Mapping
from pathlib import Path

from nas.files import write_atomically
from nas.report.examples import draw_examples
from nas.report.page import page
from nas.result import Result
from nas.search_folder import REPORT, read_run

EXAMPLES = "examples"
MAX_EXAMPLES = 12
MAX_EXAMPLE_BYTES = 2 * 2**20


def write_report(result: Result, folder: Path) -> Path:
    """Write `folder`/report.html from the result and the pictures in `folder`/examples; returns its path.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    path = folder / REPORT
    write_atomically(path, page(result, read_run(folder).machine, read_examples(folder)))
    return path


def write_examples(result: Result, folder: Path) -> None:
    """Draw the example frames into `folder`/examples, anew: the front may have changed.

    Raises:
        InputError: the data cannot be opened any more, or a checkpoint is damaged.
    """
    png = draw_examples(result)
    if png is not None:
        (folder / EXAMPLES).mkdir(exist_ok=True)
        write_atomically(folder / EXAMPLES / "networks-of-the-front-on-held-out-frames.png", png)


def read_examples(folder: Path) -> Mapping[str, bytes]:
    """The example pictures of a search by caption; overlong ones are left out, the page would not load."""
    files = sorted((folder / EXAMPLES).glob("*.png"))
    small = [file for file in files if file.stat().st_size <= MAX_EXAMPLE_BYTES]
    return {file.stem.replace("-", " "): file.read_bytes() for file in small[:MAX_EXAMPLES]}
