"""Each part of a visit's sky, taken out of the whole and held to what it is meant to be."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.simulate.skies import STEP, sky_of
from stream.simulate.spec import BANDS, SurveySpec, VisitPlan, plan_night

SPEC = SurveySpec(size=192, patches=2)
PLANS = [plan for plan in plan_night(SPEC) if plan.band == "r"]
FULL_MOON = 34.0

Float = NDArray[np.float64]


def sky(plan: VisitPlan, **changes: object) -> Float:
    """Return the sky of a visit that differs from the plan in some things."""
    return sky_of(SPEC, dataclasses.replace(plan, **changes))  # type: ignore[arg-type]  # by name


def plain(plan: VisitPlan, **changes: object) -> Float:
    """Return a sky of airglow alone: no moon, no halo, no step, and not the night's best."""
    calm: dict[str, object] = {"moon": 0.0, "index": 2, "amplifier_step": False}
    return sky(plan, **calm | changes)


def places() -> tuple[Float, Float]:
    """Return x and y of each pixel from the middle of the mosaic."""
    rows, columns = np.indices(SPEC.shape).astype(float)
    return columns - columns.mean(), rows - rows.mean()


def moonlight(plan: VisitPlan, moon: float = 1.0) -> Float:
    """Return what the moon alone adds."""
    return np.asarray(plain(plan, moon=moon) - plain(plan))


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("plan", PLANS[:3])
def test_airglow_lies_a_little_above_the_dark_sky(plan: VisitPlan, band: str) -> None:
    """Without moon and stray light a sky is the band's dark one, to a tenth, and never the same."""
    ratio = plain(plan, band=band) / BANDS[band].dark
    assert 0.93 < ratio.min() < ratio.max() < 1.18
    assert 0.002 < ratio.std() < 0.06


@pytest.mark.parametrize("plan", PLANS)
def test_the_nights_best_visit_is_darker_and_more_even(plan: VisitPlan) -> None:
    """At index 0 the level is 0.96 of the dark sky, and the same airglow is 0.4 as strong."""
    best, usual = plain(plan, index=0), plain(plan)
    glow = (best / (0.96 * BANDS["r"].dark) - 1.0) / 0.4
    level = usual / (BANDS["r"].dark * (1.0 + glow))
    assert np.ptp(level) < 1e-9
    assert 1.0 <= level[0, 0] <= 1.08


def test_airglow_has_waves_longer_than_a_patch() -> None:
    """Airglow is smooth: a plane is most of it within a tenth of a patch."""
    x, y = (place[:20, :20].ravel() for place in places())
    basis = np.stack([np.ones_like(x), x, y], axis=1)
    for plan in PLANS:
        glow = plain(plan)[:20, :20].ravel()
        fit = basis @ np.linalg.lstsq(basis, glow, rcond=None)[0]
        assert np.abs(glow - fit).max() < 0.02


def test_airglow_differs_in_level_and_form_from_visit_to_visit() -> None:
    """No two visits share their level or their slopes, in x or in y."""
    skies = [plain(plan) for plan in PLANS]
    for of in (
        np.mean,
        lambda s: s[:, -1].mean() - s[:, 0].mean(),
        lambda s: s[-1].mean() - s[0].mean(),
    ):
        values = sorted(float(of(s)) for s in skies)
        assert np.diff(values).min() > 1e-3


