"""One pass over frames with what is carried between them: a step, or a clip as one batch. Knows nothing of networks.

Legend: B batch, T frames, N = B in a step, B * T in a clip, C channels, H/W feature pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from search_spaces.cells.base import State
from search_spaces.network_spec import Placement
from search_spaces.site import Site


@dataclass(frozen=True, slots=True)
class Pass:
    """Applies temporal cells and clocks to features of a step (`shape_BT` None) or of a clip.

    `parts` is the state by name, of cells and of what a schedule keeps; a pass replaces it part by part. `phase` is
    that of the first frame.
    """

    sites: nn.ModuleDict
    parts: dict[str, State]
    phase: int
    shape_BT: tuple[int, int] | None = None

    def temporal(self, place: Placement, feature_NCHW: Tensor) -> Tensor:
        """The temporal cell at a placement, if there is one."""
        if place not in self.sites:
            return feature_NCHW
        site = self.sites[place]
        assert isinstance(site, Site)
        if self.shape_BT is None:
            feature_NCHW, self.parts[place] = site.step(feature_NCHW, self.parts[place])
        else:
            feature_NCHW, self.parts[place] = site.scan(feature_NCHW, torch.Size(self.shape_BT), self.parts[place])
        return feature_NCHW

    def due(self, period: int, offset: int) -> list[int]:
        """The frames of this pass at which what has this clock is computed."""
        num_frames = 1 if self.shape_BT is None else self.shape_BT[1]
        return [t for t in range(num_frames) if (self.phase + t) % period == offset]

    def taken(self, given_NCHW: Tensor, frames: list[int]) -> Tensor:
        """Some frames of a clip, as one batch."""
        assert self.shape_BT is not None
        return given_NCHW.reshape(*self.shape_BT, *given_NCHW.shape[1:])[:, frames].flatten(0, 1)

    def held(
        self,
        name: str,
        given_NCHW: Tensor,
        clock: tuple[int, int],
        compute: Callable[["Pass", Tensor], Tensor],
    ) -> Tensor:
        """`compute(pass, given)` at the frames that are due by `clock` (period, offset), its last output in between.

        The part of the state called `name` is that output. A clip computes all its due frames as one batch.
        """
        (kept_BCHW,) = self.parts[name]
        due = self.due(*clock)
        if self.shape_BT is None:
            out_BCHW = compute(self, given_NCHW) if due else kept_BCHW
            self.parts[name] = (out_BCHW,)
            return out_BCHW
        batch, num_frames = self.shape_BT
        known_BDCHW = kept_BCHW[:, None]
        if due:
            shape_BT = (batch, len(due))
            out_NCHW = compute(replace(self, shape_BT=shape_BT), self.taken(given_NCHW, due))
            known_BDCHW = torch.cat([known_BDCHW, out_NCHW.reshape(*shape_BT, *out_NCHW.shape[1:])], 1)
        self.parts[name] = (known_BDCHW[:, -1],)
        latest = [sum(computed <= t for computed in due) for t in range(num_frames)]
        return known_BDCHW[:, latest].flatten(0, 1)
