"""The sky that changes with each visit: moonlight, airglow, scattered light, amplifier steps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stream.simulate.spec import BANDS, SurveySpec, VisitPlan, generator

__all__ = ["STEP", "beyond_step", "sky_of"]

Float = NDArray[np.float64]

STEP = 3.0
"""Height of the amplifier's step, counts: about the noise of one pixel."""

_STEP_AT = 0.6  # of the first patch's width
_FULL_MOON = 34.0  # counts a pixel in r at its height
_HALO_EVERY = 3  # each third visit catches the scattered light of a bright star


def sky_of(spec: SurveySpec, plan: VisitPlan) -> Float:
    """Return a visit's own sky on the mosaic of all patches.

    Returns
    -------
    ndarray, float64, [y, x]
        Counts a pixel, at zero point 27; smooth but for the amplifier's step.
    """
    rng = generator(spec, 3, plan.visit)
    dark = BANDS[plan.band].dark
    x, y = _coordinates(spec)
    level, glow = rng.uniform(1.0, 1.08), _airglow(x, y, rng)
    if plan.index == 0:  # the night's best visit: dark and even wherever it is looked at
        level, glow = 0.96, 0.4 * glow
    sky = dark * level * (1.0 + glow)
    sky = sky + _moonlight(x, y, plan, rng)
    if plan.index % _HALO_EVERY == 1:
        sky = sky + dark * _halo(x, y, spec, rng)
    if plan.amplifier_step:
        sky = sky + STEP * beyond_step(spec, plan)
    return np.asarray(np.broadcast_to(sky, spec.shape), dtype=np.float64)


def _coordinates(spec: SurveySpec) -> tuple[Float, Float]:
    """Return x [1, W] and y [H, 1] in pixels from the mosaic's centre."""
    height, width = spec.shape
    x = np.arange(width, dtype=np.float64) - 0.5 * (width - 1)
    y = np.arange(height, dtype=np.float64) - 0.5 * (height - 1)
    return np.asarray(x[None, :]), np.asarray(y[:, None])


def _airglow(x: Float, y: Float, rng: np.random.Generator) -> Float:
    """Return a few long waves and a slope, relative to the dark sky."""
    glow = np.zeros((y.shape[0], x.shape[1]))
    for _ in range(3):
        wave = 2.0 * math.pi / rng.uniform(520.0, 1500.0)
        angle, phase = rng.uniform(0.0, math.pi), rng.uniform(0.0, 2.0 * math.pi)
        glow += rng.uniform(0.008, 0.024) * np.cos(
            wave * (math.cos(angle) * x + math.sin(angle) * y) + phase
        )
    slope = rng.normal(0.0, 1.5e-5, 2)
    return np.asarray(glow + slope[0] * x + slope[1] * y)


def _moonlight(x: Float, y: Float, plan: VisitPlan, rng: np.random.Generator) -> Float:
    """Return moonlight that brightens, ever faster, towards the moon; counts."""
    level = _FULL_MOON * BANDS[plan.band].moon * plan.moon
    angle = math.radians(25.0 + 120.0 * (plan.mjd % 1.0)) + rng.normal(0.0, 0.15)
    towards = (math.cos(angle) * x + math.sin(angle) * y) / 1000.0
    return np.asarray(level * (1.0 + 0.22 * towards + 0.06 * towards**2))


def _halo(x: Float, y: Float, spec: SurveySpec, rng: np.random.Generator) -> Float:
    """Return the broad halo of a bright star in or near the field, relative to the dark sky."""
    height, width = spec.shape
    cx, cy = rng.uniform(-0.5, 0.5) * width, rng.uniform(-0.6, 0.6) * height
    core = rng.uniform(130.0, 220.0)
    return np.asarray(rng.uniform(0.08, 0.16) / (1.0 + ((x - cx) ** 2 + (y - cy) ** 2) / core**2))


def beyond_step(spec: SurveySpec, plan: VisitPlan) -> NDArray[np.bool_]:
    """Return where the second amplifier read the chip: beyond a line across the first patch.

    Returns
    -------
    ndarray, bool, [y, x]
        On the mosaic of all patches.
    """
    x, y = _coordinates(spec)
    along = math.cos(plan.rotation) * x + math.sin(plan.rotation) * y
    return np.asarray(along < _STEP_AT * spec.size - 0.5 * spec.shape[1])
