"""Pictures of a match: a coadd before and after it, and a page for a group with each visit's part.

Only what is drawn is kept: a coadd is summed warp by warp, a visit is averaged down to a thumbnail,
so the memory does not grow with the number of visits.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
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

from core import MaskedImage, MatchConfig

__all__ = [
    "Coadd",
    "Tile",
    "VisitPanel",
    "block_mean",
    "coadd_before_after",
    "group_page",
    "mosaic",
    "visit_panel",
]

Float = NDArray[np.float64]
Box = tuple[float, float, float, float]

_COADD_BAD = ("NO_DATA", "BAD", "CR")  # saturated and detected pixels belong into a coadd
_THUMBNAIL = 150  # pixels: averaging shows what the noise of single pixels hides
_WIDE = 720  # pixels, of a coadd's panel
_PAGE = 24  # visits
_PANEL = 1.87  # inches, the width of a page's panel
_LEFTS = (0.7, 0.7 + _PANEL + 0.1, 0.7 + 2 * _PANEL + 0.95)  # inches, where panels begin
_CELL_WIDTH = _LEFTS[2] + _PANEL + 0.78  # inches, for one visit
_UNDER, _BETWEEN = 0.42, 0.78  # inches below a panel, and between two of them
_TOP, _BOTTOM = 0.45, 0.45  # inches
_WORDS: Mapping[str, Any] = {"fontsize": 15, "parse_math": False}
_LEGEND = (
    "Grey: masked or missing in one of the two. A visit's difference and model share a scale;\n"
    "the residuals of all visits have one scale, 4 sigma of the noise of what is drawn."
)
_DPI = 100
_GREY = "0.72"
_SIGMA_PER_MAD = 1.4826


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


@dataclass(frozen=True)
class _Drawing:
    """One panel of a coadd's picture: its title, its pixels averaged for the screen, its place."""

    title: str
    image: Float
    box: Box


class Coadd:
    """A coadd weighted by inverse variance, summed warp by warp."""

    def __init__(self) -> None:
        self._total: Float | None = None
        self._weight: Float | None = None
        self._origin = (0, 0)

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
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    figure.suptitle(title, **_WORDS)
    axes = figure.subplots(len(rows), 2, squeeze=False, sharex=True, sharey=True)
    for row, drawings, colours in zip(axes, rows, ("gray", "PuOr_r"), strict=False):
        _coadd_row(figure, list(row), drawings, colours, unit)
    _save(figure, path)


def _levelled(name: str, tile: Tile) -> _Drawing:
    """Subtract a tile's median and name it; average the tile for the screen."""
    level = _median(tile.image)
    image = block_mean(tile.image, math.ceil(tile.image.shape[1] / _WIDE))
    return _Drawing(f"{name} (less its median, {level:.4g})", image - level, tile.box)


