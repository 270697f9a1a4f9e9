"""The detail branch of a two-branch network and where it meets the context. Knows nothing of networks.

Source: BiSeNetV2 (Yu et al. 2020, arXiv:2004.02147, section 4: a wide shallow branch beside a deep narrow one, from
the frame on) and DDRNet (Hong et al. 2021, arXiv:2101.06085: the branch leaves the encoder at its own stride, the
branches exchange on the way, and meet before the decoder).

Legend: N frames, C channels, H/W pixels of the branch, h/w of the stages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.activations import apart
from search_spaces.detail_fusions import DETAIL_FUSIONS, Meeting
from search_spaces.detail_spec import DetailSpec
from search_spaces.exchanges import EXCHANGES
from search_spaces.stage_spec import StageSpec
from search_spaces.stages import build_stage
from search_spaces.stems import STEMS


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around a branch: channels of its source, stages beside it, channels and stride of the context."""

    source_channels: int
    beside: tuple[StageSpec, ...]
    context_channels: int
    context_stride: int


class Detail(nn.Module):
    """The branch: `start` from the frame or a feature, `beside` each stage where branches exchange, `forward` at the
    end, where it is fused with the context.
    """

    def __init__(self, spec: DetailSpec, around: Surroundings) -> None:
        super().__init__()
        self.stem = nn.Sequential() if spec.stem is None else STEMS[spec.stem.kind](spec.stem)
        self.from_frame, self.exchanges = spec.stem is not None, spec.exchange != "none"
        widths = spec.widths(around.source_channels)
        units = [
            build_stage(unit, channels, open_ended=self.exchanges)
            for unit, channels in zip(spec.units, widths[:-1], strict=True)
        ]
        self.units = nn.Sequential(*([] if self.exchanges else units))
        self.beside = nn.ModuleList(_joints(spec, units, around.beside) if self.exchanges else [])
        meeting = Meeting(
            widths[-1], around.context_channels, spec.channels, around.context_stride // spec.stride, spec.activation
        )
        self.fusion = DETAIL_FUSIONS[spec.fusion](meeting)

    def join(
        self, frame_NCHW: Tensor | None, source_NCHW: Tensor, beside_NCHW: Tensor | None, context_NChw: Tensor
    ) -> Tensor:
        """The branch with the context joined.

        It starts from the frame, where it has a stem, from `source_NCHW`, or goes on from what stood beside the stages.
        """
        if beside_NCHW is None:
            beside_NCHW = self.stem(frame_NCHW) if self.from_frame else source_NCHW
        out: Tensor = self(beside_NCHW, context_NChw)
        return out

    def forward(self, branch_NCHW: Tensor, context_NChw: Tensor) -> Tensor:
        """(the branch's feature, context feature) -> feature at the branch's size."""
        out: Tensor = self.fusion(self.units(branch_NCHW), context_NChw)
        return out


class Joint(nn.Module):
    """A stage of the branch, beside one of the network; both features are activated behind the exchange.

    The last one has no exchange and leaves both without activation: what follows begins with a norm or a gate.
    """

    def __init__(self, stage: nn.Module, exchange: nn.Module | None, acts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stage = stage
        self.exchange = exchange
        self.fine_act, self.coarse_act = acts

    def forward(self, branch_NCHW: Tensor, feature_NChw: Tensor) -> tuple[Tensor, Tensor]:
        """(the branch's feature before its stage, the network's behind its own) -> both, behind the exchange."""
        branch_NCHW = self.stage(branch_NCHW)
        if self.exchange is None:
            return branch_NCHW, feature_NChw
        branch_NCHW, feature_NChw = self.exchange(branch_NCHW, feature_NChw)
        return self.fine_act(branch_NCHW), self.coarse_act(feature_NChw)


def _joints(spec: DetailSpec, units: Sequence[nn.Module], beside: Sequence[StageSpec]) -> list[Joint]:
    """One a stage. On the way down a fine feature is as wide as the stages are whose strides it passes."""
    joints: list[Joint] = []
    passed: list[int] = []
    for index, (unit, fine, coarse) in enumerate(zip(units, spec.stages, beside, strict=True)):
        passed = [*passed, coarse.channels] if coarse.stride == 2 else [*passed[:-1], coarse.channels]
        exchange, acts = None, [nn.Sequential(), nn.Sequential()]
        if index + 1 < len(units):
            exchange = EXCHANGES[spec.exchange](fine.channels, passed, (fine.activation, coarse.activation))
            acts = [apart(stage.activation, stage.channels) for stage in (fine, coarse)]
        joints.append(Joint(unit, exchange, acts))
    return joints
