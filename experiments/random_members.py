"""Random members of every space: do they build, stream, learn and export? See space.md. Judges no accuracy.

Usage: python -m experiments.random_members [--out experiments/results/random_members.csv] [--workers 2] [--few N]
Resumable. A member that fails has its reason in its row; the table at the end counts them. Prints the spaces' sizes.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from evaluators.change_loss import ChangeLoss
from experiments.runs import Row, read_rows, run_jobs
from latency_tables.onnx_export import export_phases, step_metadata
from latency_tables.parity import verify_step
from latency_tables.random_weights import build_random
from search_spaces.decisions import Decoded, decode, sample
from search_spaces.network import VideoSegmenter, build
from search_spaces.spaces import SPACES, make_space, size_in_words

COUNTS: Mapping[str, int] = {
    name: 300 if name == "video_cells" else 100 for name in SPACES if name != "toy"
}  # fmt: skip
"""The toy space builds nothing."""

NUM_CLASSES = 5
SIZES_HW = ((64, 80), (51, 67), (33, 96))
"""By turns; odd ones included. Small, for what is checked does not depend on the size."""

TOLERANCE = 1e-4
KEYS = ("space", "member")
COLUMNS = (*KEYS, "key", "size", "stream_difference", "export_difference", "error", "cpu_s")


@dataclass(frozen=True, slots=True)
class Check:
    """The member of a space that is drawn with this number."""

    space: str
    member: int


def drawn(check: Check) -> Decoded:
    """A pure function of the space and the number, in any process."""
    return sample(make_space(check.space), random.Random(f"{check.space} {check.member}"))


def run_one(check: Check) -> list[Row]:
    """One row: what was found, or why it failed."""
    torch.set_num_threads(1)
    start = time.process_time()
    found = drawn(check)
    size_hw = SIZES_HW[check.member % len(SIZES_HW)]
    row: dict[str, object] = {"key": found.architecture.key, "size": f"{size_hw[0]}x{size_hw[1]}", "error": ""}
    try:
        row |= _checked(check, found, size_hw)
    except (ValueError, RuntimeError, ArithmeticError) as error:
        row["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return [{**row, "cpu_s": f"{time.process_time() - start:.1f}"}]


def _checked(check: Check, found: Decoded, size_hw: tuple[int, int]) -> Row:
    seed = check.member
    again = decode(make_space(check.space), lambda name, num: found.genotype[name])
    if again.architecture.key != found.architecture.key:
        raise ArithmeticError("its genotype leads to another architecture")
    _learn(found, size_hw, seed)
    model = build_random(found.architecture, NUM_CLASSES, seed=seed)
    stream = _stream_difference(model, size_hw, seed)
    if stream > TOLERANCE:
        raise ArithmeticError(f"a clip differs from its frames by {stream:.2g} of the range")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        paths = export_phases(model, size_hw, path, step_metadata(found.architecture, NUM_CLASSES, size_hw))
        parity = verify_step(model, paths, size_hw, seed=seed)
    if not parity.ok:
        raise ArithmeticError(f"the export differs by {parity.relative:.2g} of the range")
    return {"stream_difference": f"{stream:.2g}", "export_difference": f"{parity.relative:.2g}"}


def _learn(found: Decoded, size_hw: tuple[int, int], seed: int) -> None:
    """A step of training on noise leaves everything finite, and every parameter has a gradient."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build(found.architecture, NUM_CLASSES).train()
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # With a schedule, until a cell that is stepped once a cycle has a past to look at.
        num_frames = max(3, model.warmup_frames + 1, 2 * model.num_phases)
        clip_BTCHW = torch.rand(2, num_frames, 3, *size_hw)
        labels_BTHW = torch.randint(NUM_CLASSES, (2, num_frames, *size_hw))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    change = ChangeLoss.of(model)
    with nullcontext() if change is None else change.tapped():
        logits_BTKHW = model(clip_BTCHW)
        loss = F.cross_entropy(logits_BTKHW.flatten(0, 1), labels_BTHW.flatten(0, 1))
        if change is not None:
            loss = loss + change.loss(logits_BTKHW, labels_BTHW)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if parameter.grad is None or not torch.isfinite(parameter.grad).all():
            raise ArithmeticError(f"{name} has no finite gradient")
    optimizer.step()
    if not all(torch.isfinite(tensor).all() for tensor in model.state_dict().values()):
        raise ArithmeticError("a step of training leaves values that are not finite")


@torch.no_grad()
def _stream_difference(model: VideoSegmenter, size_hw: tuple[int, int], seed: int) -> float:
    """The largest difference of a clip from its frames one by one, as a share of the scores' range.

    Six frames, or two cycles of a schedule.
    """
    num_frames = max(6, 2 * model.num_phases)
    clip_BTCHW = torch.rand(1, num_frames, 3, *size_hw, generator=torch.Generator().manual_seed(seed))
    whole_BTKHW = model(clip_BTCHW)
    state = model.initial_state(1, *size_hw)
    worst = 0.0
    for t in range(clip_BTCHW.shape[1]):
        logits, state = model.step(clip_BTCHW[:, t], state, t)
        worst = max(worst, float((model.upsample(logits, *size_hw) - whole_BTKHW[:, t]).abs().max()))
    return worst / max(1e-6, float(whole_BTKHW.max() - whole_BTKHW.min()))


def jobs(counts: Mapping[str, int]) -> Iterator[tuple[Row, Check]]:
    """The spaces by turns."""
    for member in range(max(counts.values())):
        for space, count in counts.items():
            if member < count:
                yield {"space": space, "member": member}, Check(space, member)


def main() -> None:
    """Check what has no row yet, compare keys with this process, and print a line a space."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("experiments/results/random_members.csv"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--few", type=int, default=0, help="this many of each space instead")
    given = parser.parse_args()
    counts = {name: given.few or count for name, count in COUNTS.items()}
    run_jobs(given.out, COLUMNS, KEYS, jobs(counts), run_one, workers=given.workers)
    rows = read_rows(given.out)
    for name in counts:
        own = [row for row in rows if row["space"] == name]
        moved = [row for row in own if drawn(Check(name, int(row["member"]))).architecture.key != row["key"]]
        failed = [row for row in own if row["error"]]
        print(f"{name}: {size_in_words(name)}; {len(own)} members, {len({row['key'] for row in own})} networks, "
              f"{len(failed)} failed, {len(moved)} with another key in this process")  # fmt: skip
        for row in failed:
            print(f"  member {row['member']}: {row['error']}")


if __name__ == "__main__":
    main()
