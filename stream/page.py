"""The page of a group: of each visit the difference, the model, and what the match leaves.

A visit is averaged down to thumbnails before it is kept, so the memory does not grow with the
size of a warp, nor the page with the number of visits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from core import MaskedImage, MatchConfig
from stream.drawing import DPI, WORDS, Box, Float, Tile, block_mean, median_of, save, show

__all__ = ["Findings", "VisitPanel", "group_page", "visit_panel"]

_THUMBNAIL = 150  # pixels: averaging shows what the noise of single pixels hides
_BLOCKS_A_BIN = 2  # of the residual: sky that is left shows at the scale of the bins
_FEWEST_BLOCKS = 16  # along the shorter side of a residual, however large the bins
_LEAST_GOOD = 0.1  # share of good pixels below which a block of the residual says nothing
_CLIP = 3.0  # sigma: what stars leave would hide the sky
_SIGMA_PER_MAD = 1.4826
_PAGE = 24  # visits
_PANEL = 1.87  # inches, the width of a page's panel
_LEFTS = (0.7, 0.7 + _PANEL + 0.1, 0.7 + 2 * _PANEL + 0.95)  # inches, where panels begin
_CELL_WIDTH = _LEFTS[2] + _PANEL + 0.78  # inches, for one visit
_UNDER, _BETWEEN = 0.42, 0.92  # inches below a panel, and between two of them
_TOP, _BOTTOM = 0.45, 0.62  # inches
_LEGEND = (
    "Of each visit the difference, the model, and the residual; grey: masked or missing in one\n"
    "of the two. Difference and model share a scale. Residuals are clipped means of half a bin,\n"
    "on one scale, 4 sigma of their noise; framed: the block for which a model was rejected."
)
_REJECT = "reject"
_WARNING = "#c1121f"  # red that stands out on paper too
_FRAME = "#00a6d6"  # found in neither colour map


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found out about a visit, as its panel says it.

    Attributes
    ----------
    visit : int
        The visit.
    fit_rms, ratio, sky_chi2 : float or None
        Root mean square of the fit, in the image's unit, mse/variance, and the structure left in
        the sky over its noise.
    verdict : str
        ``accept``, ``reject`` or ``none``.
    reasons : tuple of str
        In a word each, why it was rejected.
    worst : tuple of float, or None
        Left, right, bottom, top, in tract pixels, of the block of sky for which it was rejected.
    note : str
        More to say, such as why there is no model.
    """

    visit: int
    fit_rms: float | None = None
    ratio: float | None = None
    sky_chi2: float | None = None
    verdict: str = "none"
    reasons: tuple[str, ...] = ()
    worst: Box | None = None
    note: str = ""

    @property
    def badness(self) -> tuple[bool, float]:
        """Larger for what an astronomer wants to see first; a visit without a model is worst."""
        figure = self.ratio if self.sky_chi2 is None else self.sky_chi2
        return figure is None or self.verdict == _REJECT, math.inf if figure is None else figure


@dataclass(frozen=True)
class VisitPanel:
    """One visit's part of a page: thumbnails, and the findings that stand with them.

    Attributes
    ----------
    findings : Findings
    difference, residual : ndarray, float64, [y, x]
        Reference less warp, and that less the model, averaged over good pixels; NaN where
        there is none. The residual is averaged over larger blocks, without what is 3 sigma off.
    model : ndarray, float64, [y, x], or None
        The model, averaged as the difference; None when there is none.
    box : tuple of float
        Left, right, bottom, top in tract pixels.
    noise, residual_noise : float
        Standard deviation of a pixel of the difference's thumbnail, and of the residual's.
    """

    findings: Findings
    difference: Float
    model: Float | None
    residual: Float
    box: Box
    noise: float
    residual_noise: float

    @property
    def titles(self) -> tuple[str, str, str]:
        """What stands above the difference, the model and the residual, in two lines each."""
        found = self.findings
        verdict = "" if found.verdict == "none" else f": {found.verdict}"
        why = found.reasons[0] if found.reasons else "difference"
        more = ", ..." if len(found.reasons) > 1 else ""
        model = found.note or ("no model" if self.model is None else "model")
        rms = "" if found.fit_rms is None else f"fit_rms {found.fit_rms:.3g}"
        chi2 = "" if found.sky_chi2 is None else f", sky_chi2 {found.sky_chi2:.2f}"
        ratio = "" if found.ratio is None else f"mse/var {found.ratio:.3f}"
        return (
            f"visit {found.visit}{verdict}\n{why}{more}",
            f"{model}\n{rms}",
            f"residual{chi2}\n{ratio}",
        )


def visit_panel(
    findings: Findings,
    reference: MaskedImage,
    warp: MaskedImage,
    model: NDArray[np.floating] | None,
    config: MatchConfig | None = None,
) -> VisitPanel:
    """Average one visit down to what a page shows of it.

    Parameters
    ----------
    findings : Findings
        Words and numbers of the match.
    reference, warp : MaskedImage
        Both exposures, of one shape.
    model : ndarray, [y, x], or None
        The model of reference less warp.
    config : MatchConfig, optional
        Names the mask planes whose pixels are left out, and the size of the bins; LSST's default
        if not given.
    """
    config = config or MatchConfig()
    planes = config.bad_mask_planes
    bad = ((reference.mask & reference.bits(planes)) | (warp.mask & warp.bits(planes))) != 0
    difference = np.where(bad, np.nan, reference.image.astype(np.float64) - warp.image)
    fine, coarse = _factors(warp.shape, config.bin_size)
    level = median_of(reference.variance[~bad].astype(np.float64) + warp.variance[~bad])
    left: Float = difference if model is None else difference - model.astype(np.float64)
    residual, residual_noise = _averaged(left, coarse)
    return VisitPanel(
        findings=findings,
        difference=block_mean(difference, fine),
        model=None if model is None else block_mean(model, fine),
        residual=residual,
        box=Tile(difference, warp.origin).box,
        noise=math.sqrt(level) / fine if level > 0.0 else 1.0,
        residual_noise=residual_noise,
    )