@pytest.mark.parametrize("band", BANDS)
def test_moonlight_in_the_middle_is_the_moons(band: str) -> None:
    """Halfway across the field moonlight is the full moon's, by the band and by its height."""
    plan = dataclasses.replace(PLANS[3], band=band)
    for height in (0.25, 1.0):
        added = moonlight(plan, height)
        middle = (added + added[::-1, ::-1])[added.shape[0] // 2 - 1, added.shape[1] // 2] / 2
        assert middle == pytest.approx(FULL_MOON * BANDS[band].moon * height, rel=1e-5)


@pytest.mark.parametrize("plan", PLANS)
def test_moonlight_rises_ever_faster_towards_the_moon(plan: VisitPlan) -> None:
    """Its odd part is 0.22 t, its even part 1 + 0.06 t^2, t in thousands of pixels to the moon."""
    light = moonlight(plan) / FULL_MOON
    odd, even = (light - light[::-1, ::-1]) / 2, (light + light[::-1, ::-1]) / 2
    towards = odd / 0.22
    assert np.allclose(even, 1.0 + 0.06 * towards**2, atol=1e-9)
    x, y = places()
    slope = np.array([(towards * x).sum() / (x * x).sum(), (towards * y).sum() / (y * y).sum()])
    assert np.allclose(towards, slope[0] * x + slope[1] * y, atol=1e-9)
    assert np.hypot(*slope) == pytest.approx(1e-3)
    # A night turns the moon by its rate; the scatter about that is a sigma of 0.15 radians.
    angle = math.atan2(slope[1], slope[0]) - math.radians(25.0 + 120.0 * (plan.mjd % 1.0))
    assert abs((angle + math.pi) % (2 * math.pi) - math.pi) < 0.6


def halo(plan: VisitPlan, index: int) -> Float:
    """Return what a visit at an index has beyond its airglow, in units of the dark sky."""
    return np.asarray((plain(plan, index=index) - plain(plan)) / BANDS["r"].dark)


@pytest.mark.parametrize("index", range(1, 9))
def test_each_third_visit_catches_a_halo(index: int) -> None:
    """Indices 1, 4, 7 ... have the scattered light of a bright star, the others none."""
    light = halo(PLANS[0], index)
    assert (light.max() > 0.01) == (index % 3 == 1)
    assert light.min() >= 0.0


@pytest.mark.parametrize("plan", PLANS)
def test_a_halo_is_round_and_broad_about_a_star(plan: VisitPlan) -> None:
    """Its inverse is a round bowl: height, core and place come back and are in their ranges."""
    inverse = 1.0 / halo(plan, 1)
    x, y = (place.ravel() for place in places())
    basis = np.stack([np.ones_like(x), x, y, x**2 + y**2], axis=1)
    found = np.linalg.lstsq(basis, inverse.ravel(), rcond=None)[0]
    assert np.allclose(basis @ found, inverse.ravel(), rtol=1e-6)
    centre = -found[1:3] / (2 * found[3])
    height = 1.0 / (found[0] - found[3] * (centre**2).sum())
    assert 0.08 <= height <= 0.16
    assert 130.0 <= math.sqrt(1.0 / (height * found[3])) <= 220.0
    assert abs(centre[0]) <= 0.5 * SPEC.shape[1]
    assert abs(centre[1]) <= 0.6 * SPEC.shape[0]


def test_halos_are_at_different_places() -> None:
    """The brightest pixel of the halo is another in most visits, on both sides of the field."""
    columns = [np.unravel_index(halo(plan, 1).argmax(), SPEC.shape)[1] for plan in PLANS]
    assert len(set(columns)) > 4
    assert min(columns) < SPEC.shape[1] // 2 < max(columns)


@pytest.mark.parametrize("degrees", [-7.0, 0.0, 5.0])
def test_the_amplifiers_step_is_along_the_camera(degrees: float) -> None:
    """The step's line is tilted as the camera is, and crosses the first patch."""
    turned = {"rotation": math.radians(degrees), "index": 2}
    with_step = sky(PLANS[3], amplifier_step=True, **turned)
    step = with_step - sky(PLANS[3], amplifier_step=False, **turned)
    assert np.allclose(step[step > 0], STEP)
    half = 0.5 * SPEC.shape[1]
    ends = (step > 0).sum(axis=1)
    tilt, middle = np.polyfit(np.arange(ends.size) - (ends.size - 1) / 2, ends, 1)
    along = (0.6 * SPEC.size - half) / math.cos(math.radians(degrees))
    assert middle == pytest.approx(half + along, abs=1)
    assert tilt == pytest.approx(-math.tan(math.radians(degrees)), abs=0.01)
    assert (np.diff((step > 0).astype(int), axis=1) <= 0).all()
