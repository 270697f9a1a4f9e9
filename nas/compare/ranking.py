"""Rank tests of arms against the control, in numbers and in words. Knows nothing of what is compared.

Mann and Whitney's U, two-sided (doi:10.1214/aoms/1177730491), unpaired. Equal seeds of two searchers are alike
where both begin with the same random draws, which makes an unpaired test careful, never bold; Wilcoxon's signed
ranks would use it, but need the same seeds in every arm and cannot fall under 0.05 with five of them. Several arms
against one control are corrected as Holm has it (https://www.jstor.org/stable/4615733); the correction covers the
arms, not the figures nor the points of a curve that are looked at.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import MissingExtraError

MIN_SEEDS = 5
"""With fewer on either side no p-value is claimed: 4 against 4 cannot fall under 0.05 once two arms are tested."""

LEVEL = 0.05
MAX_ENUMERATED = 20_000
"""Ties: so many ways to split the values are enumerated for an exact test; with more, the normal approximation."""

Better = Literal["larger", "smaller"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """An arm against the control. `p_holm` is corrected for the number of arms; both None where none is claimed.

    `words` is the whole sentence, `brief` what fits into a table. `superiority` is the share of pairs of runs in
    which the arm is better, ties counting half (Vargha and Delaney 2000, doi:10.3102/10769986025002101).
    """

    words: str
    brief: str
    superiority: float
    p: float | None = None
    p_holm: float | None = None


def verdicts(
    arms: Mapping[str, Sequence[float]], control: str, better: Better, *, testable: bool = True
) -> Mapping[str, Verdict]:
    """Every arm but the control against it; values by seed. Without `testable` no p-value is computed.

    Raises:
        MissingExtraError: scipy is not installed and `testable`.
    """
    base = arms[control]
    others = {name: values for name, values in arms.items() if name != control}
    enough = [name for name, values in others.items() if min(len(values), len(base)) >= MIN_SEEDS]
    raw = {name: mann_whitney(others[name], base) for name in enough} if testable else {}
    corrected = dict(zip(raw, holm(list(raw.values())), strict=True))
    found = {}
    for name, values in others.items():
        share = superiority(values, base, better)
        p = corrected.get(name)
        words, brief = _said(share, p, len(values), len(base), control)
        found[name] = Verdict(words, brief, share, raw.get(name), p)
    return found


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p-value (twice the smaller tail); exact but where ties meet many values.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    if len({*first, *second}) == 1:
        return 1.0
    try:
        from scipy import stats
    except ImportError:
        raise MissingExtraError("scipy", "report", "a rank test") from None
    method: object = "exact"
    if len({*first, *second}) < len(first) + len(second):
        splits = math.comb(len(first) + len(second), len(first))
        method = stats.PermutationMethod(n_resamples=splits) if splits <= MAX_ENUMERATED else "asymptotic"
    return float(stats.mannwhitneyu(first, second, alternative="two-sided", method=method).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p-values, in the order given."""
    p_K: NDArray[np.float64] = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_K, kind="stable")
    scaled = p_K[order] * np.arange(len(p_K), 0, -1)
    adjusted = np.empty_like(p_K)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p) for p in adjusted]


def superiority(values: Sequence[float], base: Sequence[float], better: Better) -> float:
    """Share of pairs in which a value is better than one of `base`, ties counting half."""
    difference = np.subtract.outer(np.asarray(values), np.asarray(base)) * (1 if better == "larger" else -1)
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def _said(share: float, p: float | None, seeds: int, base: int, control: str) -> tuple[str, str]:
    if min(seeds, base) < MIN_SEEDS:
        brief = "too few seeds to say"
        return f"{brief}: {seeds} against {base}, at least {MIN_SEEDS} each are needed", brief
    if p is None:
        return "not tested", "not tested"
    if p >= LEVEL:
        return f"a tie: no difference from {control} is shown (p {p:.2g})", f"tie, p {p:.2g}"
    brief = "better" if share > 0.5 else "worse"
    return f"{brief} than {control} (p {p:.2g})", f"{brief}, p {p:.2g}"
