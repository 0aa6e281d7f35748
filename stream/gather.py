"""What the pictures of a group are drawn from: its coadds and its visits, one warp at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

import core
import schemas
from stream.drawing import Box
from stream.page import Findings, VisitPanel, visit_panel
from stream.pictures import Coadd
from stream.rebuild import background

__all__ = ["Gathered", "gather", "mse_ratio"]

Image = NDArray[np.floating]

_OF_A_PLACE: Final = {"sky_chi2", "worst_block"}
"""Reasons of a rejection that a place in the image may show."""

_READABLE: Final = ("reference", "matched", "no_overlap")


@dataclass(slots=True)
class Gathered:
    """A group's coadds without and with its models, and a panel for each matched visit.

    Attributes
    ----------
    before, after : Coadd
        Inverse-variance coadds of the warps, and of the warps plus their models without those
        whose models are rejected.
    before_error, after_error : Coadd
        The same less what was planted; empty without truth.
    panels : list of VisitPanel
    """

    before: Coadd = field(default_factory=Coadd)
    after: Coadd = field(default_factory=Coadd)
    before_error: Coadd = field(default_factory=Coadd)
    after_error: Coadd = field(default_factory=Coadd)
    panels: list[VisitPanel] = field(default_factory=list)


def gather(
    models: Iterable[schemas.BackgroundModel],
    read: Callable[[int], core.MaskedImage],
    config: core.MatchConfig,
    planted: Callable[[int], Image] | None = None,
) -> Gathered:
    """Gather a group for its pictures.

    Parameters
    ----------
    models : iterable of BackgroundModel
        Those of one revision.
    read : callable
        Returns the warp of a visit, scaled.
    config : MatchConfig
        Whose mask planes are left out of the panels.
    planted : callable, optional
        What the warp of a visit would be, without noise, had it the reference's sky: ``[y, x]``.

    Notes
    -----
    Of all warps only the reference stays in memory.
    """
    gathered = Gathered()
    readable = [model for model in models if model.status in _READABLE]
    base = next((read(model.visit) for model in readable if model.is_reference), None)
    for model in readable:
        warp = base if model.is_reference and base is not None else read(model.visit)
        image = None if model.model is None else background(model.model).image()
        if model.status != "no_overlap":
            truth = None if planted is None else planted(model.visit)
            _add_before(gathered, warp, truth)
            if model.verdict != "reject":
                _add_after(gathered, warp, 0.0 if image is None else image, truth)
        if base is not None and not model.is_reference:
            gathered.panels.append(visit_panel(_findings(model), base, warp, image, config))
    return gathered


def _findings(model: schemas.BackgroundModel) -> Findings:
    quality = model.quality or schemas.Quality()
    reasons = tuple(reason.split()[0].rstrip(":") for reason in model.verdict_reasons)
    return Findings(
        visit=model.visit,
        fit_rms=model.fit_rms,
        ratio=mse_ratio(model),
        sky_chi2=quality.sky_chi2,
        verdict=model.verdict,
        reasons=reasons,
        worst=_block(model.model, quality) if _OF_A_PLACE & {*reasons} else None,
        note="no overlap" if model.status == "no_overlap" else "",
    )


def _block(model: schemas.Model | None, quality: schemas.Quality) -> Box | None:
    """Return the edges of the worst block, three bins a side about its centre, tract pixels."""
    if model is None or quality.worst_x is None or quality.worst_y is None:
        return None
    ny, nx = model.values.shape
    x, y = 1.5 * model.width / nx, 1.5 * model.height / ny
    return quality.worst_x - x, quality.worst_x + x, quality.worst_y - y, quality.worst_y + y


def mse_ratio(model: schemas.BackgroundModel) -> float | None:
    """Return LSST's figure of a match, matched_mse / diff_im_var."""
    if model.matched_mse is None or not model.diff_im_var:
        return None
    return model.matched_mse / model.diff_im_var


def _add_before(gathered: Gathered, warp: core.MaskedImage, planted: Image | None) -> None:
    gathered.before.add(warp)
    if planted is not None:
        gathered.before_error.add(warp, -planted)


def _add_after(
    gathered: Gathered, warp: core.MaskedImage, addend: Image | float, planted: Image | None
) -> None:
    gathered.after.add(warp, addend)
    if planted is not None:
        gathered.after_error.add(warp, addend - planted)
