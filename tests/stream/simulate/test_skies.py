"""Each visit's own sky."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from stream.simulate.skies import STEP, sky_of
from stream.simulate.spec import BANDS, SurveySpec, VisitPlan, plan_night

SPEC = SurveySpec(size=256, patches=2)


def plans(band: str = "r") -> list[VisitPlan]:
    """Return the visits of one band."""
    return [plan for plan in plan_night(SPEC) if plan.band == band]


def test_a_sky_covers_the_mosaic_and_is_positive() -> None:
    """Each sky is an array of the mosaic's shape, finite, above half the dark sky."""
    for plan in plans():
        sky = sky_of(SPEC, plan)
        assert sky.shape == SPEC.shape
        assert sky.min() > 0.5 * BANDS["r"].dark
        assert sky.max() < 4.0 * BANDS["r"].dark


def test_a_sky_is_smooth_but_for_the_amplifiers_step() -> None:
    """Neighbouring pixels differ by far less than the noise; at the step by its height."""
    for plan in plans():
        jump = np.abs(np.diff(sky_of(SPEC, plan), axis=1)).max()
        if plan.amplifier_step:
            assert jump == pytest.approx(STEP, rel=0.05)
        else:
            assert jump < 0.1


def test_the_step_is_all_that_the_amplifier_adds() -> None:
    """A visit with and without its step differs by the step on one side of a line."""
    stepped = next(plan for plan in plans() if plan.amplifier_step)
    plain = dataclasses.replace(stepped, amplifier_step=False)
    extra = sky_of(SPEC, stepped) - sky_of(SPEC, plain)
    assert set(np.round(np.unique(extra), 9)) == {0.0, STEP}
    assert 0.1 < (extra > 0).mean() < 0.6


def test_moonlight_brightens_the_sky_and_tilts_it() -> None:
    """With the moon up the same visit is brighter everywhere, and more so to one side."""
    dark = dataclasses.replace(plans()[0], moon=0.0)
    bright = dataclasses.replace(dark, moon=1.0)
    added = sky_of(SPEC, bright) - sky_of(SPEC, dark)
    assert added.min() > 10.0
    assert np.ptp(added) > 1.0


def test_the_first_visit_is_the_darkest() -> None:
    """The first visit of a band is dark and even: the natural reference."""
    skies = [sky_of(SPEC, plan) for plan in plans()]
    levels = [sky.mean() for sky in skies]
    assert levels[0] == min(levels)


def test_skies_of_two_visits_are_not_shifted_copies() -> None:
    """The difference of two visits has structure of its own, more than a constant."""
    first, *others = (sky_of(SPEC, plan) for plan in plans())
    assert all((first - other).std() > 0.05 for other in others)


def test_a_visits_sky_does_not_depend_on_the_others() -> None:
    """A visit's sky follows from the seed and the visit, not from what was made before it."""
    plan = plans()[3]
    alone = sky_of(SPEC, plan)
    for other in plans():
        sky_of(SPEC, other)
    assert np.array_equal(alone, sky_of(SPEC, plan))
