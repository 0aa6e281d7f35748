"""Models against truth: the check must be able to fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from core import MatchConfig, match_backgrounds
from stream import fits
from stream.simulate import GroupEntry, SurveyManifest, Truth, check_group, group_truth

SHAPE = (96, 128)


def planted(seed: int = 0, visits: int = 4) -> dict[int, Truth]:
    """Return flat skies at 10, 20, 30 ..., noise 2, a tenth of the pixels not good."""
    rng = np.random.default_rng(seed)
    return {
        visit: Truth(
            sky=np.full(SHAPE, 10.0 * visit, dtype=np.float32),
            sources=np.zeros(SHAPE, dtype=np.float32),
            good=np.asarray(rng.uniform(size=SHAPE) > 0.1),
            noise=2.0,
        )
        for visit in range(1, visits + 1)
    }


def exact(truth: dict[int, Truth], reference: int) -> dict[int, NDArray[np.float32]]:
    """Return the models that are the planted differences themselves."""
    return {v: truth[reference].sky - t.sky for v, t in truth.items() if v != reference}


def test_exact_models_have_no_error() -> None:
    """The planted difference itself has error 0 and levels the visits wholly."""
    truth = planted()
    check = check_group(truth, exact(truth, 2), 2)
    assert check.rms == check.rms_in_noise == 0.0
    assert check.after.std == check.after.peak_to_peak == 0.0
    assert [c.visit for c in check.visits] == [1, 3, 4]


def test_the_spread_before_is_that_of_the_planted_skies() -> None:
    """Skies at 10, 20, 30, 40 spread by their standard deviation and their range."""
    truth = planted()
    before = check_group(truth, exact(truth, 1), 1).before
    assert before.std == pytest.approx(np.std([10, 20, 30, 40], ddof=1))
    assert before.peak_to_peak == pytest.approx(30.0)
    assert before.std_in_noise == pytest.approx(before.std / 2.0)
    assert before.peak_to_peak_in_noise == pytest.approx(15.0)


def test_an_offset_is_kept() -> None:
    """A model that is off by a constant is off by that constant."""
    truth = planted()
    models = exact(truth, 1)
    models[3] = models[3] + np.float32(4.0)
    check = check_group(truth, models, 1)
    worst = check.worst
    assert worst.visit == 3
    assert (worst.rms, worst.bias) == pytest.approx((4.0, 4.0))
    assert worst.rms_in_noise == pytest.approx(2.0)
    assert check.rms == pytest.approx(4.0 / math.sqrt(3))
    assert check.after.peak_to_peak == pytest.approx(4.0)


def test_the_wrong_sign_shows() -> None:
    """Models of the wrong sign double the spread instead of removing it."""
    truth = planted()
    models = {v: -m for v, m in exact(truth, 1).items()}
    check = check_group(truth, models, 1)
    assert check.after.std == pytest.approx(2 * check.before.std)
    assert check.rms_in_noise > 10


def test_no_models_leave_everything_as_it_was() -> None:
    """Without models the spread stays and every error is infinite: absence is no success."""
    truth = planted()
    check = check_group(truth, {}, 1)
    assert check.after == check.before
    assert check.rms == math.inf


def test_one_missing_model_shows() -> None:
    """A visit left out is judged as it is."""
    truth = planted()
    models = exact(truth, 1)
    del models[4]
    check = check_group(truth, models, 1)
    assert (check.worst.visit, check.worst.rms) == (4, math.inf)
    assert check.after.peak_to_peak == pytest.approx(30.0)


def test_a_hole_in_a_model_is_an_infinite_error() -> None:
    """NaN where the coadd needs a value is not skipped."""
    truth = planted()
    models = exact(truth, 1)
    models[2][10:20, 10:20] = np.nan
    assert check_group(truth, models, 1).worst.rms == math.inf


def test_pixels_bad_in_either_do_not_count() -> None:
    """A model may be anything where reference or warp is masked."""
    truth = planted()
    models = exact(truth, 1)
    models[2][~(truth[1].good & truth[2].good)] = 1e6
    assert check_group(truth, models, 1).rms == 0.0


def test_a_gradient_of_the_sky_is_no_spread() -> None:
    """Common structure cancels however differently the visits are masked."""
    truth = planted()
    slope = np.linspace(0, 50, SHAPE[1], dtype=np.float32)[None, :]
    tilted = {v: Truth(t.sky + slope, t.sources, t.good, t.noise) for v, t in truth.items()}
    check = check_group(tilted, exact(tilted, 1), 1)
    assert check.after.std < 1e-4


def test_a_group_of_the_reference_alone_has_nothing_to_compare() -> None:
    """One visit has neither errors nor spread; its rms is NaN, never a good-looking zero."""
    truth = planted(visits=1)
    check = check_group(truth, {}, 1)
    assert check.visits == ()
    assert math.isnan(check.rms)


def test_visits_that_nowhere_meet_have_no_spread() -> None:
    """Without a common pixel the spread is NaN."""
    truth = planted(visits=2)
    truth[1].good[:] = False
    check = check_group(truth, exact(truth, 1), 1)
    assert math.isnan(check.before.std)
    assert check.worst.rms == math.inf


def group_of(survey: SurveyManifest, band: str) -> GroupEntry:
    """Return the first group of a band."""
    return next(group for group in survey.groups if group.band == band)


def test_matching_the_files_levels_the_visits(survey: SurveyManifest) -> None:
    """Read, matched and checked, the visits lie tens of times closer than before."""
    group = group_of(survey, "i")
    warps = survey.warps_of(group)
    images = [fits.decode(survey.path(w).read_bytes(), fits.DecodeLimits()) for w in warps]
    results = match_backgrounds(images, MatchConfig(bin_size=48), reference=0)
    models = {
        warp.visit: result.model.image()
        for warp, result in zip(warps, results, strict=True)
        if result.model is not None
    }
    check = check_group(group_truth(survey, group), models, warps[0].visit, cell=48)
    assert check.rms_in_noise < 0.1
    assert check.before.std_in_noise > 20 * check.after.std_in_noise


def test_models_of_another_group_are_found_out(survey: SurveyManifest) -> None:
    """Models that belong elsewhere leave errors of the noise and more."""
    r, i = (group_truth(survey, group_of(survey, band)) for band in "ri")
    reference = min(r)
    foreign = dict(zip(sorted(r), exact_list(i), strict=True))
    check = check_group(r, foreign, reference)
    assert check.rms_in_noise > 0.5


def exact_list(truth: dict[int, Truth]) -> list[NDArray[np.float32]]:
    """Return the planted differences to the first visit, in order."""
    first = truth[min(truth)]
    return [first.sky - truth[visit].sky for visit in sorted(truth)]
