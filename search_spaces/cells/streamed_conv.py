"""Spatio-temporal convolutions, causal and streamed: full 3D and four factorizations. Knows nothing of networks.

Source: the survey's 4.1 and 5.4.2; streamed as temporal skip connections (Koepueklue et al. 2022, arXiv:2009.14639).
Differs: kernels look back only; the convolution is added to the feature, so that a new cell passes its input on.

Legend: N frames, C channels, M = C // 2 channels inside, K frames of the kernel, H/W feature pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.past import Past
from search_spaces.cells.specs import StreamedConvSpec
from search_spaces.ops.dense import conv_bn

KERNEL = 3
"""In space; the kernel in time is a choice."""
COLUMN, ROW = (KERNEL, 1), (1, KERNEL)


class Form(nn.Module, ABC):
    """One factorization: feature to feature, with batch norm after every convolution, linear at the end."""

    state_channels: tuple[int, ...]
    """Of every tensor that the form asks of the past, in the order it asks."""

    @abstractmethod
    def forward(self, feature_NCHW: Tensor, past: Past) -> Tensor:
        """Feature to feature."""


class Full(Form):
    """One K x 3 x 3 convolution (Tran et al. 2015, arXiv:1412.0767; the survey's 4.1)."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.state_channels = ((frames - 1) * channels,)
        self.conv = conv_bn(frames * channels, channels, KERNEL)

    def forward(self, feature_NCHW: Tensor, past: Past) -> Tensor:
        """The past features are the state."""
        return self.conv(past.window(feature_NCHW))  # type: ignore[no-any-return]


class R2Plus1D(Form):
    """1 x 3 x 3, then K x 1 x 1 (Tran et al. 2018, arXiv:1711.11248); both of C channels."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.state_channels = ((frames - 1) * channels,)
        self.space = conv_bn(channels, channels, KERNEL, act="relu")
        self.time = conv_bn(frames * channels, channels, 1)

    def forward(self, feature_NCHW: Tensor, past: Past) -> Tensor:
        """What the spatial convolution made of the past frames is the state."""
        return self.time(past.window(self.space(feature_NCHW)))  # type: ignore[no-any-return]


class ChannelSeparated(Form):
    """Depthwise K x 3 x 3, then 1 x 1 x 1 (CSN, Tran et al. 2019, arXiv:1904.02811).

    Differs: one depthwise convolution with a batch norm of its own for every frame of the kernel, which runtimes
    know how to run: one grouped convolution over three frames took about four times as long in onnxruntime.
    """

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.state_channels = ((frames - 1) * channels,)
        self.taps = nn.ModuleList(conv_bn(channels, channels, KERNEL, groups=channels) for _ in range(frames))
        self.mix = conv_bn(channels, channels, 1)

    def forward(self, feature_NCHW: Tensor, past: Past) -> Tensor:
        """The sums that the past frames began are the state."""
        products_NPHW = torch.cat([tap(feature_NCHW) for tap in self.taps], 1)
        return self.mix(torch.relu(past.delayed_sum(products_NPHW)))  # type: ignore[no-any-return]


class Perpendicular(Form):
    """K x 1 x 1, 1 x 3 x 1 and 1 x 1 x 3, each on all before it (3D-DSC, Qu et al. 2020, arXiv:1905.08608).

    Differs: the last one gives back C channels; every frame of the temporal kernel has a batch norm of its own,
    so that the state is sums of M channels and not features of C.
    """

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        inside = max(1, channels // 2)
        self.state_channels = ((frames - 1) * inside,)
        self.time = conv_bn(channels, frames * inside, 1)
        self.column = conv_bn(channels + inside, inside, COLUMN, act="relu")
        self.row = conv_bn(channels + 2 * inside, channels, ROW)

    def forward(self, feature_NCHW: Tensor, past: Past) -> Tensor:
        """The sums that the past frames began are the state."""
        known_NCHW = torch.cat([feature_NCHW, torch.relu(past.delayed_sum(self.time(feature_NCHW)))], 1)
        known_NCHW = torch.cat([known_NCHW, self.column(known_NCHW)], 1)
        return self.row(known_NCHW)  # type: ignore[no-any-return]


class Orthogonal(Form):
    """Three (2+1)D convolutions in parallel whose planes are orthogonal (PmSCn, Gonda et al. 2018, arXiv:1809.04096).

    Differs: of M channels each and joined by a 1x1 convolution; the two planes with time look back only, and read
    the same past.
    """

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        inside = max(1, channels // 2)
        self.state_channels = ((frames - 1) * channels, (frames - 1) * inside)
        self.time_column = conv_bn(frames * channels, inside, COLUMN, act="relu")
        self.row = conv_bn(inside, inside, ROW, act="relu")
        self.time_row = conv_bn(frames * channels, inside, ROW, act="relu")
        self.column = conv_bn(inside, inside, COLUMN, act="relu")
        self.plane = conv_bn(channels, inside, KERNEL, act="relu")
        self.time = conv_bn(frames * inside, inside, 1, act="relu")
        self.mix = conv_bn(3 * inside, channels, 1)

    def forward(self, feature_NCHW: Tensor, past: Past) -> Tensor:
        """The past features, and what the spatial plane made of them, are the state."""
        window_NCHW = past.window(feature_NCHW)
        branches = (
            self.row(self.time_column(window_NCHW)),
            self.column(self.time_row(window_NCHW)),
            self.time(past.window(self.plane(feature_NCHW))),
        )
        return self.mix(torch.cat(branches, 1))  # type: ignore[no-any-return]


FORMS: Mapping[str, type[Form]] = {
    "full": Full,
    "r2plus1d": R2Plus1D,
    "channel_separated": ChannelSeparated,
    "perpendicular": Perpendicular,
    "orthogonal": Orthogonal,
}

SPATIO_TEMPORAL: Mapping[str, StreamedConvSpec] = {
    "conv3d": StreamedConvSpec("full"),
    "r2plus1d": StreamedConvSpec("r2plus1d"),
    "channel_separated_3d": StreamedConvSpec("channel_separated"),
    "perpendicular_1d": StreamedConvSpec("perpendicular"),
    "orthogonal_2plus1d": StreamedConvSpec("orthogonal"),
}
"""The convolutions over space and time by name, for who lists convolutions: they stand where cells stand."""


class StreamedConv(TemporalCell):
    """y = x + conv(x of the last K frames)."""

    def __init__(self, channels: int, spec: StreamedConvSpec) -> None:
        super().__init__()
        self.form = FORMS[spec.form](channels, spec.frames)
        self.num_states = len(self.form.state_channels)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """What the form keeps, frame after frame along the channels."""
        return tuple(self._zeros(batch, channels, height, width) for channels in self.form.state_channels)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame; every convolution runs once."""
        past = Past(state)
        out: Tensor = feature_BCHW + self.form(feature_BCHW, past)
        return out, past.following

    def scan(self, feature_BTCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """All frames of the clip in each convolution."""
        past = Past(state, feature_BTCHW.shape[:2])
        out_NCHW: Tensor = self.form(feature_BTCHW.flatten(0, 1), past)
        return feature_BTCHW + out_NCHW.reshape(feature_BTCHW.shape), past.following
