"""Example frames of a search: picture, truth and what networks of the front say. Knows nothing of HTML."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nas.result import Result
from nas.trial import Trial
from search_spaces.errors import InputError

if TYPE_CHECKING:
    from evaluators.datasets.base import Video

NUM_NETWORKS, NUM_FRAMES = 2, 3
ALPHA = 0.55

UInt8Array = npt.NDArray[np.uint8]


def draw_examples(result: Result) -> bytes | None:
    """A PNG contact sheet, from the weights the search kept; None where there are none.

    The frames are from the part of `train` that was held out for selection.

    Raises:
        InputError: the data cannot be opened any more, or a checkpoint is damaged.
    """
    chosen = [t for t in result.front if t.artefact and result.folder and (result.folder / t.artefact).is_file()]
    if not chosen or result.folder is None:
        return None
    from evaluators.datasets.registry import open_dataset
    from evaluators.datasets.splits import fit_and_select
    from evaluators.pictures import contact_sheet

    dataset = open_dataset(result.recipe.data, result.recipe.size_hw)
    video = fit_and_select(dataset)[1][0]
    # The most accurate and the last of the front: its two ends.
    ends = [chosen[0], chosen[-1]][: min(NUM_NETWORKS, len(chosen))]
    columns: dict[str, UInt8Array] = {"truth": video.labels_THW.numpy()}
    for trial in ends:
        columns[f"network #{trial.number}"] = _predicted(trial, result.folder, video, len(dataset.info.classes))
    rows = _rows(video, columns, dataset.info.palette)
    buffer = io.BytesIO()
    contact_sheet(rows).save(buffer, format="PNG")
    return buffer.getvalue()


def _predicted(trial: Trial, folder: Path, video: "Video", num_classes: int) -> UInt8Array:
    from evaluators.checkpoint import load_weights
    from evaluators.segmentation import predictor
    from search_spaces.network import build

    assert trial.artefact is not None
    network = build(trial.proposal.architecture, num_classes)
    try:
        network.load_state_dict(load_weights(folder / trial.artefact))
    except RuntimeError:
        raise InputError(f"{folder / trial.artefact}: not the weights of trial {trial.number}") from None
    labels_THW: UInt8Array = predictor(network.eval())(video).numpy()
    return labels_THW


def _rows(
    video: "Video", columns: Mapping[str, UInt8Array], palette: Sequence[tuple[int, int, int]]
) -> list[list[tuple[str, UInt8Array]]]:
    from evaluators.pictures import overlay

    frames_THWC = video.frames_TCHW.permute(0, 2, 3, 1).contiguous().numpy()
    last = len(frames_THWC) - 1
    numbers = sorted({round(last * part / (NUM_FRAMES - 1)) for part in range(NUM_FRAMES)})
    return [
        [(f"frame {t}", frames_THWC[t])]
        + [(name, overlay(frames_THWC[t], labels_THW[t], palette, ALPHA)) for name, labels_THW in columns.items()]
        for t in numbers
    ]
