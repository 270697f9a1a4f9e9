"""Training loop against the bare forward + loss + backward + step on the same batches; CPU time, interleaved.

Usage: python -m experiments.bench.bench_train [--rounds 5]
"""

import argparse
import statistics
import time
from dataclasses import replace

import torch

from evaluators.batches import Batch, batches
from evaluators.datasets.registry import open_dataset
from evaluators.losses import class_weights, cross_entropy, temporal_consistency
from evaluators.options import TrainOptions
from evaluators.train import train_network
from evaluators.training_data import TrainingData, training_data
from search_spaces.architecture import Architecture, TemporalSite
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.network import build
from search_spaces.presets import PRESETS

BOUND = 1.10


def bare(architecture: Architecture, data: TrainingData, loaded: list[Batch], weight: float) -> None:
    """What any training of this network on these batches must pay."""
    model = build(architecture, data.num_classes).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    weights = class_weights(data.stills.labels_NTHW, data.num_classes, "sqrt")
    for batch in loaded:
        logits = model(batch.frames_BTCHW)
        loss = cross_entropy(logits.flatten(0, 1), batch.labels_BTHW.flatten(0, 1), weights, False)
        if batch.flow_BT2HW is not None and batch.visible_BTHW is not None:
            loss = loss + weight * temporal_consistency(logits, batch.flow_BT2HW, batch.visible_BTHW, (0, 0))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def load(data: TrainingData, options: TrainOptions, steps: int, motion: bool) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    half = steps // 2
    stills = batches(data.stills, half, options, motion=False, generator=generator)
    clips = batches(data.clips, steps - half, options, motion=motion, generator=generator)
    return [*stills, *clips]


def main() -> None:
    """Print the ratio for a network without and with memory and temporal loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    options = TrainOptions(threads=1, device="cpu")
    dataset = open_dataset("moving_shapes", (180, 240))
    data = replace_epoch(training_data(dataset, dataset.videos("train")[:8], options), 8 * options.batch_frames)
    plain = PRESETS["plain_small"].architecture
    gru = Architecture(replace(plain.video, temporal=(TemporalSite("decoder", ConvGRUSpec(), share="1/2"),)))
    for name, architecture, weight in (("plain_small", plain, 0.0), ("conv_gru, temporal loss", gru, 5.0)):
        chosen = replace(options, temporal_weight=weight)
        loaded = load(data, chosen, 8, weight > 0)
        ratios = []
        for _ in range(rounds):
            start = time.process_time()
            bare(architecture, data, loaded, weight)
            middle = time.process_time()
            train_network(architecture, data, chosen, epochs=1, seed=0)
            ratios.append((time.process_time() - middle) / (middle - start))
        low, median, high = min(ratios), statistics.median(ratios), max(ratios)
        verdict = "within" if median <= BOUND else "OVER"
        print(f"{name}: training / bare = {median:.3f} (min {low:.3f}, max {high:.3f}), {verdict} {BOUND}")


def replace_epoch(data: TrainingData, frames: int) -> TrainingData:
    """The same pools with an epoch of `frames` frames, so that a round is short."""
    return replace(data, frames_per_epoch=frames)


if __name__ == "__main__":
    main()
