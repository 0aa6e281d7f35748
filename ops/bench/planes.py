"""Exposures to measure on: seeded, and like warps in what costs time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core import MaskedImage

__all__ = ["GOOD", "pair", "planes", "planted"]

GOOD = 0.8
"""Share of good pixels unless said otherwise: a field with its stars and its edges masked."""

_SEED = 20_261_123
_BLOB = 12
_LEVELS = (200.0, 180.0)
_EDGE = 0.005
_NAMES = {"NO_DATA": 8, "DETECTED": 5, "EDGE": 4}


def pair(side: int, good: float = GOOD, outliers: float = 0.0) -> tuple[MaskedImage, MaskedImage]:
    """Return a reference and a warp with a smooth difference between their skies.

    Parameters
    ----------
    side : int
        Width and height in pixels.
    good : float
        Share of pixels that are good in both; the others are under stars, flagged DETECTED, or NaN
        along the edges, flagged NO_DATA.
    outliers : float
        Share of pixels that are not flagged and ten to 10^30 times as bright as the sky's noise.

    Returns
    -------
    reference, science : core.MaskedImage
        The same at each call.
    """
    chance = np.random.default_rng(_SEED)
    mask = _mask(side, good, chance)
    exposures = []
    for level in _LEVELS:
        image = _sky(side, level, chance)
        image[(mask & 1 << _NAMES["DETECTED"]) != 0] += 1000.0
        image[(mask & 1 << _NAMES["NO_DATA"]) != 0] = np.nan
        _spoil(image, outliers, chance)
        variance = np.full((side, side), level / 4, dtype=np.float32)
        variance += chance.random((side, side), dtype=np.float32)
        exposures.append(MaskedImage(image, mask.copy(), variance, _NAMES))
    return exposures[0], exposures[1]


def planes(*exposures: MaskedImage) -> list[NDArray[np.float32] | NDArray[np.int32]]:
    """Return the planes of exposures, three each.

    Parameters
    ----------
    *exposures : core.MaskedImage
        The exposures.
    """
    return [plane for one in exposures for plane in (one.image, one.mask, one.variance)]


def planted(side: int) -> NDArray[np.float32]:
    """Return the difference of the two skies of `pair`, without noise.

    Parameters
    ----------
    side : int
        Width and height in pixels.
    """
    first, second = (_smooth(side, level) for level in _LEVELS)
    difference: NDArray[np.float32] = first - second
    return difference


def _sky(side: int, level: float, chance: np.random.Generator) -> NDArray[np.float32]:
    """Noise on a smooth sky."""
    image = chance.standard_normal((side, side), dtype=np.float32)
    image *= np.float32(np.sqrt(level / 4))
    image += _smooth(side, level)
    return image


def _smooth(side: int, level: float) -> NDArray[np.float32]:
    """Return a level with a gradient and a slow wave."""
    along = np.arange(side, dtype=np.float32) / side
    rows = (level + 10 * along + 3 * np.sin(6 * along))[:, None]
    return np.asarray(rows + (level * 0.05 * along)[None, :], np.float32)


def _mask(side: int, good: float, chance: np.random.Generator) -> NDArray[np.int32]:
    """Blobs of the size of stars, and edges, so that the share of what is left is `good`."""
    mask = np.zeros((side, side), dtype=np.int32)
    edge = round(_EDGE * side) if good < 1 else 0
    kept = min(1.0, good / (1 - 2 * edge / side))
    field = chance.random((side // _BLOB + 1,) * 2) >= kept
    blobs = field.repeat(_BLOB, axis=0).repeat(_BLOB, axis=1)[:side, :side]
    mask[blobs] = 1 << _NAMES["DETECTED"]
    if edge:
        mask[:, :edge] = mask[:, -edge:] = 1 << _NAMES["NO_DATA"] | 1 << _NAMES["EDGE"]
    return mask


def _spoil(image: NDArray[np.float32], share: float, chance: np.random.Generator) -> None:
    count = round(share * image.size)
    places = chance.integers(0, image.size, count)
    sizes = 10 ** chance.uniform(1, 30, count) * chance.choice([-1, 1], count)
    image.reshape(-1)[places] = sizes.astype(np.float32)
