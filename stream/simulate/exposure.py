"""One visit's exposure of the mosaic: photons, noise, cosmic rays, and the masks of a pipeline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stream.simulate.footprint import edge_of
from stream.simulate.spec import GAIN, READ_NOISE, SurveySpec, VisitPlan, generator

__all__ = ["PLANES", "Exposure", "detect", "expose"]

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

PLANES: Mapping[str, int] = MappingProxyType(
    {
        "BAD": 0,
        "SAT": 1,
        "INTRP": 2,
        "CR": 3,
        "EDGE": 4,
        "DETECTED": 5,
        "DETECTED_NEGATIVE": 6,
        "SUSPECT": 7,
        "NO_DATA": 8,
    }
)
"""Bit numbers of the mask planes, as LSST's pipelines assign them."""

_FULL_WELL = 60_000.0  # electrons
_BLOOM = 2  # pixels by which saturation is grown
_CR_RATE = 5.0e-5  # hits a pixel
_CR_LENGTH = 9.0  # pixels, mean
_CR_LEFT = 0.6  # what interpolation leaves of a hit, in units of the noise
_DETECT_SIGMA = 5.0
_GROW = 2.4  # in units of the PSF's sigma
_MESH = 64  # pixels, of the local background under detection
_SIGMA_PER_FWHM = 1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)))


