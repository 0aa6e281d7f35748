"""Pictures of a coadd before and after matching.

Only what is drawn is kept: a coadd is summed warp by warp, so the memory does not grow with the
number of visits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from core import MaskedImage
from stream.drawing import DPI, WORDS, Box, Float, Tile, block_mean, median_of, save, show

__all__ = ["Coadd", "coadd_before_after", "mosaic"]

_COADD_BAD = ("NO_DATA", "BAD", "CR")  # saturated and detected pixels belong into a coadd
_WIDE = 720  # pixels, of a coadd's panel
_SIGMA_PER_MAD = 1.4826


@dataclass(frozen=True)
class _Drawing:
    """One panel of a coadd's picture: its title, its pixels averaged for the screen, its place."""

    title: str
    image: Float
    box: Box


class Coadd:
    """A coadd weighted by inverse variance, summed warp by warp.

    Attributes
    ----------
    warps : int
        How many were added, those without a good pixel too.
    """

    def __init__(self) -> None:
        self._total: Float | None = None
        self._weight: Float | None = None
        self._origin = (0, 0)
        self.warps = 0

    def add(self, warp: MaskedImage, addend: NDArray[np.floating] | float = 0.0) -> None:
        """Add a warp.

        Parameters
        ----------
        warp : MaskedImage
            All warps of a coadd have one shape. Each has one weight, the inverse of the median
            of its variance, so that stars do not change it.
        addend : ndarray, [y, x], or float
            Added to the image: the background model, or minus what was planted.
        """
        self.warps += 1
        use = np.isfinite(warp.image) & ((warp.mask & warp.bits(_COADD_BAD)) == 0)
        level = np.nanmedian(warp.variance[use]) if use.any() else math.nan
        if self._total is None or self._weight is None:
            self._total, self._weight = np.zeros(warp.shape), np.zeros(warp.shape)
            self._origin = warp.origin
        if not level > 0.0:
            return
        value = warp.image.astype(np.float64) + addend
        use &= np.isfinite(value)
        self._total[use] += value[use] / level
        self._weight[use] += 1.0 / level

    def tile(self) -> Tile:
        """Return the coadd so far."""
        if self._total is None or self._weight is None:
            raise ValueError("no warp was added to the coadd")
        with np.errstate(invalid="ignore", divide="ignore"):
            return Tile(self._total / self._weight, self._origin)


def mosaic(tiles: Sequence[Tile]) -> Tile:
    """Put tiles of one tract side by side; where they overlap the mean is taken."""
    x0, y0 = min(t.origin[0] for t in tiles), min(t.origin[1] for t in tiles)
    width = max(t.origin[0] + t.image.shape[1] for t in tiles) - x0
    height = max(t.origin[1] + t.image.shape[0] for t in tiles) - y0
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for tile in tiles:
        x, y = tile.origin[0] - x0, tile.origin[1] - y0
        box = np.s_[y : y + tile.image.shape[0], x : x + tile.image.shape[1]]
        good = np.isfinite(tile.image)
        total[box] += np.where(good, tile.image, 0.0)
        count[box] += good
    with np.errstate(invalid="ignore", divide="ignore"):
        return Tile(total / count, (x0, y0))


def coadd_before_after(  # noqa: PLR0913 - what is drawn, and three words about it
    path: Path,
    before: Tile,
    after: Tile,
    *,
    title: str,
    unit: str,
    errors: tuple[Tile, Tile] | None = None,
) -> None:
    """Draw a coadd without and with the models, at the same stretch, to a PNG.

    Parameters
    ----------
    path : Path
        The file.
    before, after : Tile
        The coadds; each is drawn about its own median, which its title names.
    title, unit : str
        What is shown; the unit of the image.
    errors : pair of Tile, optional
        Both coadds less what they should be, where that is known. Drawn at one stretch of their
        own, averaged over more pixels.
    """
    rows = [(_levelled("before matching", before), _levelled("after matching", after))]
    if errors is not None:
        rows.append((_levelled("before - truth", errors[0]), _levelled("after - truth", errors[1])))
    height, width = before.image.shape
    panel = min(6.9 * height / width, 10.0)
    size = (16.0, len(rows) * (panel + 0.85) + 0.4)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    figure.suptitle(title, **WORDS)
    axes = figure.subplots(len(rows), 2, squeeze=False, sharex=True, sharey=True)
    for row, drawings, colours in zip(axes, rows, ("gray", "PuOr_r"), strict=False):
        _coadd_row(figure, list(row), drawings, colours, unit)
    save(figure, path)


def _levelled(name: str, tile: Tile) -> _Drawing:
    """Subtract a tile's median and name it; average the tile for the screen."""
    level = median_of(tile.image)
    image = block_mean(tile.image, math.ceil(tile.image.shape[1] / _WIDE))
    return _Drawing(f"{name} (less its median, {level:.4g})", image - level, tile.box)


def _coadd_row(
    figure: Figure, axes: list[Axes], row: tuple[_Drawing, _Drawing], colours: str, unit: str
) -> None:
    limits = _stretch([drawing.image for drawing in row], symmetric=colours != "gray")
    drawn = [
        show(axis, drawing.image, drawing.box, limits, colours)
        for axis, drawing in zip(axes, row, strict=True)
    ]
    for axis, drawing in zip(axes, row, strict=True):
        axis.set_title(drawing.title)
        axis.set_xlabel("x, tract pixels")
    axes[0].set_ylabel("y, tract pixels")
    bar = figure.colorbar(drawn[0], ax=axes, fraction=0.03, pad=0.01, extend="both")
    bar.set_label(f"{unit} a pixel", parse_math=False)


def _stretch(images: Iterable[Float], *, symmetric: bool) -> tuple[float, float]:
    """Return one range for all: the sky's own extent, with room above it for faint sources."""
    values = np.concatenate([image[np.isfinite(image)] for image in images])
    if values.size == 0:
        return -1.0, 1.0
    low, high = (float(v) for v in np.percentile(values, [0.5, 96.0]))
    if symmetric:
        high = max(-low, high, 1e-6)
        return -high, high
    spread = max(_SIGMA_PER_MAD * median_of(np.abs(values)), 1e-6)
    return min(low, -3.0 * spread), max(high, 4.0 * spread)
