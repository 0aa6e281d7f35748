"""The sky that stays: stars, galaxies and cirrus on the tract, seen through a visit's PSF."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from stream.simulate.spec import BANDS, PIXEL_SCALE, ZERO_POINT, SurveySpec, generator

__all__ = ["Galaxies", "Scene", "Stars", "moffat", "scene_of", "sersic"]

Float = NDArray[np.float64]

_MARGIN = 64  # pixels around the mosaic that hold sources too: borders are like the middle
_STARS = 7.0  # a square arcminute
_GALAXIES = 25.0  # a square arcminute
_BULGES = 0.3  # fraction of the galaxies
_DISC, _BULGE = 1.0, 4.0  # Sersic indices: exponential, de Vaucouleurs
_MOFFAT_BETA = 3.0
_SPREAD = 2.5  # square pixels by which the stars' own spread widens the square of the FWHM
_CIRRUS_COLOUR = -0.15  # r - i: reflected starlight, bluer than the galaxies
_CIRRUS_PEAK = 1.6  # counts a pixel in r


@dataclass(frozen=True)
class Stars:
    """Point sources: positions in pixels of the padded mosaic, r magnitudes, r - i."""

    x: Float
    y: Float
    mag: Float
    colour: Float


@dataclass(frozen=True)
class Galaxies:
    """Sersic profiles: as `Stars`, and half-light radius (px), index, axis ratio, angle (rad)."""

    x: Float
    y: Float
    mag: Float
    colour: Float
    radius: Float
    index: Float
    ratio: Float
    angle: Float


class Scene:
    """One band's sky above the atmosphere, held as its Fourier transform.

    Parameters
    ----------
    truth : ndarray, float64, [y, x]
        Counts a pixel on the mosaic with a margin of `_MARGIN` pixels on each side.
    """

    def __init__(self, truth: Float) -> None:
        self._shape = truth.shape
        self._padded = _fast(truth.shape)
        self._transform = np.fft.rfft2(truth, s=self._padded)

    def through(self, fwhm: float) -> Float:
        """Return the mosaic's sources, counts, [y, x]; its stars are `fwhm` (> 2) pixels wide."""
        psf = np.fft.rfft2(moffat(self._padded, math.sqrt(fwhm**2 - _SPREAD)))
        seen = np.fft.irfft2(self._transform * psf, s=self._padded)
        height, width = self._shape
        return np.asarray(seen[_MARGIN : height - _MARGIN, _MARGIN : width - _MARGIN])


def scene_of(spec: SurveySpec, band: str) -> Scene:
    """Return one band's sky; the catalogue is the same in every band, its colours are not."""
    rng = generator(spec, 2)
    shape = (spec.shape[0] + 2 * _MARGIN, spec.shape[1] + 2 * _MARGIN)
    truth = np.zeros(shape)
    _draw_stars(truth, _star_catalogue(shape, rng), band)
    _draw_galaxies(truth, _galaxy_catalogue(shape, rng), band)
    _draw_galaxies(truth, _landmarks(spec, shape, rng), band)
    truth += 10.0 ** (-0.4 * BANDS[band].colour * _CIRRUS_COLOUR) * _cirrus(shape, rng)
    return Scene(truth)


def moffat(shape: tuple[int, ...], fwhm: float) -> Float:
    """Return a Moffat profile of sum 1, centred on pixel (0, 0) and wrapped around, [y, x]."""
    core = fwhm / (2.0 * math.sqrt(2.0 ** (1.0 / _MOFFAT_BETA) - 1.0))
    dy = np.minimum(np.arange(shape[0]), shape[0] - np.arange(shape[0]))[:, None]
    dx = np.minimum(np.arange(shape[1]), shape[1] - np.arange(shape[1]))[None, :]
    profile = (1.0 + (dx**2 + dy**2) / core**2) ** -_MOFFAT_BETA
    return np.asarray(profile / profile.sum())


