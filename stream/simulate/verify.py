"""Published models against planted truth: how wrong they are, and how level the visits became."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.simulate.manifest import GroupEntry, SurveyManifest

__all__ = [
    "GroupCheck",
    "Spread",
    "Truth",
    "VisitCheck",
    "check_group",
    "group_truth",
    "read_truth",
]

Array = NDArray[np.float64]

_MIN_GOOD = 0.1  # of a cell's pixels


@dataclass(frozen=True)
class Truth:
    """What was planted in one warp.

    Attributes
    ----------
    sky, sources : ndarray, float32, [y, x]
        Counts a pixel.
    good : ndarray, bool, [y, x]
        The pixels that a match may use.
    noise : float
        Standard deviation of one good pixel, counts.
    """

    sky: NDArray[np.float32]
    sources: NDArray[np.float32]
    good: NDArray[np.bool_]
    noise: float


@dataclass(frozen=True)
class VisitCheck:
    """How far one visit's model is from the planted difference, over pixels good in both.

    Attributes
    ----------
    visit : int
        The visit.
    rms : float
        Root mean square of (model - planted difference), offset kept, counts; infinite when the
        model has a hole where it is needed, or is missing.
    bias : float
        Its mean, counts.
    noise : float
        Standard deviation of one pixel of the warp, counts.
    """

    visit: int
    rms: float
    bias: float
    noise: float

    @property
    def rms_in_noise(self) -> float:
        """The rms in units of the noise of one pixel."""
        return self.rms / self.noise


@dataclass(frozen=True)
class Spread:
    """How far the visits' skies lie apart, cell by cell.

    Attributes
    ----------
    std : float
        Standard deviation over the visits, root mean square over the cells, counts.
    peak_to_peak : float
        Largest less smallest visit, mean over the cells, counts.
    noise : float
        Median over the visits of the noise of one pixel, counts.
    """

    std: float
    peak_to_peak: float
    noise: float

    @property
    def std_in_noise(self) -> float:
        """`std` in units of the noise of one pixel."""
        return self.std / self.noise

    @property
    def peak_to_peak_in_noise(self) -> float:
        """`peak_to_peak` in units of the noise of one pixel."""
        return self.peak_to_peak / self.noise


@dataclass(frozen=True)
class GroupCheck:
    """One group against its truth: each visit but the reference, and the spread of all of them."""

    reference: int
    visits: tuple[VisitCheck, ...]
    before: Spread
    after: Spread

    @property
    def rms(self) -> float:
        """Root mean square over the visits of their rms, counts."""
        return _root_mean_square(check.rms for check in self.visits)

    @property
    def rms_in_noise(self) -> float:
        """Root mean square over the visits of their rms in units of their noise."""
        return _root_mean_square(check.rms_in_noise for check in self.visits)

    @property
    def worst(self) -> VisitCheck:
        """The visit whose model is furthest off, in units of its noise."""
        return max(self.visits, key=lambda check: check.rms_in_noise)


def read_truth(path: Path) -> Truth:
    """Read the truth of one warp."""
    with np.load(path, allow_pickle=False) as held:
        return Truth(held["sky"], held["sources"], held["good"], float(held["noise"]))


def group_truth(manifest: SurveyManifest, group: GroupEntry) -> dict[int, Truth]:
    """Read the truth of a group, by visit."""
    return {
        warp.visit: read_truth(manifest.directory / warp.truth) for warp in manifest.warps_of(group)
    }


def check_group(
    truth: Mapping[int, Truth],
    models: Mapping[int, NDArray[np.float32]],
    reference: int,
    cell: int = 64,
) -> GroupCheck:
    """Compare a group's models with what was planted.

    Parameters
    ----------
    truth : mapping of int to Truth
        By visit; the visits that are judged.
    models : mapping of int to ndarray, float32, [y, x]
        What is to be added to each warp, counts. A visit without one is judged as it is: its error
        is infinite, and its sky counts unmatched.
    reference : int
        The visit that the others are matched to.
    cell : int
        Side of the cells in which skies are compared, pixels.

    Returns
    -------
    GroupCheck
        Errors and spreads; nothing is judged here.
    """
    base = truth[reference]
    others = [visit for visit in sorted(truth) if visit != reference]
    noise = float(np.median([t.noise for t in truth.values()]))
    before = {v: _offsets(truth[v], base, None, cell) for v in others}
    after = {v: _offsets(truth[v], base, models.get(v), cell) for v in others}
    return GroupCheck(
        reference=reference,
        visits=tuple(_check_visit(v, truth[v], base, models.get(v)) for v in others),
        before=_spread(before, noise),
        after=_spread(after, noise),
    )


def _check_visit(
    visit: int, truth: Truth, base: Truth, model: NDArray[np.float32] | None
) -> VisitCheck:
    both = truth.good & base.good
    if model is None or not both.any() or not np.isfinite(model[both]).all():
        return VisitCheck(visit, math.inf, math.nan, truth.noise)
    error = model[both].astype(np.float64) - base.sky[both] + truth.sky[both]
    rms = math.sqrt(float(np.mean(error**2)))
    return VisitCheck(visit, rms, float(np.mean(error)), truth.noise)


def _offsets(truth: Truth, base: Truth, model: NDArray[np.float32] | None, cell: int) -> Array:
    """Return the mean of (sky + model - reference's sky) in each cell; NaN where hardly any pixel.

    Taking the difference pixel by pixel first keeps gradients out of it: two visits have different
    pixels in a cell.
    """
    level = truth.sky.astype(np.float64) - base.sky
    if model is not None:
        level = level + model
    return _cell_means(level, truth.good & base.good, cell)


def _cell_means(values: Array, good: NDArray[np.bool_], cell: int) -> Array:
    rows, columns = (np.arange(0, length, cell) for length in values.shape)
    total = _sums(np.where(good, values, 0.0), rows, columns)
    count = _sums(good.astype(np.float64), rows, columns)
    area = _sums(np.ones(values.shape), rows, columns)
    enough = count > _MIN_GOOD * area
    return np.where(enough, total / np.maximum(count, 1.0), np.nan)


def _sums(values: Array, rows: NDArray[np.int_], columns: NDArray[np.int_]) -> Array:
    return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1))


def _spread(offsets: Mapping[int, Array], noise: float) -> Spread:
    """Return the spread of the visits, the reference among them at zero."""
    if not offsets:
        return Spread(0.0, 0.0, noise)
    stack = np.stack([np.zeros_like(next(iter(offsets.values()))), *offsets.values()])
    cells = stack[:, np.isfinite(stack).sum(axis=0) > 1]
    if cells.size == 0:
        return Spread(math.nan, math.nan, noise)
    std = np.nanstd(cells, axis=0, ddof=1)
    extent = np.nanmax(cells, axis=0) - np.nanmin(cells, axis=0)
    return Spread(math.sqrt(float(np.mean(std**2))), float(np.mean(extent)), noise)


def _root_mean_square(values: Iterable[float]) -> float:
    squares = [value**2 for value in values]
    return math.sqrt(sum(squares) / len(squares)) if squares else math.nan