def _coadd_row(
    figure: Figure, axes: list[Axes], row: tuple[_Drawing, _Drawing], colours: str, unit: str
) -> None:
    limits = _stretch([drawing.image for drawing in row], symmetric=colours != "gray")
    drawn = [
        _show(axis, drawing.image, drawing.box, limits, colours)
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
    spread = max(_SIGMA_PER_MAD * _median(np.abs(values)), 1e-6)
    return min(low, -3.0 * spread), max(high, 4.0 * spread)


@dataclass(frozen=True)
class VisitPanel:
    """One visit's part of a page: thumbnails, and the numbers that stand with them.

    Attributes
    ----------
    visit : int
        The visit.
    difference, residual : ndarray, float64, [y, x]
        Reference less warp, and that less the model, averaged over good pixels; NaN where
        there is none.
    model : ndarray, float64, [y, x], or None
        The model, averaged alike; None when there is none.
    box : tuple of float
        Left, right, bottom, top in tract pixels.
    noise : float
        Standard deviation of a pixel of the thumbnail's difference.
    fit_rms, ratio : float or None
        Root mean square of the fit, and mse/variance.
    note : str
        More to say, such as why there is no model.
    """

    visit: int
    difference: Float
    model: Float | None
    residual: Float
    box: Box
    noise: float
    fit_rms: float | None
    ratio: float | None
    note: str = ""

    @property
    def titles(self) -> tuple[str, str, str]:
        """What stands above the difference, the model and the residual."""
        rms = "" if self.fit_rms is None else f", rms {self.fit_rms:.3g}"
        ratio = "" if self.ratio is None else f", mse/var {self.ratio:.3f}"
        model = self.note or ("no model" if self.model is None else "model")
        return f"visit {self.visit}: difference", f"{model}{rms}", f"residual{ratio}"


def visit_panel(  # noqa: PLR0913 - the numbers of a match come one by one
    visit: int,
    reference: MaskedImage,
    warp: MaskedImage,
    model: NDArray[np.floating] | None,
    *,
    fit_rms: float | None = None,
    ratio: float | None = None,
    note: str = "",
    config: MatchConfig | None = None,
) -> VisitPanel:
    """Average one visit down to what a page shows of it.

    Parameters
    ----------
    visit : int
        The visit.
    reference, warp : MaskedImage
        Both exposures, of one shape.
    model : ndarray, [y, x], or None
        The model of reference less warp.
    fit_rms, ratio : float or None
        Numbers of the match.
    note : str
        More to say.
    config : MatchConfig, optional
        Names the mask planes whose pixels are left out; LSST's default if not given.
    """
    planes = (config or MatchConfig()).bad_mask_planes
    bad = ((reference.mask & reference.bits(planes)) | (warp.mask & warp.bits(planes))) != 0
    difference = np.where(bad, np.nan, reference.image.astype(np.float64) - warp.image)
    factor = math.ceil(max(warp.shape) / _THUMBNAIL)
    level = _median(reference.variance[~bad].astype(np.float64) + warp.variance[~bad])
    thumbnail = block_mean(difference, factor)
    small = None if model is None else block_mean(model, factor)
    return VisitPanel(
        visit=visit,
        difference=thumbnail,
        model=small,
        residual=thumbnail if model is None else block_mean(difference - model, factor),
        box=Tile(difference, warp.origin).box,
        noise=math.sqrt(level) / factor if level > 0.0 else 1.0,
        fit_rms=fit_rms,
        ratio=ratio,
        note=note,
    )


def group_page(
    path: Path, panels: Sequence[VisitPanel], *, reference: int, title: str, unit: str
) -> None:
    """Draw a group to a PNG: of each visit the difference, the model and the residual.

    Parameters
    ----------
    path : Path
        The file.
    panels : sequence of VisitPanel
        The visits but the reference, in the order of the page. Of more than 24 the page shows those
        whose mse/variance is largest.
    reference : int
        The reference visit.
    title, unit : str
        The group; the unit of the images.
    """
    shown = _worst(panels)
    columns = min(2, max(1, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    cell = _CELL_WIDTH, _panel_height(shown) + _BETWEEN
    size = (cell[0] * columns, cell[1] * rows + _TOP + _BOTTOM)
    figure = Figure(figsize=size, dpi=_DPI)
    of_all = f", {len(shown)} of {len(panels)} visits" if len(shown) < len(panels) else ""
    words = f"{title}: reference {reference} - warp, {unit}{of_all}"
    figure.text(0.5, 1.0 - 0.2 / size[1], words, ha="center", va="center", **_WORDS)
    figure.text(0.5, 0.1 / size[1], _LEGEND, ha="center", va="bottom", fontsize=9)
    limit = 4.0 * _median(np.array([panel.noise for panel in shown]))
    for place, panel in enumerate(shown):
        row, column = divmod(place, columns)
        corner = (column * cell[0], size[1] - _TOP - (row + 1) * cell[1])
        _page_row(_Sheet(figure, size, corner, cell[1] - _BETWEEN), panel, limit)
    _save(figure, path)


@dataclass(frozen=True)
class _Sheet:
    """Part of a figure on which axes are placed in inches: much faster than matplotlib's layout."""

    figure: Figure
    size: tuple[float, float]
    corner: tuple[float, float]
    height: float

    def axes(self, left: float, width: float) -> Axes:
        """Return axes as high as a panel."""
        x, y = self.corner[0] + left, self.corner[1] + _UNDER
        box = (x / self.size[0], y / self.size[1], width / self.size[0], self.height / self.size[1])
        return self.figure.add_axes(box)

    def colours(self, image: AxesImage, left: float) -> None:
        """Draw the scale of an image."""
        bar = self.figure.colorbar(image, cax=self.axes(left, 0.09), extend="both")
        bar.ax.tick_params(labelsize=8)


def _worst(panels: Sequence[VisitPanel]) -> list[VisitPanel]:
    """Return as many panels as a page holds, in their order."""

    def badness(place: int) -> float:
        ratio = panels[place].ratio
        return math.inf if ratio is None else ratio

    kept = sorted(range(len(panels)), key=badness, reverse=True)[:_PAGE]
    return [panels[place] for place in sorted(kept)]


def _panel_height(panels: Sequence[VisitPanel]) -> float:
    """Return the height of a panel in inches, from the shape of what it shows."""
    shape = panels[0].difference.shape if panels else (1, 1)
    return float(np.clip(_PANEL * shape[0] / shape[1], 0.5 * _PANEL, 2.5 * _PANEL))


def _page_row(sheet: _Sheet, panel: VisitPanel, limit: float) -> None:
    axes = [sheet.axes(left, _PANEL) for left in _LEFTS]
    span = _span(panel)
    empty = np.full_like(panel.difference, np.nan)
    model = empty if panel.model is None else panel.model
    rest = empty if panel.model is None else panel.residual
    scale = limit if limit > 0.0 else 1.0
    drawn = _show(axes[0], panel.difference, panel.box, span, "cividis")
    _show(axes[1], model, panel.box, span, "cividis")
    residual = _show(axes[2], rest, panel.box, (-scale, scale), "PuOr_r")
    sheet.colours(drawn, _LEFTS[1] + _PANEL + 0.07)
    sheet.colours(residual, _LEFTS[2] + _PANEL + 0.07)
    for axis, title in zip(axes, panel.titles, strict=True):
        axis.set_title(title, fontsize=10, parse_math=False)
        axis.tick_params(labelsize=8)
        axis.locator_params(nbins=4)
    for axis in axes[1:]:
        axis.tick_params(labelleft=False)
    axes[0].set_ylabel("y, tract pixels", fontsize=8)
    axes[1].set_xlabel("x, tract pixels", fontsize=8)


def _span(panel: VisitPanel) -> tuple[float, float]:
    """Return the range of the model, or of the difference, with room for the noise."""
    image = panel.difference if panel.model is None else panel.model
    good = image[np.isfinite(image)]
    if good.size == 0:
        return -1.0, 1.0
    low, high = np.percentile(good, [0.5, 99.5])
    return float(low) - 2.0 * panel.noise, float(high) + 2.0 * panel.noise


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


def _median(values: Float) -> float:
    good = values[np.isfinite(values)]
    return float(np.median(good)) if good.size else math.nan


def _show(axis: Axes, image: Float, box: Box, limits: tuple[float, float], name: str) -> AxesImage:
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


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name that the font lacks
        figure.savefig(path, format="png")
