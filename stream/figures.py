"""Figures of a match as messages have them: places in the tract, and null for NaN."""

from __future__ import annotations

import math
from dataclasses import replace

import core
import schemas
from stream import jobs

__all__ = ["finite", "in_tract", "quality_of"]


def in_tract(result: jobs.Matched) -> core.Quality | None:
    """Return the figures with places in pixels of the tract, as messages have them."""
    found, (x0, y0) = result.quality, result.origin
    if found is None:
        return None
    return replace(found, worst_x=found.worst_x + x0, worst_y=found.worst_y + y0)


def quality_of(result: jobs.Matched) -> schemas.Quality | None:
    """Return the figures as messages have them: null for NaN."""
    found = in_tract(result)
    if found is None:
        return None
    return schemas.Quality(
        tiles=found.tiles,
        kappa=finite(found.kappa),
        sky_chi2=finite(found.sky_chi2),
        worst_block=finite(found.worst_block),
        worst_x=finite(found.worst_x),
        worst_y=finite(found.worst_y),
        sky_offset=finite(found.sky_offset),
        sky_rms=finite(found.sky_rms),
        sky_error=finite(found.sky_error),
        coverage=finite(found.coverage),
        extrapolated_fraction=finite(found.extrapolated_fraction),
    )


def finite(value: float | None) -> float | None:
    """Say None where a message may not say NaN."""
    return value if value is not None and math.isfinite(value) else None
