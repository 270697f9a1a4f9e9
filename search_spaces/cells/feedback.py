"""Feedback: the cell's own output of the frame before joins the new feature. Knows nothing of where it stands.

Source: Carreira et al. 2018, arXiv:1806.03863, section 3.3 (feedback between frames); an Elman unit without
gates (survey 5.3.3). At the class scores it is feedback of the previous prediction: the softmax of the cell's output.
Differs: the mixture is added to the feature, so that a new cell passes its input on.
"""

import torch
from torch import Tensor

from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.specs import FeedbackSpec
from search_spaces.ops.dense import conv_bn


class Feedback(TemporalCell):
    """y = x + conv1x1[x, f(y_previous)]; f bounds what goes round: softmax of class scores, tanh of all else."""

    def __init__(self, channels: int, spec: FeedbackSpec) -> None:
        super().__init__()
        self.channels = channels
        self.carries = spec.carries
        self.mix = conv_bn(2 * channels, channels, 1)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The bounded output of the frame before."""
        return (self._zeros(batch, self.channels, height, width),)

    def step(self, feature_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame."""
        out = feature_BCHW + self.mix(torch.cat([feature_BCHW, state[0]], 1))
        return out, (torch.softmax(out, 1) if self.carries == "softmax" else torch.tanh(out),)
