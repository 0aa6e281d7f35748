"""Choice of the reference exposure (MATCHING.md sections 9 and 14)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.config import FitProfile, MatchConfig, require_config
from core.difference import exposure_moments
from core.errors import NoExposuresError, NoReferenceError
from core.image import MaskedImage, require_exposure
from core.level import sky_level
from core.scaling import ScaledExposures, Scaler

__all__ = [
    "Candidate",
    "ReferenceChoice",
    "SelectionStatistics",
    "choose_reference",
    "measure_exposures",
    "reference_costs",
    "select_reference",
    "selection_statistics",
]


class Candidate(Protocol):
    """What the choice of a reference looks at, whatever else is known of an exposure."""

    @property
    def mean(self) -> float:
        """As in `SelectionStatistics`."""
        ...

    @property
    def variance(self) -> float:
        """As in `SelectionStatistics`."""
        ...

    @property
    def count(self) -> float:
        """As in `SelectionStatistics`."""
        ...


@dataclass(frozen=True, slots=True)
class SelectionStatistics:
    """What the choice of a reference looks at, of one exposure (MATCHING.md sections 9 and 14).

    Parameters
    ----------
    mean : float
        Mean of the good pixels, image unit; NaN without any. In profile ``survey`` the level of
        the sky at the exposure's centre.
    variance : float
        Their unbiased variance about it, image unit squared; NaN with fewer than two. In profile
        ``survey`` that of the clipped pixels about a plane, and NaN where fewer pixels than
        best_ref_min_coverage are good.
    count : float
        Number of good pixels.
    """

    mean: float
    variance: float
    count: float


@dataclass(frozen=True, slots=True)
class ReferenceChoice:
    """The exposure chosen as the reference (MATCHING.md sections 9 and 14).

    Parameters
    ----------
    index : int
        Its place in the sequence; of equal costs the first.
    costs : tuple of float
        Cost of each exposure, lower is better; NaN cannot be the reference.
    warnings : tuple of str
        Sentences: which of the quirks of LSST's cost (MATCHING.md section 9) had a hand in it.
        None in profile ``survey``, which has no such quirks.
    """

    index: int
    costs: tuple[float, ...]
    warnings: tuple[str, ...] = ()


def selection_statistics(exposure: MaskedImage, config: MatchConfig) -> SelectionStatistics:
    """Return the statistics of one exposure that the reference is chosen by.

    Parameters
    ----------
    exposure : MaskedImage
        The exposure.
    config : MatchConfig
        profile and bad_mask_planes; for ``survey`` num_sigma_clip, num_iter and
        best_ref_min_coverage too.

    Returns
    -------
    statistics : SelectionStatistics
        Of the pixels that are finite and not flagged, unclipped (MATCHING.md section 9), or as
        profile ``survey`` has them (section 14); the variance plane is not looked at.

    Raises
    ------
    ImageTypeError, ConfigError
        If an argument is no exposure or no configuration at all.
    """
    require_exposure("exposure", exposure)
    require_config(config)
    if config.profile is FitProfile.SURVEY:
        sky = sky_level(exposure, config)
        enough = sky.count >= config.best_ref_min_coverage * exposure.image.size
        variance = sky.variance if enough else math.nan
        return SelectionStatistics(sky.level, variance, float(sky.count))
    moments = exposure_moments(exposure, config)
    return SelectionStatistics(
        float(moments.means[0, 0]), float(moments.variances[0, 0]), float(moments.counts[0, 0])
    )


def reference_costs(statistics: Sequence[Candidate | None], config: MatchConfig) -> ReferenceChoice:
    """Choose the reference by variance V, level L and number N of good pixels.

    In profile ``lsst`` (MATCHING.md section 9) the cost is weight_variance V / max V +
    weight_level L / max L + weight_coverage min N / N, as LSST has it, quirks included: negative
    levels turn the preference round, and an exposure without a good pixel takes the coverage term
    from all. The quirks that bite are told as warnings.

    In profile ``survey`` (section 14) it is weight_variance V / max V + weight_level (L - min L) /
    (max L - min L) + weight_coverage (1 - N / max N), over the exposures that can be the reference
    alone; a term in which they are all alike is 0. It lies between 0 and the sum of the weights.

    Parameters
    ----------
    statistics : sequence of Candidate or None
        One an exposure, most often `SelectionStatistics`, taken with the same profile; None is an
        exposure that could not be had.
    config : MatchConfig
        profile and the three best_ref weights.

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
    table = _Table.of(statistics)
    if config.profile is FitProfile.SURVEY:
        return _choice(_survey_costs(table, config), (), _unfit(config))
    costs = _lsst_costs(table, config)
    quirks = tuple(_quirks(table, costs, config))
    return _choice(costs, quirks, "; ".join(("All-NaN slice, no exposure has a cost", *quirks)))


