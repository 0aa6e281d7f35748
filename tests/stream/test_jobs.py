"""What workers do with warps."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import core
from stream import fits, jobs
from stream.faults import WarpError, WarpFault
from stream.fits import DecodeLimits
from stream.jobs import JobFault, Loaded, Matched, Measured, Unlaid, WarpInput
from stream.pool import WorkerPool
from stream.spool import Place
from tests.shared import shared_path
from tests.stream.warps import PLANES, checksum, planted, warp

CONFIG = core.MatchConfig(bin_size=16)
LIMITS = DecodeLimits()
SHAPE = (80, 64)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list that the size of each decoded file is added to."""
    sizes: list[int] = []
    real = fits.decode

    def counted(data: bytes, limits: DecodeLimits | None = None) -> core.MaskedImage:
        sizes.append(len(data))
        return real(data, limits)

    monkeypatch.setattr(fits, "decode", counted)
    return sizes


def sky(level: float, *, seed: int = 1, slope: float = 0.0) -> core.MaskedImage:
    """Return noise of sigma 1 on a sloping sky, with a source that DETECTED covers."""
    random = np.random.default_rng(seed)
    x = np.arange(SHAPE[1], dtype=np.float32)
    image = (level + slope * x + random.normal(0.0, 1.0, SHAPE)).astype(np.float32)
    mask = np.zeros(SHAPE, np.int32)
    image[10:14, 20:24], mask[8:16, 18:26] = 5000.0, 1 << PLANES["DETECTED"]
    return core.MaskedImage(image, mask, np.ones(SHAPE, np.float32), PLANES, (400, -20))


def without(exposure: core.MaskedImage, *names: str) -> core.MaskedImage:
    """Return the exposure without some of its mask planes."""
    planes = {n: b for n, b in exposure.planes.items() if n not in names}
    mask = exposure.mask & ~exposure.bits(names)
    return core.MaskedImage(exposure.image, mask, exposure.variance, planes, exposure.origin)


def matched(reference: WarpInput, science: WarpInput) -> Matched:
    """Return a match that must not be a fault."""
    answer = jobs.match(reference, science, CONFIG, LIMITS)
    assert isinstance(answer, Matched)
    return answer


def measured(given_warp: WarpInput) -> Measured:
    """Return a measurement that must not be a fault."""
    answer = jobs.measure(given_warp, CONFIG, LIMITS)
    assert isinstance(answer, Measured)
    return answer


# Measuring


def test_a_measurement_is_cores() -> None:
    """What is measured is what core measures on the same pixels, with shape and origin."""
    exposure = planted((60, 50), origin=(7, -8))
    answer = measured(warp(exposure, 12))
    taken = core.selection_statistics(exposure, CONFIG)
    assert (answer.mean, answer.variance, answer.count) == (
        taken.mean,
        taken.variance,
        taken.count,
    )
    assert (answer.visit, answer.shape, answer.origin) == (12, (60, 50), (7, -8))
    assert answer.checksum == warp(exposure, 12).checksum


def test_a_warp_without_good_pixels_is_measured() -> None:
    """A warp of NaN is no fault: it has no mean, and no pixel."""
    exposure = planted()
    exposure.image.fill(np.nan)
    answer = measured(warp(exposure))
    assert np.isnan(answer.mean)
    assert answer.count == 0


def test_the_scale_is_applied_before_measuring() -> None:
    """Scale multiplies the mean, and its square the variance of the pixels."""
    plain, scaled = measured(warp(sky(100.0))), measured(warp(sky(100.0), scale=2.0))
    assert scaled.mean == 2 * plain.mean
    assert scaled.variance == 4 * plain.variance


# Matching


def test_a_match_is_cores() -> None:
    """Model and figures are those of core on the same pixels."""
    reference, science = sky(120.0, seed=1), sky(100.0, seed=2, slope=0.1)
    answer = matched(warp(reference, 1), warp(science, 2))
    direct = core.match_background(reference, science, CONFIG)
    assert (answer.visit, answer.status, answer.reason) == (2, "matched", None)
    assert answer.origin == (400, -20)
    assert answer.background is not None
    assert answer.background.image().tobytes() == direct.model.image().tobytes()
    assert (answer.fit_rms, answer.matched_mse, answer.diff_im_var) == (
        direct.fit_rms,
        direct.matched_mse,
        direct.diff_im_var,
    )


