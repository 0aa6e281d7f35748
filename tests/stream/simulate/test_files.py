"""What stands in a survey's files, as another program would read it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.simulate import (
    GroupEntry,
    SimulatedWarp,
    SurveyError,
    SurveyManifest,
    SurveySpec,
    WarpEntry,
    group_truth,
    read_manifest,
    simulate,
)
from stream.simulate.layout import good_pixels
from stream.simulate.manifest import MANIFEST
from stream.simulate.spec import BANDS, PIXEL_SCALE, plan_night

TINY = SurveySpec(seed=11, patches=1, visits=2, bands=("g",), size=96)

# A process of its own, with another hash seed and no state of this one.
PROGRAM = """
import hashlib
from stream.simulate import SurveySpec, simulate
spec = SurveySpec(seed=11, patches=1, visits=2, bands=("g",), size=96)
digest = hashlib.sha256()
for warp in simulate(spec):
    for plane in (warp.image.image, warp.image.mask, warp.image.variance, warp.sky, warp.sources):
        digest.update(plane.tobytes())
print(digest.hexdigest())
"""


def test_another_process_makes_the_same_bytes() -> None:
    """The seed decides everything: neither the process nor its hash seed is in the pixels."""
    digest = hashlib.sha256()
    for warp in simulate(TINY):
        held = (warp.image.image, warp.image.mask, warp.image.variance, warp.sky, warp.sources)
        for plane in held:
            digest.update(plane.tobytes())
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(  # noqa: S603 - this Python, a program of our own
        [sys.executable, "-c", PROGRAM],
        capture_output=True, check=True, text=True, env=environment,
    )  # fmt: skip
    assert done.stdout.strip() == digest.hexdigest()


# -- FITS ------------------------------------------------------------------------------------------


def wcs_of(survey: SurveyManifest, warp: WarpEntry) -> WCS:
    """Return where a warp lies on the sky, as astropy reads it."""
    data = survey.path(warp).read_bytes()
    with astropy_fits.open(io.BytesIO(data)) as opened:
        held: Any = opened
        (image,) = [hdu for hdu in held if hdu.header.get("EXTNAME") == "IMAGE"]
        return WCS(image.header)


def test_neighbouring_patches_have_one_sky(survey: SurveyManifest, spec: SurveySpec) -> None:
    """A pixel of the overlap has the same right ascension and declination in both patches."""
    left, right = survey.warps[0], survey.warps[1]
    assert (left.visit, left.patch + 1) == (right.visit, right.patch)
    step = spec.size - spec.overlap
    one = wcs_of(survey, left).pixel_to_world_values(step + 3, 17)
    two = wcs_of(survey, right).pixel_to_world_values(3, 17)
    assert np.allclose(one, two, atol=1e-9)


def test_a_pixel_is_as_wide_as_it_says_and_east_is_left(survey: SurveyManifest) -> None:
    """Two neighbouring pixels are 0.4 arcseconds apart, x runs west and y north."""
    wcs = wcs_of(survey, survey.warps[0])
    here, beside, above = (wcs.pixel_to_world_values(x, y) for x, y in ((5, 5), (6, 5), (5, 6)))
    width = (here[0] - beside[0]) * np.cos(np.radians(here[1])) * 3600
    assert width == pytest.approx(PIXEL_SCALE, rel=2e-3)
    assert (above[1] - here[1]) * 3600 == pytest.approx(PIXEL_SCALE, rel=2e-3)


def test_headers_say_how_the_warp_was_made(survey: SurveyManifest, spec: SurveySpec) -> None:
    """Gain, zero point, seeing, transparency and sky stand in the header with the plan's values."""
    plans = {plan.visit: plan for plan in plan_night(spec)}
    for warp in survey.warps:
        with astropy_fits.open(survey.path(warp)) as opened:
            held: Any = opened
            header = held[0].header
        plan = plans[warp.visit]
        assert header["MAGZERO"] == 27.0
        assert header["GAIN"] == pytest.approx(6.0 * plan.transparency, abs=1e-4)
        assert header["RDNOISE"] == 9.0
        assert (header["FWHM"], header["TRANSP"]) == (plan.fwhm, plan.transparency)
        assert header["BUNIT"] == "count"
        assert header["SKYSUB"] is False


# -- the truth -------------------------------------------------------------------------------------


def test_the_truth_on_disk_is_the_simulated_one(
    survey: SurveyManifest, warps: list[SimulatedWarp]
) -> None:
    """Sky, sources, good pixels and noise of each file are those of its warp, and of no other."""
    simulated = {(w.plan.band, w.box.patch, w.plan.visit): w for w in warps}
    seen = 0
    for group in survey.groups:
        for visit, truth in group_truth(survey, group).items():
            warp = simulated[group.band, group.patch, visit]
            assert truth.sky.tobytes() == warp.sky.tobytes()
            assert truth.sources.tobytes() == warp.sources.tobytes()
            assert np.array_equal(truth.good, good_pixels(warp.image))
            variance = warp.image.variance[truth.good]
            assert truth.noise == pytest.approx(np.sqrt(np.median(variance)))
            seen += 1
    assert seen == len(warps)


