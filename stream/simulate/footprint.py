"""Where a visit has data: tilted chips with gaps between them, and the border of the field."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stream.simulate.spec import SurveySpec, VisitPlan, generator

__all__ = ["covered_by", "edge_of"]

Bool = NDArray[np.bool_]

_CHIP = (3.1, 1.75)  # sides of a chip with its gap, in sides of a patch
_GAP = 15.0  # pixels
_RAGGED = 1.5  # pixels by which an edge wanders
_EDGE_WIDTH = 3  # pixels beside missing data that a pipeline distrusts


def covered_by(spec: SurveySpec, plan: VisitPlan) -> Bool:
    """Return where on the mosaic the visit has data, bool, [y, x]."""
    rng = generator(spec, 4, plan.visit)
    u, v = _camera_coordinates(spec, plan, rng)
    gap = min(_GAP, 0.06 * spec.size)
    covered = _on_chip(u + _ragged(v, rng), _CHIP[0] * spec.size, gap)
    covered &= _on_chip(v + _ragged(u, rng), _CHIP[1] * spec.size, gap)
    if plan.edge is not None:
        covered &= _inside_border(spec, plan.edge, covered, rng)
    return covered


def edge_of(covered: Bool) -> Bool:
    """Return the covered pixels close to pixels without data."""
    near = np.asarray(ndimage.binary_dilation(~covered, iterations=_EDGE_WIDTH), dtype=np.bool_)
    return near & covered


def _camera_coordinates(
    spec: SurveySpec, plan: VisitPlan, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each pixel's place in the camera, pixels from the centre of the middle chip."""
    height, width = spec.shape
    dither = rng.uniform(0.2, 0.9, 2) * rng.choice((-1.0, 1.0), 2) * spec.size
    if plan.index == 0:  # the first visit points at the field, the others dither around it
        dither *= 0.1
    x = (np.arange(width) - 0.5 * width - dither[0])[None, :]
    y = (np.arange(height) - 0.5 * height - dither[1])[:, None]
    cosine, sine = math.cos(plan.rotation), math.sin(plan.rotation)
    return cosine * x + sine * y, cosine * y - sine * x


def _on_chip(along: NDArray[np.float64], pitch: float, gap: float) -> Bool:
    return np.asarray(np.abs((along + 0.5 * pitch) % pitch - 0.5 * pitch) < 0.5 * (pitch - gap))


def _ragged(along: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a small wandering of an edge as a function of the place along it, pixels."""
    steps = rng.uniform(-_RAGGED, _RAGGED, 1024)
    return np.asarray(steps[(np.floor(along / 3.0).astype(np.intp)) % steps.size])


def _inside_border(
    spec: SurveySpec, edge: tuple[float, float, int], covered: Bool, rng: np.random.Generator
) -> Bool:
    """Return the inner side of a straight border that leaves a fraction of one patch.

    The fraction is that of all the patch's pixels, those in a gap between chips counted as missing.
    """
    angle, fraction, patch = edge
    height, width = spec.shape
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]
    outward = math.cos(angle) * x + math.sin(angle) * y
    outward = outward + _ragged(math.cos(angle) * y - math.sin(angle) * x, rng)
    offset = spec.boxes[patch].offset
    patch_of = np.s_[:, offset : offset + spec.size]
    share = fraction / max(float(covered[patch_of].mean()), fraction)
    limit = np.quantile(outward[patch_of][covered[patch_of]], share)
    return np.asarray(outward <= limit)