def test_the_planted_difference_is_found() -> None:
    """The model is the planted difference of the two skies, to a fraction of the noise."""
    answer = matched(warp(sky(120.0, seed=1), 1), warp(sky(100.0, seed=2, slope=0.1), 2))
    assert answer.background is not None
    truth = 20.0 - 0.1 * np.arange(SHAPE[1])
    assert np.abs(answer.background.image() - truth).max() < 0.7


def test_scales_are_applied_before_matching() -> None:
    """Two exposures of one sky in different units, scaled to one system, need no model."""
    science = sky(100.0)
    half = replace(science, image=science.image / np.float32(2))
    answer = matched(warp(science, 1), warp(half, 2, scale=2.0))
    assert answer.background is not None
    assert not answer.background.image().any()


def test_the_variance_is_scaled_by_the_square() -> None:
    """The expected variance of the difference grows with the square of a scale."""
    both = matched(warp(sky(1.0, seed=1), 1), warp(sky(1.0, seed=2), 2))
    scaled = matched(warp(sky(1.0, seed=1), 1, 3.0), warp(sky(1.0, seed=2), 2, 3.0))
    assert both.diff_im_var == pytest.approx(2.0)
    assert scaled.diff_im_var == pytest.approx(18.0)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 1e3))
def test_scaling_is_in_float32(scale: float) -> None:
    """What is measured is measured on float32 products, as the coadder's are."""
    exposure = sky(100.0)
    factor = np.float32(scale)
    product = replace(
        exposure,
        image=exposure.image * factor,
        variance=exposure.variance * (factor * factor),
    )
    taken, direct = measured(warp(exposure, scale=scale)), measured(warp(product))
    assert (taken.mean, taken.variance) == (direct.mean, direct.variance)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_a_scale_beyond_float32_is_the_warps_fault(scale: float) -> None:
    """Where the variance would be nothing or infinite, the warp fails alone and says so."""
    answer = jobs.measure(warp(sky(1.0), 7, scale), CONFIG, LIMITS)
    assert isinstance(answer, JobFault)
    assert (answer.visit, answer.reason) == (7, "wrong_scale")
    assert "visit 7" in answer.message


# Stages


def test_stages_are_timed(tmp_path: Path) -> None:
    """Each stage that a job went through has its seconds, and none that it did not need."""
    reference, science = warp(sky(120.0), 1), warp(sky(100.0, seed=2), 2, scale=2.0)
    first = measured(replace(reference, place=Place(str(tmp_path / "planes"), 10**6)))
    second = matched(replace(reference, planes=str(tmp_path / "planes")), science)
    assert set(first.timings) == {"decode", "scale", "lay", "measure"}
    assert set(second.timings) == {"map", "decode", "scale", "match"}
    assert all(seconds > 0.0 for seconds in (*first.timings.values(), *second.timings.values()))


def test_planes_of_neither_file_are_named() -> None:
    """A plane that one file defines is not absent, even if no pixel is in it."""
    config = replace(CONFIG, bad_mask_planes=("DETECTED", "CR", "GHOST", "SAT"))
    one, two = without(sky(1.0), "CR", "SAT"), without(sky(2.0, seed=2), "SAT", "DETECTED")
    answer = jobs.match(warp(one, 1), warp(two, 2), config, LIMITS)
    assert isinstance(answer, Matched)
    assert answer.absent == ("GHOST", "SAT")


def test_no_overlap_is_a_status() -> None:
    """Warps with no good pixel in common are told apart from fits that failed."""
    left, right = sky(1.0), sky(2.0)
    left.image[:, 32:] = np.nan
    right.image[:, :32] = np.nan
    answer = matched(warp(left, 1), warp(right, 2))
    assert (answer.status, answer.background, answer.fit_rms) == ("no_overlap", None, None)
    assert "no overlap" in str(answer.reason)


