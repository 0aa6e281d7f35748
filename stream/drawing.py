"""What pictures of skies have in common: images with a place, averaged for the screen."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

__all__ = ["DPI", "WORDS", "Box", "Float", "Tile", "block_mean", "median_of", "save", "show"]

Float = NDArray[np.float64]
"""An image, float64 ``[y, x]``, NaN where there are no data."""

Box = tuple[float, float, float, float]
"""Left, right, bottom and top edge, tract pixels."""

DPI = 100
"""Pixels an inch of all pictures."""

WORDS: Mapping[str, Any] = {"fontsize": 15, "parse_math": False}
"""How headings are written: as they are, since names come from strangers."""

_GREY = "0.72"


@dataclass(frozen=True)
class Tile:
    """An image with its place in the tract.

    Attributes
    ----------
    image : ndarray, float64, [y, x]
        NaN where there are no data.
    origin : tuple of int
        ``(x0, y0)``, tract pixels.
    """

    image: Float
    origin: tuple[int, int] = (0, 0)

    @property
    def box(self) -> Box:
        """Left, right, bottom and top edge, tract pixels."""
        (x0, y0), (height, width) = self.origin, self.image.shape
        return x0 - 0.5, x0 + width - 0.5, y0 - 0.5, y0 + height - 0.5


def block_mean(image: NDArray[np.floating], factor: int) -> Float:
    """Average blocks of `factor` x `factor` pixels over those that are finite, [y, x]."""
    rows, columns = (np.arange(0, length, factor) for length in image.shape)
    good = np.isfinite(image)
    total = _sums(np.where(good, image, 0.0), rows, columns)
    count = _sums(good.astype(np.float64), rows, columns)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / count)


def _sums(values: Float, rows: NDArray[np.int_], columns: NDArray[np.int_]) -> Float:
    return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1))


def median_of(values: Float) -> float:
    """Return the median of the finite values, NaN if there are none."""
    good = values[np.isfinite(values)]
    return float(np.median(good)) if good.size else math.nan


def show(axis: Axes, image: Float, box: Box, limits: tuple[float, float], name: str) -> AxesImage:
    """Draw an image in its place, by the colour map `name` between the limits; NaN is grey."""
    axis.set_facecolor(_GREY)
    return axis.imshow(
        image,
        origin="lower",
        extent=box,
        vmin=limits[0],
        vmax=limits[1],
        cmap=_colours(name),
        interpolation="nearest",
    )


def _colours(name: str) -> Colormap:
    return mpl.colormaps[name].with_extremes(bad=_GREY)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name that the font lacks
        figure.savefig(path, format="png")
