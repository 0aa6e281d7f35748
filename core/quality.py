"""Quality of a match, judged on the sky that it leaves (MATCHING.md section 13)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.background import Background
from core.config import MatchConfig
from core.grid import bin_count
from core.image import MaskedImage
from core.skyconstants import SkyConstants, sky_constants
from core.skylevel import level_error
from core.skysteps import FAR, fit_steps, significance
from core.skytiles import WINDOW, SkyTiles, measure_sky, window_sums

__all__ = ["FLAGS", "Quality", "assess"]

FLAGS: Final = ("edge_step", "sources_unmasked")
"""All flags that there are, sorted."""

_MEDIAN_CHI2: Final = 0.455
_SOURCES: Final = "DETECTED"
_ROWS_AT_ONCE: Final = 64
_SAMPLE: Final = 1 << 15


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of the sky that a match leaves (MATCHING.md section 13); NaN where not measured.

    Parameters
    ----------
    tiles : int
        Tiles that counted: those between the bins' centres with a tenth of their pixels good.
    kappa : float
        By how much correlated noise makes the errors of bin means exceed sigma / sqrt(n).
    sky_chi2 : float
        Structure left in the sky over its noise: 1 for pure noise.
    worst_block : float
        The largest departure of a 3 x 3 block of tiles, in its errors.
    worst_x, worst_y : float
        Centre of that block, local pixels.
    sky_offset, sky_rms, sky_error : float
        Median and scatter of what is left, and the error of the model's mean level, image unit.
    coverage : float
        Good pixels over all pixels.
    extrapolated_fraction : float
        Share of the pixels that lie in bins without a value.
    flags : tuple of str
        Sorted: ``edge_step``, ``sources_unmasked``.
    """

    tiles: int
    kappa: float
    sky_chi2: float
    worst_block: float
    worst_x: float
    worst_y: float
    sky_offset: float
    sky_rms: float
    sky_error: float
    coverage: float
    extrapolated_fraction: float
    flags: tuple[str, ...] = ()


def assess(
    residual: NDArray[np.float32],
    model: Background,
    reference: MaskedImage,
    science: MaskedImage,
    config: MatchConfig,
) -> Quality:
    """Judge the sky that a match leaves (MATCHING.md section 13).

    Parameters
    ----------
    residual : `numpy.ndarray`
        float32 ``[y, x]``, C-contiguous, image unit: reference - science - model, NaN where a
        pixel is not accepted.
    model : Background
        The model; its grid says where the tiles are, and its errors how well its level is known.
    reference, science : MaskedImage
        The exposures, as they were matched: their masks tell whether sources were detected, their
        variances how much of the noise is the science exposure's.
    config : MatchConfig
        bin_size, grid_statistic, bad_mask_planes.

    Returns
    -------
    quality : Quality
        Figures that could not be measured are NaN: all but `coverage` and `extrapolated_fraction`
        on grids of one bin along an axis or without noise, `worst_block` on fewer than four bins
        along an axis, `sky_error` where no variance is usable.

    Notes
    -----
    ``sky_error`` is kappa sqrt(f sum w^2 e^2) over the bins: their errors e, the share w that each
    has in the mean of the model over the image (linear interpolation of a spline's, the normal
    equations of a polynomial's), and f, the median share of the science exposure in the variance
    of accepted pixels. The rest of the noise is the reference's, which all its models share.

    ``edge_step`` is `core.skysteps.significance` over `core.skysteps.FAR` along either axis;
    ``sources_unmasked``: DETECTED is not among the bad mask planes, is unknown to an exposure, or
    flags no pixel of it.
    """
    tiles = measure_sky(residual, model.values.shape, _bin_size(model, config))
    constants = sky_constants(model, config.grid_statistic, tiles)
    worst, worst_x, worst_y = _worst_block(tiles, constants)
    share = _science_share(residual, reference.variance, science.variance)
    edge = _has_step(tiles, model)
    sources = not (_detected(reference, config) and _detected(science, config))
    return Quality(
        tiles=tiles.count,
        kappa=tiles.kappa,
        sky_chi2=_sky_chi2(tiles, constants),
        worst_block=worst,
        worst_x=worst_x,
        worst_y=worst_y,
        sky_offset=_median(tiles.offsets[tiles.counting]),
        sky_rms=_sky_rms(tiles, constants),
        sky_error=tiles.kappa * math.sqrt(share) * level_error(model),
        coverage=int(model.counts.sum(dtype=np.int64)) / residual.size,
        extrapolated_fraction=model.extrapolated_fraction,
        flags=tuple(flag for flag, raised in zip(FLAGS, (edge, sources), strict=True) if raised),
    )