@dataclass(frozen=True)
class Exposure:
    """A visit on the mosaic: image, mask and variance, each [y, x].

    Image and variance (float32, counts and counts squared) are NaN where there are no data.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.int32]
    variance: NDArray[np.float32]


def expose(
    spec: SurveySpec, plan: VisitPlan, sources: Float, sky: Float, covered: Bool
) -> Exposure:
    """Return what the pipeline would hand out for one visit.

    Parameters
    ----------
    spec, plan : SurveySpec, VisitPlan
        The survey and the visit.
    sources, sky : ndarray, float64, [y, x]
        Expected counts a pixel of the sources (through this visit's PSF) and of its sky.
    covered : ndarray, bool, [y, x]
        Where the visit has data.

    Returns
    -------
    Exposure
        Poisson and read noise, corrected for transparency; the variance plane is the variance of
        that noise; cosmic rays are interpolated, as badly as pipelines do it.
    """
    rng = generator(spec, 5, plan.visit)
    image, variance, saturated = _photons(sources + sky, plan.transparency, rng)
    hits = _cosmic_rays(spec.shape, rng)
    _interpolate(image, hits, np.sqrt(variance), rng)
    image[~covered] = np.nan
    detected = np.zeros_like(covered) if plan.undetected else detect(image, variance, plan.fwhm)
    planes = {
        "SAT": saturated & covered,
        "INTRP": hits & covered,
        "CR": hits & covered,
        "EDGE": edge_of(covered),
        "DETECTED": detected,
        "NO_DATA": ~covered,
    }
    variance[~covered] = np.nan
    return Exposure(image.astype(np.float32), _combine(planes), variance.astype(np.float32))


def _photons(
    expected: Float, transparency: float, rng: np.random.Generator
) -> tuple[Float, Float, Bool]:
    """Return counts, their variance and where the detector was full."""
    gain = GAIN * transparency  # electrons of a count after the correction
    electrons = np.minimum(gain * expected, _FULL_WELL)
    counts = rng.poisson(electrons) + rng.normal(0.0, READ_NOISE, expected.shape)
    full = ndimage.binary_dilation(electrons >= _FULL_WELL, iterations=_BLOOM)
    return counts / gain, (electrons + READ_NOISE**2) / gain**2, np.asarray(full, dtype=np.bool_)


def _cosmic_rays(shape: tuple[int, int], rng: np.random.Generator) -> Bool:
    """Return the pixels of straight tracks, most of them short, bool, [y, x]."""
    hits = np.zeros(shape, dtype=np.bool_)
    for _ in range(rng.poisson(_CR_RATE * shape[0] * shape[1])):
        length = 2.0 + rng.exponential(_CR_LENGTH)
        angle = rng.uniform(0.0, math.pi)
        along = np.arange(0.0, length, 0.5)
        y = np.rint(rng.uniform(0, shape[0]) + along * math.sin(angle)).astype(np.intp)
        x = np.rint(rng.uniform(0, shape[1]) + along * math.cos(angle)).astype(np.intp)
        inside = (y < shape[0]) & (x >= 0) & (x < shape[1])
        hits[y[inside], x[inside]] = True
    return np.asarray(ndimage.binary_dilation(hits), dtype=np.bool_)


def _interpolate(image: Float, hits: Bool, noise: Float, rng: np.random.Generator) -> None:
    """Replace hit pixels by the mean of those beside them, plus what is left of the hit."""
    y, x = np.nonzero(hits)
    left, right = np.maximum(x - 4, 0), np.minimum(x + 4, image.shape[1] - 1)
    rest = _CR_LEFT * noise[y, x] * rng.exponential(1.0, y.size)
    image[y, x] = 0.5 * (image[y, left] + image[y, right]) + rest


def detect(image: Float, variance: Float, fwhm: float) -> Bool:
    """Return the pixels that a pipeline would call detected, bool, [y, x].

    The image less a local background is smoothed with a Gaussian of the PSF's width; what exceeds
    five times the noise of the smoothed image is grown by 2.4 sigma of the PSF.

    Parameters
    ----------
    image, variance : ndarray, float64, [y, x]
        Counts and their variance; NaN in `image` where there are no data.
    fwhm : float
        Width of the PSF, pixels.
    """
    sigma = fwhm * _SIGMA_PER_FWHM
    good = np.isfinite(image)
    flat = np.where(good, image - _local_background(image), 0.0)
    smooth = ndimage.gaussian_filter(flat, sigma, truncate=3.0)
    noise = np.sqrt(np.median(variance[good])) if good.any() else 1.0
    above = smooth > _DETECT_SIGMA * noise / (2.0 * math.sqrt(math.pi) * sigma)
    if not above.any():
        return np.zeros_like(good)
    distance = np.asarray(ndimage.distance_transform_edt(~above))
    return np.asarray((distance <= _GROW * sigma) & good)


def _local_background(image: Float) -> Float:
    """Return medians on a coarse mesh, smoothed over its neighbours, at each pixel."""
    mesh = ndimage.median_filter(_mesh_medians(image), size=3, mode="nearest")
    rows = (np.arange(image.shape[0]) + 0.5) * mesh.shape[0] / image.shape[0] - 0.5
    columns = (np.arange(image.shape[1]) + 0.5) * mesh.shape[1] / image.shape[1] - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(mesh, grid, order=1, mode="nearest"))


def _mesh_medians(image: Float) -> Float:
    """Return the median of each cell of the mesh; an empty cell has that of all pixels."""
    rows = np.array_split(np.arange(image.shape[0]), max(1, round(image.shape[0] / _MESH)))
    columns = np.array_split(np.arange(image.shape[1]), max(1, round(image.shape[1] / _MESH)))
    values = [[_median(image[r[0] : r[-1] + 1, c[0] : c[-1] + 1]) for c in columns] for r in rows]
    mesh = np.array(values)
    empty = np.isnan(mesh)
    mesh[empty] = np.median(mesh[~empty]) if not empty.all() else 0.0
    return mesh


def _median(cell: Float) -> float:
    good = cell[np.isfinite(cell)]
    return float(np.median(good)) if good.size > cell.size // 8 else math.nan


def _combine(planes: Mapping[str, Bool]) -> NDArray[np.int32]:
    mask = np.zeros(next(iter(planes.values())).shape, dtype=np.int32)
    for name, where in planes.items():
        mask |= where.astype(np.int32) << PLANES[name]
    return mask
