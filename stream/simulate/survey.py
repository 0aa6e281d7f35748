"""A simulated survey, warp by warp, with the truth behind each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core import MaskedImage
from stream.simulate.exposure import PLANES, Exposure, expose
from stream.simulate.footprint import covered_by
from stream.simulate.skies import beyond_step, sky_of
from stream.simulate.sources import Scene, scene_of
from stream.simulate.spec import PatchBox, SurveySpec, VisitPlan, plan_night

__all__ = ["SimulatedWarp", "simulate"]

Bool = NDArray[np.bool_]

_SHARE_OF_A_STEP = 0.1  # of the seen pixels, that must lie on either side of it
_SHARE_OF_A_GAP = 0.25  # of all pixels


@dataclass(frozen=True)
class SimulatedWarp:
    """One visit on one patch, and the truth behind it.

    Attributes
    ----------
    plan : VisitPlan
        The visit.
    box : PatchBox
        The patch.
    image : MaskedImage
        The warp.
    sky : ndarray, float32, [y, x]
        The planted sky, counts. The model of this warp should be the reference's `sky` minus this.
    sources : ndarray, float32, [y, x]
        The planted sources through this visit's PSF, counts.
    flaws : tuple of str
        What should keep a coadder from using it, sorted: ``amplifier_step`` (crosses this patch),
        ``gap`` (a quarter of the patch or more has no data), ``undetected`` (no source is masked).
    """

    plan: VisitPlan
    box: PatchBox
    image: MaskedImage
    sky: NDArray[np.float32]
    sources: NDArray[np.float32]
    flaws: tuple[str, ...] = ()


def simulate(spec: SurveySpec) -> Iterator[SimulatedWarp]:
    """Simulate a survey: visits in order of time, each on all patches.

    Each visit is exposed once on the mosaic of all patches and cut into warps, so two neighbouring
    patches hold the same pixels where they overlap. Nothing is read or written; the same
    specification gives the same warps.

    Yields
    ------
    SimulatedWarp
        Every patch of every visit.
    """
    scenes = {band: scene_of(spec, band) for band in spec.bands}
    for plan in plan_night(spec):
        yield from _visit(spec, plan, scenes[plan.band])


def _visit(spec: SurveySpec, plan: VisitPlan, scene: Scene) -> Iterator[SimulatedWarp]:
    sources = scene.through(plan.fwhm)
    sky = sky_of(spec, plan)
    covered = covered_by(spec, plan)
    exposure = expose(spec, plan, sources, sky, covered)
    for box in spec.boxes:
        cut = np.s_[:, box.offset : box.offset + spec.size]
        yield SimulatedWarp(
            plan=plan,
            box=box,
            image=_warp(exposure, cut, box),
            sky=sky[cut].astype(np.float32),
            sources=sources[cut].astype(np.float32),
            flaws=tuple(_flaws(plan, covered[cut], beyond_step(spec, plan)[cut])),
        )


def _flaws(plan: VisitPlan, covered: Bool, beyond: Bool) -> Iterator[str]:
    seen = int(np.count_nonzero(covered))
    higher = int(np.count_nonzero(covered & beyond))
    if plan.amplifier_step and min(higher, seen - higher) > _SHARE_OF_A_STEP * seen:
        yield "amplifier_step"
    if seen < (1.0 - _SHARE_OF_A_GAP) * covered.size:
        yield "gap"
    if plan.undetected:
        yield "undetected"


def _warp(exposure: Exposure, cut: tuple[slice, slice], box: PatchBox) -> MaskedImage:
    return MaskedImage(
        np.ascontiguousarray(exposure.image[cut]),
        np.ascontiguousarray(exposure.mask[cut]),
        np.ascontiguousarray(exposure.variance[cut]),
        dict(PLANES),
        origin=(box.x0, box.y0),
    )
