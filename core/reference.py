"""Choice of the reference exposure (MATCHING.md section 9)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.config import MatchConfig
from core.errors import NoExposuresError, NoReferenceError
from core.image import MaskedImage
from core.statistics import plain_moments

__all__ = [
    "ReferenceChoice",
    "SelectionStatistics",
    "reference_costs",
    "select_reference",
    "selection_statistics",
]


@dataclass(frozen=True, slots=True)
class SelectionStatistics:
    """What the choice of a reference looks at, of one exposure.

    Parameters
    ----------
    mean : float
        Mean of the good pixels, image unit; NaN without any.
    variance : float
        Their unbiased variance about it, image unit squared; NaN with fewer than two.
    count : float
        Number of good pixels.
    """

    mean: float
    variance: float
    count: float


@dataclass(frozen=True, slots=True)
class ReferenceChoice:
    """The exposure chosen as the reference.

    Parameters
    ----------
    index : int
        Its place in the sequence; of equal costs the first.
    costs : tuple of float
        Cost of each exposure, lower is better; NaN cannot be the reference.
    """

    index: int
    costs: tuple[float, ...]


def selection_statistics(exposure: MaskedImage, config: MatchConfig) -> SelectionStatistics:
    """Return the statistics of one exposure, unclipped (MATCHING.md section 9).

    Parameters
    ----------
    exposure : MaskedImage
        The exposure.
    config : MatchConfig
        bad_mask_planes.

    Returns
    -------
    statistics : SelectionStatistics
        Of the pixels that are finite and not flagged; the variance plane is not looked at.
    """
    bits = exposure.bits(config.bad_mask_planes)
    good = np.isfinite(exposure.image) & ((exposure.mask & bits) == 0)
    moments = plain_moments(exposure.image[good])
    return SelectionStatistics(moments.mean, moments.variance, float(moments.count))


def reference_costs(
    statistics: Sequence[SelectionStatistics | None], config: MatchConfig
) -> ReferenceChoice:
    """Choose the reference by variance, level and coverage (MATCHING.md section 9).

    cost = weight_variance V / max V + weight_level L / max L + weight_coverage min N / N, as LSST
    has it, quirks included: negative levels turn the preference round, and an exposure without a
    good pixel takes the coverage term from all.

    Parameters
    ----------
    statistics : sequence of SelectionStatistics or None
        One an exposure; None is an exposure that could not be had.
    config : MatchConfig
        The three best_ref weights.

    Returns
    -------
    choice : ReferenceChoice
        The exposure of least cost, and all costs.

    Raises
    ------
    NoExposuresError
        If the sequence is empty (a `ValueError` and a `RuntimeError`).
    NoReferenceError
        If every cost is NaN (a `ValueError`).
    """
    if not statistics:
        raise NoExposuresError
    nothing = SelectionStatistics(math.nan, math.nan, math.nan)
    known = [nothing if one is None else one for one in statistics]
    variance = np.array([one.variance for one in known], dtype=np.float64)
    level = np.array([one.mean for one in known], dtype=np.float64)
    count = np.array([one.count for one in known], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        costs = config.best_ref_weight_variance * variance / _largest(variance)
        costs += config.best_ref_weight_level * level / _largest(level)
        costs += config.best_ref_weight_coverage * -_largest(-count) / count
    if np.isnan(costs).all():
        raise NoReferenceError("All-NaN slice encountered, no exposure has a cost")
    return ReferenceChoice(int(np.nanargmin(costs)), tuple(float(cost) for cost in costs))


def select_reference(
    exposures: Sequence[MaskedImage | None], config: MatchConfig
) -> ReferenceChoice:
    """Choose the reference among exposures (MATCHING.md section 9).

    Parameters
    ----------
    exposures : sequence of MaskedImage or None
        None is an exposure that could not be had; its cost is NaN.
    config : MatchConfig
        bad_mask_planes and the three best_ref weights.

    Returns
    -------
    choice : ReferenceChoice
        The exposure of least cost, and all costs.

    Raises
    ------
    NoExposuresError, NoReferenceError
        As `reference_costs`.
    """
    measured = [
        None if exposure is None else selection_statistics(exposure, config)
        for exposure in exposures
    ]
    return reference_costs(measured, config)


def _largest(numbers: NDArray[np.float64]) -> float:
    known = numbers[~np.isnan(numbers)]
    return float(known.max()) if known.size else math.nan