def _averaged(image: Float, factor: int) -> tuple[Float, float]:
    """Return clipped means of blocks, NaN where hardly a pixel is good, and their usual noise."""
    spread = _SIGMA_PER_MAD * median_of(np.abs(image - median_of(image)))
    with np.errstate(invalid="ignore"):
        kept = np.where(np.abs(image - median_of(image)) <= _CLIP * spread, image, np.nan)
    share = block_mean(np.isfinite(kept).astype(np.float64), factor)
    means = np.where(share >= _LEAST_GOOD, block_mean(kept, factor), np.nan)
    usual = median_of(np.where(np.isfinite(means), share, np.nan))
    return means, spread / (factor * math.sqrt(usual)) if spread > 0.0 and usual > 0.0 else 1.0


def _factors(shape: tuple[int, int], bin_size: int) -> tuple[int, int]:
    """Return over how many pixels a side differences and residuals are averaged."""
    fine = math.ceil(max(shape) / _THUMBNAIL)
    coarse = min(bin_size // _BLOCKS_A_BIN, min(shape) // _FEWEST_BLOCKS)
    return fine, max(fine, coarse)


def group_page(
    path: Path, panels: Sequence[VisitPanel], *, reference: int, title: str, unit: str
) -> None:
    """Draw a group to a PNG: of each visit the difference, the model and the residual.

    Parameters
    ----------
    path : Path
        The file.
    panels : sequence of VisitPanel
        The visits but the reference, in the order of the page. Of more than 24 the page shows the
        worst: those without a model, those rejected, and those whose sky_chi2 is largest.
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
    figure = Figure(figsize=size, dpi=DPI)
    of_all = f", {len(shown)} of {len(panels)} visits" if len(shown) < len(panels) else ""
    words = f"{title}: reference {reference} - warp, {unit}{of_all}"
    figure.text(0.5, 1.0 - 0.2 / size[1], words, ha="center", va="center", **WORDS)
    figure.text(0.5, 0.1 / size[1], _LEGEND, ha="center", va="bottom", fontsize=9)
    limit = 4.0 * median_of(np.array([panel.residual_noise for panel in shown]))
    for place, panel in enumerate(shown):
        row, column = divmod(place, columns)
        corner = (column * cell[0], size[1] - _TOP - (row + 1) * cell[1])
        _page_row(_Sheet(figure, size, corner, cell[1] - _BETWEEN), panel, limit)
    save(figure, path)


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
    places = range(len(panels))
    kept = sorted(places, key=lambda place: panels[place].findings.badness, reverse=True)[:_PAGE]
    return [panels[place] for place in sorted(kept)]


def _panel_height(panels: Sequence[VisitPanel]) -> float:
    """Return the height of a panel in inches, from the shape of what it shows."""
    shape = panels[0].difference.shape if panels else (1, 1)
    return float(np.clip(_PANEL * shape[0] / shape[1], 0.5 * _PANEL, 2.5 * _PANEL))


def _page_row(sheet: _Sheet, panel: VisitPanel, limit: float) -> None:
    axes = [sheet.axes(left, _PANEL) for left in _LEFTS]
    span = _span(panel)
    model = np.full_like(panel.difference, np.nan) if panel.model is None else panel.model
    rest = np.full_like(panel.residual, np.nan) if panel.model is None else panel.residual
    scale = limit if limit > 0.0 else 1.0
    drawn = show(axes[0], panel.difference, panel.box, span, "cividis")
    show(axes[1], model, panel.box, span, "cividis")
    residual = show(axes[2], rest, panel.box, (-scale, scale), "PuOr_r")
    sheet.colours(drawn, _LEFTS[1] + _PANEL + 0.07)
    sheet.colours(residual, _LEFTS[2] + _PANEL + 0.07)
    _write(axes, panel)
    if panel.findings.worst is not None:
        _frame(axes[2], panel.findings.worst)


def _write(axes: Sequence[Axes], panel: VisitPanel) -> None:
    for axis, title in zip(axes, panel.titles, strict=True):
        axis.set_title(title, fontsize=9, parse_math=False)
        axis.tick_params(labelsize=8)
        axis.locator_params(nbins=4)
    if panel.findings.verdict == _REJECT:
        axes[0].title.set_color(_WARNING)
    for axis in axes[1:]:
        axis.tick_params(labelleft=False)
    axes[0].set_ylabel("y, tract pixels", fontsize=8)
    axes[1].set_xlabel("x, tract pixels", fontsize=8)


def _frame(axis: Axes, box: Box) -> None:
    """Frame a part of an image; what lies beyond its edge is cut off."""
    left, right, bottom, top = box
    axis.add_patch(
        Rectangle((left, bottom), right - left, top - bottom, fill=False, ec=_FRAME, lw=1.6)
    )


def _span(panel: VisitPanel) -> tuple[float, float]:
    """Return the range of the model where there is a difference, with room for the noise.

    Where there is none the model may run far off, and would take the colours from the rest.
    """
    seen = np.isfinite(panel.difference)
    image = panel.difference if panel.model is None else panel.model
    good = image[seen & np.isfinite(image)]
    if good.size == 0:
        return -1.0, 1.0
    low, high = np.percentile(good, [0.5, 99.5])
    return float(low) - 2.0 * panel.noise, float(high) + 2.0 * panel.noise
