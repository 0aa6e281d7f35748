"""The pictures of a simulated survey: its coadd across all patches, and the page of a group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core import MaskedImage
from stream import fits
from stream.pictures import (
    Coadd,
    VisitPanel,
    coadd_before_after,
    group_page,
    mosaic,
    visit_panel,
)
from stream.simulate.manifest import GroupEntry, SurveyManifest
from stream.simulate.verify import group_truth

__all__ = ["GroupOutcome", "draw_coadd", "draw_group"]

_UNIT = "count"


@dataclass(frozen=True)
class GroupOutcome:
    """What was published of a group, by visit.

    Attributes
    ----------
    reference : int
        The reference visit.
    models : mapping of int to ndarray, float32, [y, x]
        The models, counts.
    fit_rms, ratio : mapping of int to float
        Root mean square of each fit, counts; its mse/variance.
    notes : mapping of int to str
        Why a visit has no model.
    """

    reference: int
    models: Mapping[int, NDArray[np.float32]]
    fit_rms: Mapping[int, float] = field(default_factory=dict)
    ratio: Mapping[int, float] = field(default_factory=dict)
    notes: Mapping[int, str] = field(default_factory=dict)


def draw_coadd(
    manifest: SurveyManifest, band: str, outcomes: Mapping[str, GroupOutcome], path: Path
) -> None:
    """Draw one band's coadd over all patches before and after matching, and what is wrong with it.

    Parameters
    ----------
    manifest : SurveyManifest
        The survey on disk; its warps are read again.
    band : str
        The band.
    outcomes : mapping of str to GroupOutcome
        By group key. A group that is not in it stays out of the picture.
    path : Path
        The PNG.
    """
    sums = [
        _coadds(manifest, group, outcomes[group.key])
        for group in manifest.groups
        if group.band == band and group.key in outcomes
    ]
    before, after, wrong_before, wrong_after = (
        mosaic([coadd.tile() for coadd in coadds]) for coadds in zip(*sums, strict=True)
    )
    visits = max(len(group.visits) for group in manifest.groups if group.band == band)
    coadd_before_after(
        path,
        before,
        after,
        title=f"Coadd of {visits} visits in {band}, {len(sums)} patches",
        unit=_UNIT,
        errors=(wrong_before, wrong_after),
    )


def _coadds(
    manifest: SurveyManifest, group: GroupEntry, outcome: GroupOutcome
) -> tuple[Coadd, Coadd, Coadd, Coadd]:
    """Return the group's coadd before, after, and both less what they should be.

    A coadd should be the sources on the sky of the reference. A visit without a model takes part
    in the coadd before matching only.
    """
    before, after, wrong_before, wrong_after = Coadd(), Coadd(), Coadd(), Coadd()
    truth = group_truth(manifest, group)
    base = truth[outcome.reference].sky
    for visit, warp in _warps(manifest, group):
        planted = truth[visit].sources + base
        before.add(warp)
        wrong_before.add(warp, -planted)
        if visit in outcome.models or visit == outcome.reference:
            model = outcome.models.get(visit, np.zeros_like(base))
            after.add(warp, model)
            wrong_after.add(warp, model - planted)
    return before, after, wrong_before, wrong_after


def draw_group(
    manifest: SurveyManifest, group: GroupEntry, outcome: GroupOutcome, path: Path
) -> None:
    """Draw the page of one group: every visit's difference, model and residual.

    Parameters
    ----------
    manifest : SurveyManifest
        The survey on disk; the group's warps are read again.
    group : GroupEntry
        The group.
    outcome : GroupOutcome
        What was published of it.
    path : Path
        The PNG.
    """
    warps = dict(_warps(manifest, group))
    reference = warps.pop(outcome.reference)
    panels = [_panel(visit, reference, warp, outcome) for visit, warp in warps.items()]
    group_page(path, panels, reference=outcome.reference, title=group.key, unit=_UNIT)


def _panel(
    visit: int, reference: MaskedImage, warp: MaskedImage, outcome: GroupOutcome
) -> VisitPanel:
    return visit_panel(
        visit,
        reference,
        warp,
        outcome.models.get(visit),
        fit_rms=outcome.fit_rms.get(visit),
        ratio=outcome.ratio.get(visit),
        note=outcome.notes.get(visit, ""),
    )


def _warps(manifest: SurveyManifest, group: GroupEntry) -> list[tuple[int, MaskedImage]]:
    limits = fits.DecodeLimits()
    return [
        (warp.visit, fits.decode(manifest.path(warp).read_bytes(), limits))
        for warp in manifest.warps_of(group)
    ]