def test_a_fit_that_cannot_be_made_has_failed() -> None:
    """An error of the fit is the status failed, with core's sentence as its reason."""
    config = core.MatchConfig(bin_size=60, undersample_style=core.UndersampleStyle.THROW_EXCEPTION)
    answer = jobs.match(warp(sky(1.0), 1), warp(sky(2.0), 2), config, LIMITS)
    assert isinstance(answer, Matched)
    assert (answer.status, answer.background, answer.matched_mse) == ("failed", None, None)
    assert "AKIMA" in str(answer.reason)


def flags_of(reference: core.MaskedImage, science: core.MaskedImage) -> tuple[str, ...]:
    """Return what the quality of a match flags."""
    quality = matched(warp(reference, 1), warp(science, 2)).quality
    assert quality is not None
    return quality.flags


@pytest.mark.parametrize(
    ("reference", "science", "flags"),
    [
        ((), (), ()),
        (("DETECTED",), (), ("sources_unmasked",)),
        ((), ("DETECTED",), ("sources_unmasked",)),
    ],
)
def test_unmasked_sources_are_flagged(
    reference: tuple[str, ...], science: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    """Where either warp has no DETECTED plane, a fit takes stars for sky, and says so."""
    pair = without(sky(1.0), *reference), without(sky(2.0, seed=2), *science)
    assert flags_of(*pair) == flags


def test_an_empty_detected_plane_is_as_good_as_none() -> None:
    """A DETECTED plane without a pixel masks nothing."""
    empty = sky(1.0)
    empty.mask.fill(0)
    assert flags_of(sky(2.0), empty) == ("sources_unmasked",)


def test_a_match_is_judged() -> None:
    """The quality is that of core on the same pixels; without a model there is none."""
    reference, science = sky(120.0, seed=1), sky(100.0, seed=2, slope=0.1)
    answer = matched(warp(reference, 1), warp(science, 2))
    direct = core.match_background(reference, science, CONFIG, quality=True).quality
    assert answer.quality == direct
    assert direct is not None
    assert 0.9 < direct.coverage < 1.0
    science.image.fill(np.nan)
    assert matched(warp(reference, 1), warp(science, 2)).quality is None


def test_matches_do_not_depend_on_what_was_kept() -> None:
    """A match gives the same whether its warps were decoded before or not."""
    reference, science = warp(sky(120.0), 1), warp(sky(100.0, seed=2), 2)
    first, again = matched(reference, science), matched(reference, science)
    assert first.background is not None
    assert again.background is not None
    assert first.background.image().tobytes() == again.background.image().tobytes()
    assert replace(first, background=None) == replace(again, background=None)


# Faults


def test_a_bad_file_is_an_answer() -> None:
    """A warp that cannot be decoded is a JobFault with its visit and reason."""
    bad = WarpInput(7, "0" * 64, b"Dear sir", 1.0)
    answer = jobs.measure(bad, CONFIG, LIMITS)
    assert isinstance(answer, JobFault)
    assert (answer.visit, answer.reason) == (7, "not_fits")


@pytest.mark.parametrize("whole", [bytes, gzip.compress])
def test_a_landed_file_is_as_good_as_its_bytes(
    tmp_path: Path, whole: Callable[[bytes], bytes]
) -> None:
    """A worker that maps the file of a warp finds what it finds in its bytes."""
    one = warp(sky(1.0))
    assert isinstance(one.data, bytes)
    path = tmp_path / "0"
    path.write_bytes(whole(one.data))
    answer = jobs.measure(replace(one, data=str(path), checksum="mapped"), CONFIG, LIMITS)
    expected = jobs.measure(one, CONFIG, LIMITS)
    assert isinstance(answer, Measured)
    assert replace(answer, checksum=one.checksum) == expected
    path.write_bytes(b"")
    answer = jobs.measure(replace(one, data=str(path), checksum="empty"), CONFIG, LIMITS)
    assert isinstance(answer, JobFault)
    assert answer.reason == "truncated"


@pytest.mark.parametrize("visit", [1, 2])
def test_a_fault_names_the_warp_at_fault(visit: int) -> None:
    """In a match the fault is the reference's or the warp's, whichever it is."""
    pair = {v: warp(sky(1.0, seed=v), v) for v in (1, 2)}
    data = pair[visit].data
    assert isinstance(data, bytes)
    pair[visit] = replace(pair[visit], data=data[:4000], checksum="cut")
    answer = jobs.match(pair[1], pair[2], CONFIG, LIMITS)
    assert isinstance(answer, JobFault)
    assert (answer.visit, answer.reason) == (visit, "truncated")


def test_a_warp_of_another_box_is_at_fault() -> None:
    """A warp whose shape or origin is not the reference's cannot be matched."""
    moved = replace(sky(1.0), origin=(0, 0))
    smaller = planted((40, 30))
    for other in (moved, smaller):
        answer = jobs.match(warp(sky(1.0), 1), warp(other, 2), CONFIG, LIMITS)
        assert isinstance(answer, JobFault)
        assert (answer.visit, answer.reason) == (2, "wrong_shape")


def test_limits_hold_in_jobs() -> None:
    """A warp beyond the limits is a fault, not a worker's death."""
    answer = jobs.measure(warp(sky(1.0)), CONFIG, DecodeLimits(max_side=10))
    assert isinstance(answer, JobFault)
    assert answer.reason == "too_large"


@pytest.mark.parametrize(
    ("job", "where", "name", "error"),
    [
        (jobs.measure, core, "selection_statistics", MemoryError()),
        (jobs.match, core, "match_background", MemoryError()),
        (jobs.load, fits, "decode", WarpError(WarpFault.OUT_OF_MEMORY, "too little")),
    ],
)
def test_a_lack_of_memory_is_no_answer(
    job: Callable[..., object],
    where: ModuleType,
    name: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be due to what the worker did before, so the pool has to hear of it."""

    def starve(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(where, name, starve)
    warps = [warp(sky(1.0), 1), warp(sky(2.0), 2)]
    with pytest.raises(MemoryError):
        job(*warps[job is not jobs.match :], CONFIG, LIMITS)


# The spool


def test_what_one_job_laid_the_others_map(decoded: list[int], tmp_path: Path) -> None:
    """A warp that is measured and matched is decoded once, and all answers are as without."""
    one, two = warp(sky(1.0), 1), warp(sky(2.0, seed=2), 2)
    plain = measured(one), measured(two), matched(one, two)
    decoded.clear()
    laid = [replace(each, place=Place(f"{tmp_path}/{each.visit}", 10**6)) for each in (one, two)]
    found = [replace(each, data=b"", planes=f"{tmp_path}/{each.visit}") for each in (one, two)]
    assert (measured(laid[0]), measured(laid[1]), matched(*found)) == plain
    assert (measured(found[0]), measured(found[1])) == plain[:2]
    assert len(decoded) == 2


def test_load_lays_what_match_maps(decoded: list[int], tmp_path: Path) -> None:
    """Planes that had to leave are decoded for all who want them, scaled as they are matched."""
    one, two = warp(sky(1.0), 1), replace(warp(sky(2.0, seed=2), 2), scale=2.0)
    for each in (one, two):
        place = Place(f"{tmp_path}/{each.visit}", 10**6)
        assert jobs.load(replace(each, place=place), CONFIG, LIMITS) == Loaded(each.visit, SHAPE)
    found = [replace(each, data=b"", planes=f"{tmp_path}/{each.visit}") for each in (one, two)]
    assert matched(*found) == matched(one, two)
    assert len(decoded) == 4


@pytest.mark.parametrize("room", [0, 1, 12 * SHAPE[0] * SHAPE[1]])
def test_a_job_without_room_goes_on(room: int, tmp_path: Path) -> None:
    """Planes that do not fit into their place are not laid, and the job has its answer."""
    place = Place(str(tmp_path / "planes"), room)
    assert measured(replace(warp(sky(1.0)), place=place)) == measured(warp(sky(1.0)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("job", [jobs.load, jobs.measure])
def test_planes_that_are_not_there_are_no_fault_of_the_warp(job: Any, tmp_path: Path) -> None:
    """The answer tells it from what is wrong with a file."""
    answer = job(replace(warp(sky(1.0)), planes=str(tmp_path / "gone")), CONFIG, LIMITS)
    assert isinstance(answer, Unlaid)
    other = replace(warp(sky(1.0), 2), planes=str(tmp_path / "gone"))
    matched_to = jobs.match(warp(sky(1.0), 1), other, CONFIG, LIMITS)
    assert isinstance(matched_to, Unlaid)
    assert matched_to.visit == 2


def test_bad_files_are_not_laid(tmp_path: Path) -> None:
    """A file that failed fails again, and leaves nothing behind."""
    bad = WarpInput(7, "0" * 64, b"Dear sir", 1.0, place=Place(str(tmp_path / "planes"), 10**6))
    assert jobs.measure(bad, CONFIG, LIMITS) == jobs.measure(bad, CONFIG, LIMITS)
    assert list(tmp_path.iterdir()) == []


# Travelling


def test_values_are_frozen_and_travel() -> None:
    """What goes to a worker and comes back is frozen, and survives pickling."""
    one, two = warp(sky(1.0), 1), warp(sky(2.0, seed=2), 2)
    answer = matched(one, two)
    for value in (one, measured(one), JobFault(1, "missing", "gone")):
        assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - ours
    back = pickle.loads(pickle.dumps(answer))  # noqa: S301 - ours
    assert back.background.image().tobytes() == answer.background.image().tobytes()  # type: ignore[union-attr]  # a match is what is expected
    with pytest.raises(FrozenInstanceError):
        one.visit = 3  # type: ignore[misc]  # the law itself


async def test_jobs_run_in_workers() -> None:
    """A worker gives what the parent would have computed itself."""
    one, two = warp(sky(1.0), 1), warp(sky(2.0, seed=2), 2)
    pool = WorkerPool(1, 30.0, 1 << 30, 3)
    await pool.start()
    try:
        assert await pool.run(jobs.measure, one, CONFIG, LIMITS) == measured(one)
        away = await pool.run(jobs.match, one, two, CONFIG, LIMITS)
    finally:
        await pool.close(0)
    here = matched(one, two)
    assert isinstance(away, Matched)
    assert away.background is not None
    assert here.background is not None
    assert away.background.image().tobytes() == here.background.image().tobytes()
    assert replace(away, background=None) == replace(here, background=None)


# Real warps


def _real(path: Path, visit: int) -> WarpInput:
    data = path.read_bytes()
    return WarpInput(visit, checksum(data), data, 1.0)


def _ratio(reference: WarpInput, science: WarpInput) -> float:
    answer = jobs.match(reference, science, core.MatchConfig(bin_size=64), LIMITS)
    assert isinstance(answer, Matched)
    assert answer.status == "matched"
    assert answer.quality is not None
    assert answer.matched_mse is not None
    assert answer.diff_im_var
    return answer.matched_mse / answer.diff_im_var


@pytest.mark.shared
@pytest.mark.parametrize(("band", "ratio"), [("g", 1.0331), ("r", 1.0040), ("i", 1.0391)])
def test_sdss_matches_as_well_as_its_noise_allows(band: str, ratio: float) -> None:
    """With LSST's settings and bins of 64 px, what SDSS pairs leave is 1.004 - 1.039 of noise."""
    paths = sorted(shared_path("warps", "sdss_s82").glob(f"sdss_{band}_*.fits.fz"))
    pair = [_real(path, visit) for visit, path in enumerate(paths)]
    assert _ratio(*pair) == pytest.approx(ratio, abs=1e-4)


@pytest.mark.shared
def test_saao_is_matched_to_its_best_night() -> None:
    """Of the SAAO nights visit 100 is chosen; changing seeing leaves 1.04 - 6.3 of the noise."""
    config = core.MatchConfig(bin_size=64)
    paths = sorted(shared_path("warps", "saao_kb13475").glob("*.fits.gz"))
    nights = [_real(path, int(path.name[7:11])) for path in paths]
    answers = [jobs.measure(night, config, LIMITS) for night in nights]
    statistics = [
        core.SelectionStatistics(a.mean, a.variance, a.count)
        for a in answers
        if isinstance(a, Measured)
    ]
    best = nights[core.reference_costs(statistics, config).index]
    assert best.visit == 100
    ratios = [_ratio(best, night) for night in nights if night is not best]
    assert len(ratios) == 11
    assert min(ratios) >= 1.04
    assert max(ratios) <= 6.3
