"""Who dominates whom: fronts, crowding, hypervolume. Knows nothing of trials or metrics.

Legend: N points, M losses (all to be made small).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def dominance(losses: ArrayLike) -> NDArray[np.bool_]:
    """[i, j]: point i is nowhere worse than j and somewhere better. (N, M) in, (N, N) out."""
    losses_NM = np.asarray(losses, dtype=np.float64)
    i, j = losses_NM[:, None, :], losses_NM[None, :, :]
    result: NDArray[np.bool_] = np.asarray((i <= j).all(axis=2) & (i < j).any(axis=2), dtype=np.bool_)
    return result


def ranks(losses: ArrayLike) -> NDArray[np.int64]:
    """Non-dominated sorting: 0 for the front, 1 for the front without it, and so on; (N, M) in, (N,) out.

    Source: Deb et al. 2002 (NSGA-II), doi:10.1109/4235.996017, section III-A.
    """
    dominates = dominance(losses)
    rank_N = np.full(len(dominates), -1, dtype=np.int64)
    left = dominates.sum(axis=0)
    level = 0
    while (now := (left == 0) & (rank_N < 0)).any():
        rank_N[now] = level
        left = left - dominates[now].sum(axis=0)
        level += 1
    return rank_N


def front(losses: ArrayLike) -> NDArray[np.int64]:
    """Indices of the points that no other dominates; equal points are all kept. Any number of losses."""
    points = np.asarray(losses, dtype=np.float64)
    if len(points) == 0:
        return np.zeros(0, dtype=np.int64)
    # One row at a time: N x N x M booleans would not fit for large searches.
    keep = [not bool(((points <= p).all(axis=1) & (points < p).any(axis=1)).any()) for p in points]
    return np.flatnonzero(np.asarray(keep, dtype=np.bool_))


def crowding(losses: ArrayLike) -> NDArray[np.float64]:
    """Crowding distance of the points of one front; the ends of each loss have infinity. (N, M) in, (N,) out.

    Source: Deb et al. 2002, doi:10.1109/4235.996017, section III-B.
    """
    losses_NM = np.asarray(losses, dtype=np.float64)
    distance_N = np.zeros(len(losses_NM))
    for column in losses_NM.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance_N[order[[0, -1]]] = np.inf
        if span > 0:
            distance_N[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance_N


def preference(losses: ArrayLike) -> NDArray[np.int64]:
    """Place of each point from best (0) to worst: by rank, then less crowded, then earlier. (N,) out."""
    losses_NM = np.asarray(losses, dtype=np.float64)
    rank_N = ranks(losses_NM)
    distance_N = np.zeros(len(losses_NM))
    for level in range(int(rank_N.max(initial=-1)) + 1):
        members = np.flatnonzero(rank_N == level)
        distance_N[members] = crowding(losses_NM[members])
    place_N = np.empty(len(losses_NM), dtype=np.int64)
    place_N[np.lexsort((-distance_N, rank_N))] = np.arange(len(losses_NM))
    return place_N


def hypervolume_2d(losses: ArrayLike, reference: tuple[float, float]) -> float:
    """Area that is dominated by the points and dominates `reference`, for two losses. (N, 2) in.

    Source: Zitzler and Thiele 1999, doi:10.1109/4235.797969.
    """
    losses_N2 = np.asarray(losses, dtype=np.float64).reshape(-1, 2)
    inside_N2 = losses_N2[(losses_N2 < reference).all(axis=1)]
    area, ceiling = 0.0, reference[1]
    for x, y in inside_N2[np.lexsort((inside_N2[:, 1], inside_N2[:, 0]))]:
        if y < ceiling:
            area += (reference[0] - x) * (ceiling - y)
            ceiling = y
    return float(area)


def hypervolume(losses: ArrayLike, reference: Sequence[float]) -> float:
    """Volume that is dominated by the points and dominates `reference`, for any number of losses. (N, M) in.

    Slices along the last loss, each as thick as the gap to the next point (HSO, While et al. 2006,
    doi:10.1109/TEVC.2005.851275). Costs about N^(M-1): right for the fronts of searches, tens of points and
    two to four losses.
    """
    bounds = tuple(float(bound) for bound in reference)
    losses_NM = np.asarray(losses, dtype=np.float64).reshape(-1, len(bounds))
    inside_NM = losses_NM[(losses_NM < bounds).all(axis=1)]
    if len(inside_NM) == 0:
        return 0.0
    if len(bounds) == 1:
        return bounds[0] - float(inside_NM.min())
    if len(bounds) == 2:
        return hypervolume_2d(inside_NM, (bounds[0], bounds[1]))
    kept_NM = inside_NM[front(inside_NM)]
    kept_NM = kept_NM[np.argsort(kept_NM[:, -1], kind="stable")]
    thickness_N = np.diff(kept_NM[:, -1], append=bounds[-1])
    return sum(
        float(thick) * hypervolume(kept_NM[:end, :-1], bounds[:-1])
        for end, thick in enumerate(thickness_N, start=1)
        if thick > 0
    )