# -- the list --------------------------------------------------------------------------------------

NAMES = st.text(min_size=1, max_size=12)
NATURAL = st.integers(0, 2**53)
VISITS = st.lists(NATURAL, min_size=1, max_size=5).map(tuple)
GROUPS = st.builds(
    GroupEntry,
    campaign=NAMES, skymap=NAMES, tract=NATURAL, patch=NATURAL, band=NAMES, visits=VISITS,
    trigger=NAMES, expected_visits=st.none() | VISITS, expected_count=st.none() | NATURAL,
)  # fmt: skip
WARPS = st.builds(
    WarpEntry,
    file=NAMES, truth=NAMES, campaign=NAMES, skymap=NAMES, tract=NATURAL, patch=NATURAL,
    band=NAMES, visit=NATURAL, mjd_tai=st.floats(0, 1e6), checksum=NAMES, size=NATURAL,
    shape=st.tuples(NATURAL, NATURAL), origin=st.tuples(NATURAL, NATURAL),
    psf_fwhm=st.floats(0, 100), unit=NAMES, sky=NAMES, scale=st.floats(1e-9, 1e9),
)  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=60)
@given(groups=st.lists(GROUPS, max_size=3), warps=st.lists(WARPS, max_size=3), seed=NATURAL)
def test_any_list_reads_back(
    tmp_path_factory: pytest.TempPathFactory,
    groups: list[GroupEntry],
    warps: list[WarpEntry],
    seed: int,
) -> None:
    """Whatever names and numbers a list holds, what is read is what was written."""
    folder = tmp_path_factory.mktemp("list")
    written = SurveyManifest(folder, {"seed": seed}, tuple(groups), tuple(warps))
    (folder / MANIFEST).write_text(written.to_json(), encoding="utf-8")
    assert read_manifest(folder) == written


def test_a_list_with_more_than_we_know_is_refused(survey: SurveyManifest, tmp_path: Path) -> None:
    """A field of a later version is not dropped in silence, and its name is told."""
    value = json.loads(survey.to_json())
    value["warps"][0]["colour"] = "blue"
    (tmp_path / MANIFEST).write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(SurveyError, match=r"lacks something.*colour"):
        read_manifest(tmp_path)


# -- the night -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_blue_light_is_seen_less_sharply(seed: int) -> None:
    """In arcseconds the seeing of each visit, scaled to r, is 1.0 to 1.7; g is softer than z."""
    plans = plan_night(SurveySpec(seed=seed, bands=("g", "r", "i", "z"), visits=12))
    scaled = [plan.fwhm * PIXEL_SCALE / BANDS[plan.band].seeing for plan in plans]
    assert min(scaled) >= 0.999
    assert max(scaled) <= 1.701
    assert max(scaled) - min(scaled) > 0.2
    means = {b: np.mean([p.fwhm for p in plans if p.band == b]) for b in "griz"}
    assert means["g"] > means["r"] > means["z"]


@pytest.mark.parametrize("seed", range(5))
def test_the_camera_is_turned_a_little_either_way(seed: int) -> None:
    """Rotations lie within seven degrees, on both sides, and differ."""
    turns = [np.degrees(plan.rotation) for plan in plan_night(SurveySpec(seed=seed, visits=20))]
    assert -7.0 <= min(turns) < -2.0
    assert 2.0 < max(turns) <= 7.0
    assert len(set(turns)) == len(turns)


@pytest.mark.parametrize(("visits", "patches"), [(7, 3), (6, 1), (12, 6)])
def test_three_visits_of_a_band_meet_the_fields_border(visits: int, patches: int) -> None:
    """A corner of the first patch, a strip of it, and a border that leaves 40 % of the last."""
    plans = plan_night(SurveySpec(visits=visits, patches=patches, bands=("i", "z")))
    for band in "iz":
        edges = {p.index: p.edge for p in plans if p.band == band}
        assert {index for index, edge in edges.items() if edge is not None} == {1, 4, 5}
        shares = {index: edge[1:] for index, edge in edges.items() if edge is not None}
        assert shares == {1: (0.90, 0), 5: (0.92, 0), 4: (0.40, patches - 1)}


def test_visits_are_numbered_and_timed_through_the_night() -> None:
    """Numbers rise by two to four from 81201 on; the night lasts a third of a day."""
    plans = plan_night(SurveySpec(visits=10))
    numbers = [plan.visit for plan in plans]
    assert numbers[0] in (81201, 81202)
    assert {1, 2, 3, 4} >= set(np.diff(numbers).tolist()) >= {3}
    times = [plan.mjd for plan in plans]
    assert times[-1] - times[0] == pytest.approx(0.34)
    assert np.ptp(np.diff(times)) < 1e-5
