"""A last stage divided into thin paths, of which a frame runs one. Knows nothing of the network around it.

Source: TDNet, Hu et al. 2020, arXiv:2004.01800, section 3.1 (sub-networks run in turn, each for a group of the full
feature, which is what the last frames' groups make together) and 3.2 (attention brings the older groups to where
things are now).
Differs: the last stage alone is divided, the stages before it are shared and run at every frame; the paths are not
distilled from a teacher (the grouped loss of section 3.3). concat joins the groups as they are by a 1x1 convolution;
attention is that of search_spaces/cells/attention_propagation.py, whose encoders the paths share.

Legend: B batch, T frames, N = B in a step, B * T in a clip, C channels, G channels of a path, P paths, H/W pixels.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.cells.attention_propagation import AttentionPropagation
from search_spaces.cells.attention_specs import AttentionPropagationSpec
from search_spaces.cells.base import State
from search_spaces.frame_pass import Pass
from search_spaces.ops.dense import conv_bn
from search_spaces.schedule_spec import DistributedSpec
from search_spaces.stage_spec import StageSpec
from search_spaces.stages import build_stage

GROUPS = "paths"
"""What is kept of the other paths: a part of the state."""


class Distributed(nn.Module):
    """In the place of a stage from `in_channels` to `stage.channels`."""

    def __init__(self, stage: StageSpec, in_channels: int, spec: DistributedSpec) -> None:
        super().__init__()
        self.num_paths = spec.num_paths
        self.group_channels = stage.channels // spec.num_paths
        thin = replace(stage, channels=self.group_channels)
        self.paths = nn.ModuleList(build_stage(thin, in_channels) for _ in range(spec.num_paths))
        self.attention: AttentionPropagation | None = None
        self.mix: nn.Module
        if spec.join == "concat":
            self.mix = conv_bn(stage.channels, stage.channels, 1, act=stage.activation)
            return
        for path in self.paths:
            assert isinstance(path, nn.Sequential)
            path.append(nn.Conv2d(self.group_channels, stage.channels, 1))
        frames: Literal[1, 3] = 1 if spec.num_paths == 2 else 3
        self.attention = AttentionPropagation(stage.channels, AttentionPropagationSpec(frames))
        self.mix = nn.Identity()

    @property
    def num_states(self) -> int:
        """How many tensors the state has."""
        return 1 if self.attention is None else self.attention.num_states

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """Zeros: the groups of the frames before, the newest first, or what attention remembers of them."""
        if self.attention is not None:
            return self.attention.initial_state(batch, height, width)
        like = next(self.parameters())
        channels = (self.num_paths - 1) * self.group_channels
        return (torch.zeros((batch, channels, height, width), device=like.device, dtype=like.dtype),)

    def run(self, passed: Pass, feature_NCHW: Tensor) -> Tensor:
        """The full feature of every frame."""
        group_NGHW = self._groups(passed, feature_NCHW)
        if self.attention is None:
            out: Tensor = self.mix(self._together(passed, group_NGHW))
            return out
        state = passed.parts[GROUPS]
        if passed.shape_BT is None:
            out, passed.parts[GROUPS] = self.attention.step(group_NGHW, state)
            return out
        clip_BTCHW = group_NGHW.reshape(*passed.shape_BT, *group_NGHW.shape[1:])
        out_BTCHW, passed.parts[GROUPS] = self.attention.scan(clip_BTCHW, state)
        return out_BTCHW.flatten(0, 1)

    def _groups(self, passed: Pass, feature_NCHW: Tensor) -> Tensor:
        """What its path makes of every frame; a clip runs each path once, on all its frames."""
        if passed.shape_BT is None:
            out: Tensor = self.paths[passed.phase % self.num_paths](feature_NCHW)
            return out
        batch, num_frames = passed.shape_BT
        groups, frames = [], []
        for index, path in enumerate(self.paths):
            due = passed.due(self.num_paths, index)
            if due:
                group = path(passed.taken(feature_NCHW, due))
                groups.append(group.reshape(batch, len(due), *group.shape[1:]))
                frames += due
        order = [frames.index(t) for t in range(num_frames)]
        return torch.cat(groups, 1)[:, order].flatten(0, 1)

    def _together(self, passed: Pass, group_NGHW: Tensor) -> Tensor:
        """The last group of every path, in the paths' order: N P*G H W. Path i ran (phase - i) modulo P frames ago."""
        num_paths = self.num_paths
        (past_BQHW,) = passed.parts[GROUPS]
        if passed.shape_BT is None:
            newest_first = torch.cat([group_NGHW, past_BQHW], 1)
            passed.parts[GROUPS] = (newest_first[:, : -self.group_channels],)
            ages = newest_first.chunk(num_paths, 1)
            return torch.cat([ages[(passed.phase - path) % num_paths] for path in range(num_paths)], 1)
        batch, num_frames = passed.shape_BT
        size = group_NGHW.shape[1:]
        past_BQGHW = past_BQHW.reshape(batch, num_paths - 1, *size).flip(1)
        all_BSGHW = torch.cat([past_BQGHW, group_NGHW.reshape(batch, num_frames, *size)], 1)
        passed.parts[GROUPS] = (all_BSGHW[:, num_frames:].flip(1).flatten(1, 2),)
        where = [
            num_paths - 1 + t - (passed.phase + t - path) % num_paths
            for t in range(num_frames)
            for path in range(num_paths)
        ]
        return all_BSGHW[:, where].reshape(batch * num_frames, num_paths * size[0], *size[1:])
