"""Star fields in two seeings: how far off the sky the model is, and whether the verdict sees it.

Both exposures show the same stars on a sky of which they know nothing, with noise of their own.
Sources are detected in each as on the real warps: pixels of the matched-filtered image above five
times its noise, grown by 2.4 sigma of the seeing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from core.config import MatchConfig
from core.image import MaskedImage
from core.quality import Quality
from ops.skyconstants.planes import PLANES, leave, white_noise

__all__ = ["SIDE", "Field", "Seen", "expose", "see"]

SIDE: Final = 384
_SEEING: Final = 3.5
_FAINTEST: Final = 5.0
_BRIGHTEST: Final = 3e4
_MOFFAT: Final = 3.0
_STAMP: Final = 40
_LIMIT: Final = 5.0
_GROWN: Final = 2.4
_SIGMA_PER_FWHM: Final = 1 / 2.3548200450309493


@dataclass(frozen=True)
class Field:
    """A field and how it was seen.

    Parameters
    ----------
    stars : int
        Stars in an area of 64 x 64 pixels, of 5 - 30 000 times a pixel's noise in all, a tenth of
        them for each tenfold flux.
    ratio : float
        Seeing of the science exposure over that of the reference, 3.5 pixels.
    gaps : float
        Share of the area that neither shows, in bands of 20 pixels.
    detected : bool
        Whether sources are masked.
    """

    stars: int = 5
    ratio: float = 1.0
    gaps: float = 0.0
    detected: bool = True


@dataclass(frozen=True)
class Seen:
    """What became of a match.

    Parameters
    ----------
    bias : float
        Mean of the model over the image less the truth, in the noise of a pixel of the difference.
    errors : float
        Root mean square of model minus truth over the bins with a value, in their errors.
    quality : Quality
        The judgement.
    """

    bias: float
    errors: float
    quality: Quality


def expose(field: Field, seed: int) -> tuple[MaskedImage, MaskedImage]:
    """Return reference and science exposure of a field, whose skies differ by nothing."""
    rng = np.random.default_rng([13, seed])
    count = rng.poisson(field.stars * (SIDE / 64) ** 2)
    fluxes = np.minimum(_FAINTEST / (1 - rng.random(count)), _BRIGHTEST)
    light = np.zeros((SIDE, SIDE))
    np.add.at(light, tuple(rng.integers(0, SIDE, (2, count))), fluxes)
    missing = _gaps(rng, field.gaps)
    reference, science = (
        _exposure(rng, _seen_through(light, fwhm), fwhm, missing, detected=field.detected)
        for fwhm in (_SEEING, _SEEING * field.ratio)
    )
    return reference, science


def see(exposures: tuple[MaskedImage, MaskedImage], config: MatchConfig) -> Seen:
    """Match the exposures of a field."""
    match = leave(*exposures, config)
    values, errors = match.model.values, match.model.errors
    bias = float(match.model.image().mean(dtype=np.float64)) / np.sqrt(2)
    return Seen(bias, float(np.sqrt(np.nanmean((values / errors) ** 2))), match.quality)


def _seen_through(light: NDArray[np.float64], fwhm: float) -> NDArray[np.float64]:
    """Return stars as a Moffat profile of a width spreads them."""
    core = (fwhm / 2) ** 2 / (2 ** (1 / _MOFFAT) - 1)
    offsets = np.arange(-_STAMP, _STAMP + 1) ** 2
    profile = (1 + np.add.outer(offsets, offsets) / core) ** -_MOFFAT
    spread = signal.fftconvolve(light, profile / profile.sum(), mode="same")
    return np.asarray(spread, dtype=np.float64)


def _gaps(rng: np.random.Generator, share: float) -> NDArray[np.bool_]:
    missing = np.zeros((SIDE, SIDE), dtype=np.bool_)
    while missing.mean() < share:
        start = rng.integers(0, SIDE)
        lines = missing if rng.random() < 0.5 else missing.T  # noqa: PLR2004 - either axis
        lines[start : start + 20] = True
    return missing


def _exposure(
    rng: np.random.Generator,
    stars: NDArray[np.float64],
    fwhm: float,
    missing: NDArray[np.bool_],
    *,
    detected: bool,
) -> MaskedImage:
    image = white_noise(rng, SIDE, SIDE) + stars.astype(np.float32)
    mask = np.where(missing, 1 << PLANES["NO_DATA"], 0).astype(np.int32)
    planes = dict(PLANES)
    if detected:
        mask |= np.where(_sources(image, fwhm), 1 << PLANES["DETECTED"], 0).astype(np.int32)
    else:
        del planes["DETECTED"]
    return MaskedImage(image, mask, np.ones_like(image), planes)


def _sources(image: NDArray[np.float32], fwhm: float) -> NDArray[np.bool_]:
    sigma = fwhm * _SIGMA_PER_FWHM
    smooth = ndimage.gaussian_filter(image - np.median(image), sigma)
    above = smooth > _LIMIT / (2 * np.sqrt(np.pi) * sigma)
    radius = int(np.ceil(_GROWN * sigma))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    grown = ndimage.binary_dilation(above, x**2 + y**2 <= radius**2)
    return np.asarray(grown, dtype=np.bool_)
