"""Batches of augmented clips from uint8 pools. Knows nothing of networks or losses.

Legend: B batch, T frames, H/W pixels. One crop, one flip and one brightness holds for a whole clip, so that
motion stays what it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluators.datasets.clips import ClipPool
from evaluators.options import TrainOptions


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Float frames 0..1 (channels last in memory), labels, and motion where the clips have it."""

    frames_BTCHW: Tensor
    labels_BTHW: Tensor
    flow_BT2HW: Tensor | None = None
    visible_BTHW: Tensor | None = None


def batches(
    pool: ClipPool, num_batches: int, options: TrainOptions, *, motion: bool, generator: torch.Generator
) -> Iterator[Batch]:
    """`num_batches` batches; the pool is shuffled anew each time it is used up."""
    num_clips, clip_frames = pool.frames_NTCHW.shape[:2]
    size = min(max(1, options.batch_frames // clip_frames), num_clips)
    order = torch.randperm(num_clips, generator=generator)
    start = 0
    for _ in range(num_batches):
        if start + size > num_clips:
            order = torch.randperm(num_clips, generator=generator)
            start = 0
        yield augmented(pool, order[start : start + size], options, motion=motion, generator=generator)
        start += size


def augmented(
    pool: ClipPool, index_B: Tensor, options: TrainOptions, *, motion: bool, generator: torch.Generator
) -> Batch:
    """The clips `index_B`, cropped and resized back, flipped and jittered."""
    device = pool.frames_NTCHW.device
    index = index_B.to(device)
    height, width = pool.frames_NTCHW.shape[-2:]
    top, left, crop_h, crop_w = _crop(height, width, options.min_crop, generator)
    window = (..., slice(top, top + crop_h), slice(left, left + crop_w))
    frames = pool.frames_NTCHW[window][index]
    labels = pool.labels_NTHW[window][index]
    flow = visible = None
    if motion and pool.flow_NT2HW is not None and pool.visible_NTHW is not None:
        flow = pool.flow_NT2HW[window][index]
        visible = pool.visible_NTHW[window][index]
        visible = visible & _lands_inside(flow)
    flip = torch.rand((), generator=generator).item() < 0.5
    if flip:
        frames, labels = frames.flip(-1), labels.flip(-1)
        if flow is not None and visible is not None:
            flow = flow.flip(-1) * flow.new_tensor([-1.0, 1.0]).view(2, 1, 1)
            visible = visible.flip(-1)
    if (crop_h, crop_w) != (height, width):
        labels, flow, visible = _resized_targets(labels, flow, visible, (height, width))
    return Batch(_pixels(frames, (height, width), options.jitter, generator), labels, flow, visible)


def _crop(height: int, width: int, smallest: float, generator: torch.Generator) -> tuple[int, int, int, int]:
    share, down, right = torch.rand(3, generator=generator).tolist()
    side = smallest + (1.0 - smallest) * share
    crop_h, crop_w = max(16, round(height * side)), max(16, round(width * side))
    crop_h, crop_w = min(crop_h, height), min(crop_w, width)
    return int(down * (height - crop_h + 1)), int(right * (width - crop_w + 1)), crop_h, crop_w


def _pixels(frames_BTCHW: Tensor, size_hw: tuple[int, int], jitter: float, generator: torch.Generator) -> Tensor:
    batch, clip_frames = frames_BTCHW.shape[:2]
    flat = frames_BTCHW.flatten(0, 1).contiguous(memory_format=torch.channels_last).float()
    if flat.shape[-2:] != size_hw:
        flat = F.interpolate(flat, size_hw, mode="bilinear", align_corners=False)
    gain_B, shift_B = (torch.rand(2, batch, generator=generator) * 2 - 1) * jitter
    gain = ((1 + gain_B) / 255).repeat_interleave(clip_frames).view(-1, 1, 1, 1).to(flat.device)
    shift = (shift_B / 2).repeat_interleave(clip_frames).view(-1, 1, 1, 1).to(flat.device)
    flat = torch.addcmul(shift, flat, gain)
    return flat.clamp_(0, 1).unflatten(0, (batch, clip_frames))  # type: ignore[no-untyped-call,no-any-return]


def _resized_targets(
    labels: Tensor, flow: Tensor | None, visible: Tensor | None, size_hw: tuple[int, int]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Nearest neighbours, at the pixels that bilinear resizing is centred on; flow in the new pixels."""
    crop_h, crop_w = labels.shape[-2:]
    height, width = size_hw
    rows = ((torch.arange(height, device=labels.device) + 0.5) * crop_h / height).long()
    columns = ((torch.arange(width, device=labels.device) + 0.5) * crop_w / width).long()
    labels = labels[..., rows, :][..., columns]
    if flow is None or visible is None:
        return labels, None, None
    scale = torch.tensor([width / crop_w, height / crop_h], device=flow.device, dtype=flow.dtype)
    flow = flow[..., rows, :][..., columns] * scale.view(2, 1, 1)
    return labels, flow, visible[..., rows, :][..., columns]


def _lands_inside(flow_BT2HW: Tensor) -> Tensor:
    """Whether the point before lies inside the crop too."""
    height, width = flow_BT2HW.shape[-2:]
    x = torch.arange(width, device=flow_BT2HW.device) + flow_BT2HW[:, :, 0].float()
    y = torch.arange(height, device=flow_BT2HW.device)[:, None] + flow_BT2HW[:, :, 1].float()
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
