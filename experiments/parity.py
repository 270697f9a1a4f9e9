"""The exported file against torch over a whole video with carried state, and the mIoU of both.

Usage: python -m experiments.parity MODEL_DIR --data camvid:../shared/data/camvid_small --split val
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from evaluators.datasets.registry import open_dataset
from evaluators.metrics import FrameScores, confusion
from nas.model_folder import read_model

BOUND = 1e-4


def main() -> None:
    """Print the largest difference relative to the range of the logits, and both accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    model = read_model(options.model)
    network = model.network.eval()
    dataset = open_dataset(options.data, model.config.size)
    session = onnxruntime.InferenceSession(str(options.model / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs() if i.name != "frame"]
    num_classes = len(model.config.classes)
    matrices = [torch.zeros(num_classes, num_classes, dtype=torch.int64) for _ in range(2)]
    largest, low, high, frames = 0.0, np.inf, -np.inf, 0
    for video in dataset.videos(options.split):
        state = network.initial_state(1, *video.frames_TCHW.shape[-2:])
        carried = [s.numpy() for s in state]
        for frame_CHW, labels_HW in zip(video.frames_TCHW, video.labels_THW, strict=True):
            frame = frame_CHW[None].float() / 255
            with torch.inference_mode():
                logits, state = network.step(frame, state)
            ours, *carried = session.run(None, {"frame": frame.numpy(), **dict(zip(names, carried, strict=True))})
            largest = max(largest, float(np.abs(ours - logits.numpy()).max()))
            low, high, frames = min(low, float(logits.min())), max(high, float(logits.max())), frames + 1
            for matrix, scores in zip(matrices, (logits, torch.from_numpy(ours)), strict=True):
                enlarged = network.upsample(scores, *labels_HW.shape)
                matrix += confusion(labels_HW[None], enlarged.argmax(1).to(torch.uint8), num_classes)
    relative = largest / (high - low)
    verdict = "within" if relative <= BOUND else "OVER"
    print(f"{frames} frames with carried state: largest difference {largest:.3g} = {relative:.2g} of the logits' range")
    print(
        f"{verdict} {BOUND}; mIoU torch {FrameScores.of(matrices[0]).miou:.4f}, onnxruntime "
        f"{FrameScores.of(matrices[1]).miou:.4f}"
    )


if __name__ == "__main__":
    main()
