"""Gaussian-process regression; length scales, amplitude and noise are learnt. Knows nothing of networks or searches.

Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, https://gaussianprocess.org/gpml,
equations 2.25, 2.26 (prediction), 5.8 and 5.9 (marginal likelihood and its gradient), automatic relevance
determination (section 5.1); ranks as targets: Salinas et al. 2020, arXiv:1909.13595 (Gaussian copula).
Differs: parameters have log-normal priors and are their mode, so that ten observations already give a model; what
is learnt goes to the next fit as its starting point. Float64; the caller sees to one thread.

Legend: N observations, M points, C columns, G groups of columns that share a relevance, P parameters (G + C + 2).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

_STEPS = 15
"""L-BFGS iterations of one fit: the modes of consecutive fits are near each other."""

_LOG_BOUND = 12.0
_JITTER = 1e-6
_AMPLITUDE, _NOISE = "amplitude", "noise"
_NOISE_MEAN = math.log(0.05)
"""Of the prior, as a share of the variance of the observations."""


@dataclass(frozen=True)
class Columns:
    """How points are described: the columns of x_NC by name, each with its weight and its group.

    The squared distance of two points is the sum over columns of relevance * weight * difference ** 2. A relevance is
    that of the group times the column's own, so that one option may be more unlike the others than they are.
    """

    groups: Sequence[str]
    prior_G: Tensor
    """Logarithms of the modes of the groups' relevances; that of a column's own is 0."""
    names: Sequence[str]
    group_C: Tensor
    weight_C: Tensor

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters, in the order of vectors."""
        return [*self.groups, *self.names, _AMPLITUDE, _NOISE]

    @property
    def prior_P(self) -> Tensor:
        """The mode of every parameter."""
        others = torch.zeros(len(self.names) + 2, dtype=torch.float64)
        others[-1] = _NOISE_MEAN
        return torch.cat([self.prior_G, others])


@dataclass(frozen=True)
class Parameters:
    """Logarithms of what is learnt by name: relevances, the amplitude and the noise (variances)."""

    values: Mapping[str, float] = field(default_factory=dict)

    def start(self, columns: Columns) -> Tensor:
        """As a vector (P,); what has not been learnt yet is at its prior."""
        modes = zip(columns.parameters, columns.prior_P.tolist(), strict=True)
        return torch.tensor([self.values.get(name, mode) for name, mode in modes], dtype=torch.float64)


def normal_scores(values: Sequence[float]) -> Tensor:
    """Ranks as quantiles of a normal distribution, equal values alike, (N,): outliers and units do not matter."""
    value_N = torch.tensor(values, dtype=torch.float64)
    below_N = (value_N[:, None] > value_N[None, :]).double().sum(1)
    equal_N = (value_N[:, None] == value_N[None, :]).double().sum(1)
    rank_N = below_N + 0.5 * equal_N
    score_N: Tensor = torch.special.ndtri(rank_N / len(value_N))
    return score_N


def learn(columns: Columns, x_NC: Tensor, target_N: Tensor, known: Parameters) -> Parameters:
    """The mode of the posterior of the parameters, from `known` on a few steps uphill. Targets are of unit scale."""
    prior_P = columns.prior_P
    log_P = known.start(columns).requires_grad_()
    optimizer = torch.optim.LBFGS([log_P], max_iter=_STEPS, line_search_fn="strong_wolfe", history_size=10)

    def loss() -> Tensor:
        optimizer.zero_grad()
        covariance_NN = _noisy(_kernel(columns, log_P, x_NC, x_NC), log_P)
        value = _negative_log_likelihood(covariance_NN, target_N) + 0.5 * (log_P - prior_P).square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    found = log_P.detach().clamp(-_LOG_BOUND, _LOG_BOUND)
    return Parameters({**known.values, **dict(zip(columns.parameters, found.tolist(), strict=True))})


class _Likelihood(torch.autograd.Function):
    """Equation 5.8 with the gradient of equation 5.9, which needs no derivative of the Cholesky factor."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, covariance_NN: Tensor, target_N: Tensor) -> Tensor:
        """Without its constant."""
        factor_NN = torch.linalg.cholesky(covariance_NN)
        inverse_NN = torch.cholesky_inverse(factor_NN)
        weight_N = inverse_NN @ target_N
        ctx.save_for_backward(inverse_NN, weight_N)
        value: Tensor = 0.5 * target_N @ weight_N + factor_NN.diagonal().log().sum()
        return value

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        """With respect to the covariance."""
        inverse_NN, weight_N = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradients[0] * 0.5 * (inverse_NN - torch.outer(weight_N, weight_N)), None


def _negative_log_likelihood(covariance_NN: Tensor, target_N: Tensor) -> Tensor:
    value: Tensor = _Likelihood.apply(covariance_NN, target_N)  # type: ignore[no-untyped-call]
    return value


def _kernel(columns: Columns, log_P: Tensor, x_NC: Tensor, x_MC: Tensor) -> Tensor:
    bounded_P = log_P.clamp(-_LOG_BOUND, _LOG_BOUND)
    relevance_G, own_C, _ = torch.split(bounded_P, [len(columns.groups), len(columns.names), 2])
    scale_C = ((relevance_G[columns.group_C] + own_C).exp() * columns.weight_C).sqrt()
    one_NC, other_MC = x_NC * scale_C, x_MC * scale_C
    square_NM = one_NC.square().sum(1)[:, None] + other_MC.square().sum(1)[None, :] - 2.0 * one_NC @ other_MC.T
    return bounded_P[-2].exp() * (-square_NM.clamp(min=0.0)).exp()


def _noisy(kernel_NN: Tensor, log_P: Tensor) -> Tensor:
    bounded_P = log_P.clamp(-_LOG_BOUND, _LOG_BOUND)
    return kernel_NN + (bounded_P[-1].exp() + _JITTER * bounded_P[-2].exp()) * torch.eye(
        len(kernel_NN), dtype=kernel_NN.dtype
    )


@dataclass(frozen=True)
class Posterior:
    """Mean and standard deviation of the noiseless function at M points, in units of the targets."""

    mean_M: Tensor
    deviation_M: Tensor
    noise: float
    """Standard deviation of an observation's noise."""


def posterior(
    columns: Columns, parameters: Parameters, x_NC: Tensor, target_N: Tensor, pending_KC: Tensor, x_MC: Tensor
) -> Posterior:
    """What is believed of M points, given the observations and that K more are under way.

    Those under way are believed to come out at their mean (the kriging believer of Ginsbourger et al. 2010,
    doi:10.1007/978-3-642-10701-6_6, section 6.4.1): means stay, and there is less to learn beside them.
    """
    with torch.no_grad():
        log_P = parameters.start(columns)
        factor_NN = torch.linalg.cholesky(_noisy(_kernel(columns, log_P, x_NC, x_NC), log_P))
        weight_N1 = torch.cholesky_solve(target_N[:, None], factor_NN)
        mean_M = (_kernel(columns, log_P, x_MC, x_NC) @ weight_N1)[:, 0]
        seen_NC = torch.cat([x_NC, pending_KC])
        factor_NN = torch.linalg.cholesky(_noisy(_kernel(columns, log_P, seen_NC, seen_NC), log_P))
        half_NM = torch.linalg.solve_triangular(factor_NN, _kernel(columns, log_P, seen_NC, x_MC), upper=False)
        amplitude, noise = (math.exp(float(value)) for value in log_P[-2:])
        variance_M = (amplitude - half_NM.square().sum(0)).clamp(min=1e-12)
        return Posterior(mean_M, variance_M.sqrt(), math.sqrt(noise))