def sersic(radius: Float, index: float) -> Float:
    """Return a Sersic profile at `radius` in half-light radii, not normalised.

    The exponent's constant is 2n - 1/3, good to 1 % for n >= 0.5 (Ciotti & Bertin 1999).
    """
    return np.asarray(np.exp(-(2.0 * index - 1.0 / 3.0) * radius ** (1.0 / index)))


def _fast(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return lengths at which Fourier transforms are fast, none shorter than `shape`."""
    height, width = (int(next_fast_len(n, real=True) or n) for n in shape)
    return height, width


def _area(shape: tuple[int, ...]) -> float:
    """Return the area of `shape` in square arcminutes."""
    return shape[0] * shape[1] * (PIXEL_SCALE / 60.0) ** 2


def _luminosities(
    count: int, bright: float, faint: float, slope: float, rng: np.random.Generator
) -> Float:
    """Draw magnitudes with log N(<m) rising by `slope` a magnitude.

    One is drawn from each of `count` equal parts of the distribution: a small field then has its
    few bright sources whatever the seed.
    """
    part = (np.arange(count) + rng.uniform(size=count)) / max(count, 1)
    low, high = 10.0 ** (slope * bright), 10.0 ** (slope * faint)
    return np.asarray(np.log10(low + part * (high - low)) / slope)


def _star_catalogue(shape: tuple[int, ...], rng: np.random.Generator) -> Stars:
    count = round(_STARS * _area(shape))
    return Stars(
        x=rng.uniform(4, shape[1] - 5, count),
        y=rng.uniform(4, shape[0] - 5, count),
        mag=_luminosities(count, 12.6, 24.0, 0.15, rng),
        colour=0.1 + rng.gamma(2.0, 0.22, count),
    )


def _galaxy_catalogue(shape: tuple[int, ...], rng: np.random.Generator) -> Galaxies:
    count = round(_GALAXIES * _area(shape))
    mag = _luminosities(count, 17.0, 25.0, 0.36, rng)
    arcsec = 0.55 * 10.0 ** (-0.12 * (mag - 22.0)) * rng.lognormal(0.0, 0.25, count)
    return Galaxies(
        x=rng.uniform(4, shape[1] - 5, count),
        y=rng.uniform(4, shape[0] - 5, count),
        mag=mag,
        colour=rng.normal(0.35, 0.12, count),
        radius=arcsec / PIXEL_SCALE,
        index=np.where(rng.uniform(size=count) < _BULGES, _BULGE, _DISC),
        ratio=rng.uniform(0.3, 1.0, count),
        angle=rng.uniform(0.0, math.pi, count),
    )


def _landmarks(spec: SurveySpec, shape: tuple[int, ...], rng: np.random.Generator) -> Galaxies:
    """Return the field's great spiral (a bulge and a disc) and a few middling neighbours."""
    unit = min(1.0, spec.size / 512.0)
    x = np.array([0.36, 0.36, 0.52, 0.83, 0.12]) * shape[1] + rng.normal(0.0, 6.0 * unit, 5)
    y = np.array([0.56, 0.56, 0.27, 0.62, 0.33]) * shape[0] + rng.normal(0.0, 6.0 * unit, 5)
    x[1], y[1] = x[0], y[0]
    return Galaxies(
        x=x,
        y=y,
        mag=np.array([14.9, 13.5, 15.9, 16.3, 16.6]) - 5.0 * math.log10(unit),
        colour=np.array([0.5, 0.3, 0.45, 0.3, 0.4]),
        radius=np.array([8.0, 36.0, 9.0, 12.0, 7.0]) * unit,
        index=np.array([4.0, 1.0, 4.0, 1.0, 1.0]),
        ratio=np.array([0.85, 0.5, 0.8, 0.35, 0.7]),
        angle=np.array([0.6, 0.6, 2.1, 1.2, 0.2]),
    )


def _fluxes(mag: Float, colour: Float, band: str) -> Float:
    return np.asarray(10.0 ** (0.4 * (ZERO_POINT - mag - BANDS[band].colour * colour)))


def _draw_stars(truth: Float, stars: Stars, band: str) -> None:
    """Add each star spread over 4 x 4 pixels by cubic B-splines.

    Their width does not depend on where in its pixel a star lies, so neither does its PSF.
    """
    flux = _fluxes(stars.mag, stars.colour, band)
    x0, wx = _spline_weights(stars.x)
    y0, wy = _spline_weights(stars.y)
    for j in range(4):
        for i in range(4):
            np.add.at(truth, (y0 + j, x0 + i), flux * wy[j] * wx[i])


def _spline_weights(position: Float) -> tuple[NDArray[np.intp], tuple[Float, ...]]:
    base = np.floor(position).astype(np.intp)
    t = position - base
    weights = (
        (1.0 - t) ** 3 / 6.0,
        (4.0 - 6.0 * t**2 + 3.0 * t**3) / 6.0,
        (1.0 + 3.0 * t + 3.0 * t**2 - 3.0 * t**3) / 6.0,
        t**3 / 6.0,
    )
    return base - 1, weights


def _draw_galaxies(truth: Float, galaxies: Galaxies, band: str) -> None:
    flux = _fluxes(galaxies.mag, galaxies.colour, band)
    for k in range(flux.size):
        reach = math.ceil(galaxies.radius[k] * (7.0 if galaxies.index[k] > _DISC else 5.0)) + 2
        box, stamp = _stamp(truth.shape, galaxies, k, reach)
        truth[box] += flux[k] * stamp


def _stamp(
    shape: tuple[int, ...], galaxies: Galaxies, k: int, reach: int
) -> tuple[tuple[slice, slice], Float]:
    """Return the box and the profile of galaxy `k`; its whole would have sum 1."""
    x, y, half = galaxies.x[k], galaxies.y[k], galaxies.radius[k]
    cosine, sine = math.cos(galaxies.angle[k]), math.sin(galaxies.angle[k])
    rows = np.arange(math.floor(y) - reach, math.floor(y) + reach + 1)
    columns = np.arange(math.floor(x) - reach, math.floor(x) + reach + 1)
    dy, dx = (rows - y)[:, None], (columns - x)[None, :]
    major, minor = cosine * dx + sine * dy, (cosine * dy - sine * dx) / galaxies.ratio[k]
    # A pixel averages over the cusp: half a pixel of softening stands for that.
    profile = sersic(np.sqrt(major**2 + minor**2 + 0.25) / half, galaxies.index[k])
    keep_y, keep_x = _within(rows, shape[0]), _within(columns, shape[1])
    box = (
        slice(rows[keep_y][0], rows[keep_y][-1] + 1),
        slice(columns[keep_x][0], columns[keep_x][-1] + 1),
    )
    return box, profile[keep_y][:, keep_x] / profile.sum()


def _within(index: NDArray[np.int_], limit: int) -> NDArray[np.bool_]:
    return np.asarray((index >= 0) & (index < limit))


def _cirrus(shape: tuple[int, ...], rng: np.random.Generator) -> Float:
    """Return wisps of cirrus with the interstellar medium's steep power spectrum (k^-3), counts."""
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    scale = np.sqrt(ky**2 + kx**2 + 1.0 / 400.0**2)
    noise = np.fft.rfft2(rng.normal(size=shape))
    field = np.fft.irfft2(noise * scale**-1.5 * np.exp(-((scale * 12.0) ** 2)), s=shape)
    wisps = np.clip(field / field.std() + 0.4, 0.0, None)
    y, x = np.ogrid[: shape[0], : shape[1]]
    patch = np.exp(-(((x / shape[1] - 0.86) / 0.16) ** 2) - ((y / shape[0] - 0.7) / 0.4) ** 2)
    return np.asarray(_CIRRUS_PEAK * patch * wisps / max(wisps.max(), 1e-12) * 1.5)