def select_reference(
    exposures: Sequence[MaskedImage | None],
    config: MatchConfig,
    scalers: Sequence[Scaler | None] | None = None,
) -> ReferenceChoice:
    """Choose the reference among exposures (MATCHING.md sections 9 and 14).

    Parameters
    ----------
    exposures : sequence of MaskedImage or None
        None is an exposure that could not be had; its cost is NaN.
    config : MatchConfig
        What `selection_statistics` and `reference_costs` look at.
    scalers : sequence of Scaler or None, optional
        One an exposure, as for `core.scaled`; the cost of an exposure whose scaler fails is NaN.

    Returns
    -------
    choice : ReferenceChoice
        The exposure of least cost, and all costs.

    Raises
    ------
    ImageError
        If there are not as many scalers as exposures.
    ConfigError
        If `config` is none.
    NoExposuresError, NoReferenceError
        As `reference_costs`; the first failure is told, and is the cause.
    """
    require_config(config)
    measured = measure_exposures(ScaledExposures(exposures, scalers), config)
    return choose_reference(measured, config)


def choose_reference(
    measured: Sequence[SelectionStatistics | Exception], config: MatchConfig
) -> ReferenceChoice:
    """Choose the reference among what `measure_exposures` returned (sections 9 and 14).

    Parameters
    ----------
    measured : sequence of SelectionStatistics or Exception
        One an exposure.
    config : MatchConfig
        Settings.

    Returns
    -------
    choice : ReferenceChoice
        As `reference_costs` makes it; an exposure that failed has no cost.

    Raises
    ------
    NoExposuresError, NoReferenceError
        As `reference_costs`; the first failure is told, and is the cause.
    """
    known = [one if isinstance(one, SelectionStatistics) else None for one in measured]
    try:
        return reference_costs(known, config)
    except NoReferenceError as error:
        failed = [(place, one) for place, one in enumerate(measured) if isinstance(one, Exception)]
        if not failed:
            raise
        place, first = failed[0]
        raise NoReferenceError(f"{error.reason}; exposure {place}: {first}") from first


