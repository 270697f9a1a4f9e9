"""How much a trial promises: improvement under every budget at once. Knows nothing of models, spaces or trials.

With one objective this is expected improvement (Jones et al. 1998, doi:10.1023/A:1008306431147, equation 15). With
more, one is to be improved and the others are under budgets that nobody has named: the improvement of the best that
is known under a budget, times the chance of being under it, averaged over many budgets. For uniform budgets that is
the expected improvement of the hypervolume (Emmerich et al. 2006, doi:10.1109/TEVC.2005.859463) with independent
objectives.
Differs: budgets are quantiles of what the space offers, so that no unit or outlier decides which budgets count.

Legend: M candidates, N observations, S budgets, J objectives under a budget. Gains are to be made large, losses small.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

NO_PEER = 0.5
"""Where nothing is known under a budget, its best counts as the worst gain known, less this."""


def budgets(reference: Sequence[Tensor], num_budgets: int) -> Tensor:
    """Budgets spread evenly over the quantiles of the reference losses of each objective, (S, J).

    One objective: the middles of S equal shares. More: the additive recurrence of Roberts with the generalized
    golden ratio (http://extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences/).
    """
    num_objectives = len(reference)
    place_S = torch.arange(num_budgets, dtype=torch.float64)
    if num_objectives <= 1:
        share_SJ = ((place_S + 0.5) / num_budgets)[:, None].expand(num_budgets, num_objectives)
    else:
        ratio = 2.0
        for _ in range(60):
            ratio = (1.0 + ratio) ** (1.0 / (num_objectives + 1))
        steps_J = torch.tensor([ratio ** -(place + 1) for place in range(num_objectives)], dtype=torch.float64)
        share_SJ = (0.5 + (place_S[:, None] + 1.0) * steps_J) % 1.0
    columns = [torch.quantile(losses, share_SJ[:, place].contiguous()) for place, losses in enumerate(reference)]
    return torch.stack(columns, 1) if columns else share_SJ


def best_under(gain_N: Tensor, loss_NJ: Tensor, budget_SJ: Tensor) -> Tensor:
    """The best gain known under each budget, (S,)."""
    under_NS = (loss_NJ[:, None, :] <= budget_SJ[None, :, :]).all(2)
    best_S = torch.where(under_NS, gain_N[:, None], -math.inf).amax(0)
    return torch.where(best_S.isinf(), gain_N.min() - NO_PEER, best_S)


def expected_improvement(mean_M: Tensor, deviation_M: Tensor, best_S: Tensor) -> Tensor:
    """How much the gain is expected to exceed each best, nothing where it does not, (M, S)."""
    z_MS = (mean_M[:, None] - best_S[None, :]) / deviation_M[:, None]
    density_MS = (-0.5 * z_MS.square()).exp() / math.sqrt(2.0 * math.pi)
    gain_MS: Tensor = deviation_M[:, None] * (z_MS * torch.special.ndtr(z_MS) + density_MS)
    return gain_MS


def improvement_under_budgets(mean_M: Tensor, deviation_M: Tensor, best_S: Tensor, chance_MS: Tensor) -> Tensor:
    """Expected improvement of each budget's best times the chance of being under it, averaged over budgets, (M,)."""
    # Few of the bests differ, and computing improvements is most of the work.
    best_K, place_S = torch.unique(best_S, return_inverse=True)
    share_SK = torch.nn.functional.one_hot(place_S, len(best_K)).double() / len(best_S)
    return (expected_improvement(mean_M, deviation_M, best_K) * (chance_MS @ share_SK)).sum(1)


def chance_under(mean_MJ: Tensor, deviation_MJ: Tensor, budget_SJ: Tensor) -> Tensor:
    """Chance of being under all J budgets at once, (M, S); an objective whose deviations are all 0 is known."""
    chance_MS = torch.ones(len(mean_MJ), len(budget_SJ), dtype=torch.float64)
    for mean_M, deviation_M, budget_S in zip(mean_MJ.T, deviation_MJ.T, budget_SJ.T, strict=True):
        gap_MS = budget_S[None, :] - mean_M[:, None]
        if bool((deviation_M == 0).all()):
            chance_MS *= gap_MS >= 0
        else:
            chance_MS *= torch.special.ndtr(gap_MS / deviation_M[:, None])
    return chance_MS