def _bin_size(model: Background, config: MatchConfig) -> int:
    """Return the side of the grid's bins: that asked for, unless INCREASE_NXNYSAMPLE changed it."""
    ny, nx = model.values.shape
    asked = bin_count(model.height, config.bin_size), bin_count(model.width, config.bin_size)
    return config.bin_size if asked == (ny, nx) else min(model.height // ny, model.width // nx)


def _sky_chi2(tiles: SkyTiles, constants: SkyConstants) -> float:
    offsets, errors = tiles.offsets[tiles.counting], tiles.errors[tiles.counting]
    return _median((offsets / (tiles.kappa * errors)) ** 2) / (_MEDIAN_CHI2 * constants.tile)


def _sky_rms(tiles: SkyTiles, constants: SkyConstants) -> float:
    """Return the scatter of the tiles beyond that of noise."""
    offsets, errors = tiles.offsets[tiles.counting], tiles.errors[tiles.counting]
    if offsets.size == 0:
        return math.nan
    excess = offsets**2 - constants.tile * (tiles.kappa * errors) ** 2
    mean = float(np.mean(excess))
    return mean if math.isnan(mean) else math.sqrt(max(0.0, mean))


def _worst_block(tiles: SkyTiles, constants: SkyConstants) -> tuple[float, float, float]:
    """Return the largest departure of 3 x 3 tiles in its errors, and the centre of these."""
    windows = tiles.windows
    if not windows.any() or math.isnan(tiles.kappa * constants.window):
        return math.nan, math.nan, math.nan
    sums = window_sums(np.where(tiles.counting, tiles.offsets, 0.0))
    squares = window_sums(np.where(tiles.counting, tiles.errors, 0.0) ** 2)
    errors = tiles.kappa * np.sqrt(constants.window * squares)
    departures = np.divide(np.abs(sums), errors, out=np.full(sums.shape, -1.0), where=windows)
    j, i = np.unravel_index(int(np.argmax(departures)), departures.shape)
    x, y = (
        (edges[at] + edges[at + WINDOW] - 1) / 2
        for edges, at in ((tiles.x_edges, i), (tiles.y_edges, j))
    )
    return float(departures[j, i]), float(x), float(y)


def _has_step(tiles: SkyTiles, model: Background) -> bool:
    ny, nx = model.values.shape
    along_x = fit_steps(tiles.columns, tiles.y_edges, model.width / nx / 2)
    along_y = fit_steps(tiles.rows, tiles.x_edges, model.height / ny / 2)
    return max(significance(steps, tiles.kappa) for steps in (along_x, along_y)) > FAR


def _detected(exposure: MaskedImage, config: MatchConfig) -> bool:
    """Tell whether sources were looked for, found, and left out of the fit."""
    if _SOURCES not in exposure.planes or _SOURCES not in config.bad_mask_planes:
        return False
    bits = exposure.bits((_SOURCES,))
    starts = range(0, len(exposure.mask), _ROWS_AT_ONCE)
    return any((exposure.mask[row : row + _ROWS_AT_ONCE] & bits).any() for row in starts)


def _science_share(
    residual: NDArray[np.float32],
    reference: NDArray[np.float32],
    science: NDArray[np.float32],
) -> float:
    """Return the median share of the science variance in evenly spaced rows of good pixels."""
    rows = slice(None, None, -(-residual.size // _SAMPLE))
    good = ~np.isnan(residual[rows])
    ours, theirs = (plane[rows][good].astype(np.float64) for plane in (science, reference))
    total = ours + theirs
    usable = np.isfinite(total) & (ours > 0.0) & (theirs >= 0.0)
    return _median(ours[usable] / total[usable])


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if values.size else math.nan