def measure_exposures(
    exposures: ScaledExposures, config: MatchConfig
) -> tuple[SelectionStatistics | Exception, ...]:
    """Return `selection_statistics` of each exposure, or why there are none.

    Parameters
    ----------
    exposures : ScaledExposures
        The exposures; one at a time is held.
    config : MatchConfig
        Settings.

    Returns
    -------
    measured : tuple
        In the order of the exposures; an error where one could not be had or scaled.
    """
    return tuple(
        exposures.attempt(place, lambda exposure: selection_statistics(exposure, config))
        for place in range(len(exposures))
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Table:
    """The statistics as columns, NaN for an exposure that could not be had."""

    variance: NDArray[np.float64]
    level: NDArray[np.float64]
    count: NDArray[np.float64]

    @classmethod
    def of(cls, statistics: Sequence[Candidate | None]) -> _Table:
        """Lay the statistics of all exposures out."""
        nan = math.nan
        variance = np.array([nan if one is None else one.variance for one in statistics], float)
        level = np.array([nan if one is None else one.mean for one in statistics], float)
        count = np.array([nan if one is None else one.count for one in statistics], float)
        return cls(variance, level, count)


def _choice(costs: NDArray[np.float64], warnings: tuple[str, ...], refusal: str) -> ReferenceChoice:
    known = np.flatnonzero(~np.isnan(costs))
    if not known.size:
        raise NoReferenceError(refusal)
    index = int(known[np.argmin(costs[known])])  # nanargmin takes NaN for as good as infinity
    return ReferenceChoice(index, tuple(costs.tolist()), warnings)


# Profile lsst


def _lsst_costs(table: _Table, config: MatchConfig) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        costs = config.best_ref_weight_variance * table.variance / _largest(table.variance)
        costs += config.best_ref_weight_level * table.level / _largest(table.level)
        costs += config.best_ref_weight_coverage * -_largest(-table.count) / table.count
    return costs


def _quirks(table: _Table, costs: NDArray[np.float64], config: MatchConfig) -> Iterator[str]:
    """Say where LSST's formula does not mean what it was meant to (MATCHING.md section 9)."""
    if _largest(table.variance) == 0:
        yield "the variance of every exposure is 0, and 0 / 0 is no cost"
    if _largest(table.level) == 0:
        yield "the largest level is 0, and level / largest level infinite or NaN"
    elif config.best_ref_weight_level > 0:
        yield from _quirks_of_levels(table.level[~np.isnan(table.level)], config)
    if config.best_ref_weight_coverage > 0 and not np.isnan(costs).all():
        yield from _quirks_of_coverage(table.count, np.isnan(costs))


def _quirks_of_levels(levels: NDArray[np.float64], config: MatchConfig) -> Iterator[str]:
    negative = int(np.count_nonzero(levels < 0))
    if negative == 0 or levels.size == 1:
        return
    largest = float(levels.max())
    with np.errstate(over="ignore"):
        term = config.best_ref_weight_level * float(np.abs(levels / largest).max())
    if largest < 0:
        yield "all levels are negative, and the level term prefers the brightest sky"
    else:
        yield f"{negative} of {levels.size} levels negative: the level term has no lower bound"
    if term > config.best_ref_weight_variance + config.best_ref_weight_coverage:
        share = f"the largest level, {largest:.3g}, is near 0: the level term reaches {term:.3g}"
        yield f"{share} and outweighs variance and coverage"


def _quirks_of_coverage(counts: NDArray[np.float64], unfit: NDArray[np.bool_]) -> Iterator[str]:
    fewest = -_largest(-counts)
    if unfit[counts == fewest].all():
        yield (
            f"an exposure of {fewest:.0f} good pixels, which cannot be the reference, takes the "
            "coverage term from all others"
        )


def _largest(numbers: NDArray[np.float64]) -> float:
    known = numbers[~np.isnan(numbers)]
    return float(known.max()) if known.size else math.nan


# Profile survey


def _survey_costs(table: _Table, config: MatchConfig) -> NDArray[np.float64]:
    fit = np.isfinite(table.variance) & np.isfinite(table.level) & (table.count > 0)
    costs = np.full(fit.shape, np.nan)
    if fit.any():
        variance, level, count = table.variance[fit], table.level[fit], table.count[fit]
        darkest = level.min()
        costs[fit] = (
            config.best_ref_weight_variance * _share(variance, variance.max())
            + config.best_ref_weight_level * _share(level - darkest, level.max() - darkest)
            + config.best_ref_weight_coverage * (1.0 - count / count.max())
        )
    return costs


def _share(numbers: NDArray[np.float64], whole: float) -> NDArray[np.float64]:
    """Return numbers / whole, 0 where the whole is 0 and so are they all."""
    return numbers / whole if whole > 0 else np.zeros_like(numbers)


def _unfit(config: MatchConfig) -> str:
    least = f"best_ref_min_coverage = {config.best_ref_min_coverage:g}"
    return f"no exposure could be had with two good pixels and a coverage of at least {least}"
