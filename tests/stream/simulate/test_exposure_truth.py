"""What an exposure does to its pixels, against slow twins and planted light."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from stream.simulate import SimulatedWarp, exposure
from stream.simulate.exposure import PLANES, detect, expose
from stream.simulate.layout import good_pixels
from stream.simulate.spec import GAIN, READ_NOISE, SurveySpec, plan_night

SPEC = SurveySpec(size=256, patches=1, visits=2, bands=("r",))
PLAN = plan_night(SPEC)[0]

Float = NDArray[np.float64]


def plane(mask: NDArray[np.int32], name: str) -> NDArray[np.bool_]:
    """Return where a plane of a mask is set."""
    return np.asarray((mask >> PLANES[name]) & 1, dtype=bool)


def test_planes_have_the_bits_of_lssts_pipelines() -> None:
    """Nine planes, each with the number that LSST's own masks give it."""
    assert dict(PLANES) == {
        "BAD": 0, "SAT": 1, "INTRP": 2, "CR": 3, "EDGE": 4, "DETECTED": 5,
        "DETECTED_NEGATIVE": 6, "SUSPECT": 7, "NO_DATA": 8,
    }  # fmt: skip


# -- on the simulated survey -----------------------------------------------------------------------


def test_bright_sources_are_detected_and_blank_sky_is_not(warps: list[SimulatedWarp]) -> None:
    """DETECTED covers what was planted well above the noise, and next to nothing far from it."""
    for warp in warps:
        covered = np.isfinite(warp.image.image)
        noise = math.sqrt(float(np.median(warp.image.variance[covered])))
        detected = plane(warp.image.mask, "DETECTED")
        if "undetected" in warp.flaws:
            assert not detected.any()
            continue
        bright = covered & (warp.sources > 5.0 * noise)
        assert detected[bright].mean() > 0.97
        blank = covered & (ndimage.maximum_filter(warp.sources, 15) < 0.1 * noise)
        assert blank.sum() == 0 or detected[blank].mean() < 0.02


def test_cosmic_rays_are_where_pixels_deviate(warps: list[SimulatedWarp]) -> None:
    """CR pixels lie above the truth where nothing shines; pixels beside them do not."""
    above, beside = [], []
    for warp in warps:
        hits = plane(warp.image.mask, "CR")
        calm = np.isfinite(warp.image.image)
        calm &= ndimage.maximum_filter(warp.sources, 11) < 1.0
        ring = np.asarray(ndimage.binary_dilation(hits, iterations=3), bool) & ~hits
        pull = (warp.image.image - warp.sky - warp.sources) / np.sqrt(warp.image.variance)
        above.append(pull[hits & calm])
        beside.append(pull[ring & calm])
    hit, near = np.concatenate(above), np.concatenate(beside)
    assert hit.mean() == pytest.approx(0.6, abs=0.15)
    assert abs(near.mean()) < 5 / math.sqrt(near.size)


def test_cosmic_rays_are_as_many_as_their_rate_and_as_long(warps: list[SimulatedWarp]) -> None:
    """Tracks are about five in a hundred thousand pixels, longer than wide, in any direction."""
    wide, high, tracks, pixels = [], [], 0, 0
    for warp in warps:
        pixels += warp.image.mask.size
        labelled: Any = ndimage.label(plane(warp.image.mask, "CR"), np.ones((3, 3)))
        labels, count = labelled
        tracks += count
        for rows, columns in ndimage.find_objects(labels):
            high.append(rows.stop - rows.start)
            wide.append(columns.stop - columns.start)
    assert tracks == pytest.approx(5e-5 * pixels, rel=0.5)
    assert min(*wide, *high) >= 2
    assert max(wide) > 10
    assert max(high) > 10


def test_a_pixel_without_data_says_so_and_nothing_else(warps: list[SimulatedWarp]) -> None:
    """NO_DATA, NaN in the image and NaN in the variance are one and the same set of pixels."""
    missing = 0
    for warp in warps:
        gone = plane(warp.image.mask, "NO_DATA")
        assert np.array_equal(gone, np.isnan(warp.image.image))
        assert np.array_equal(gone, np.isnan(warp.image.variance))
        assert (warp.image.mask[gone] == 1 << 8).all()
        missing += int(gone.sum())
    assert missing > 0


def test_the_variance_plane_is_the_scatter_of_the_noise_at_every_level(
    warps: list[SimulatedWarp],
) -> None:
    """From faint sky to bright sources the pulls have variance 1 within four of its errors."""
    pulls, levels = [], []
    for warp in warps:
        good = good_pixels(warp.image) | (warp.image.mask == 1 << PLANES["DETECTED"])
        truth = warp.sky.astype(float) + warp.sources
        pulls.append((warp.image.image - truth)[good] / np.sqrt(warp.image.variance[good]))
        levels.append(truth[good])
    pull, level = np.concatenate(pulls), np.concatenate(levels)
    edges = np.quantile(level, [0.0, 0.5, 0.9, 0.99, 1.0])
    for low, high in pairwise(edges):
        some = pull[(level >= low) & (level <= high)]
        assert some.var() == pytest.approx(1.0, abs=4 * math.sqrt(2 / some.size))


def test_the_image_has_the_counts_of_its_sources(warps: list[SimulatedWarp]) -> None:
    """Aperture photometry of the brightest unsaturated source gives its planted counts."""
    judged = 0
    for warp in warps:
        usable = plane(warp.image.mask, "SAT") | plane(warp.image.mask, "CR")
        usable = ~(usable | plane(warp.image.mask, "NO_DATA"))
        whole = ndimage.minimum_filter(usable, 13, mode="constant", cval=False)
        if not whole.any():
            continue
        place = np.argmax(np.where(whole, warp.sources, -1.0))
        y, x = np.unravel_index(place, whole.shape)
        near = np.s_[y - 6 : y + 7, x - 6 : x + 7]
        measured = float((warp.image.image[near] - warp.sky[near]).sum())
        error = math.sqrt(float(warp.image.variance[near].sum()))
        planted = float(warp.sources[near].sum())
        assert planted > 10 * error
        assert abs(measured - planted) < 5 * error
        judged += 1
    assert judged > len(warps) // 2


# -- one exposure by itself ------------------------------------------------------------------------


def exposed(sky: float, transparency: float, source: float = 0.0) -> exposure.Exposure:
    """Return an exposure of a flat sky with one square of light."""
    sources = np.zeros(SPEC.shape)
    sources[100:140, 100:140] = source
    plan = dataclasses.replace(PLAN, transparency=transparency)
    covered = np.ones(SPEC.shape, dtype=bool)
    return expose(SPEC, plan, sources, np.full(SPEC.shape, sky), covered)


@pytest.mark.parametrize("transparency", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("sky", [5.0, 50.0, 500.0])
def test_thinner_air_is_more_noise_not_less_light(sky: float, transparency: float) -> None:
    """The mean is the sky whatever the air; the variance is that of fewer electrons."""
    made = exposed(sky, transparency)
    clean = made.mask == 0
    electrons = GAIN * transparency * sky + READ_NOISE**2
    variance = electrons / (GAIN * transparency) ** 2
    values = made.image[clean].astype(float)
    assert np.allclose(made.variance[clean], variance, rtol=1e-5)
    assert values.mean() == pytest.approx(sky, abs=5 * math.sqrt(variance / clean.sum()))
    assert values.var() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize("transparency", [0.5, 1.0])
def test_the_well_is_full_at_sixty_thousand_electrons(transparency: float) -> None:
    """Just below it nothing saturates; above it the light stops there, grown by two pixels."""
    full = 60_000.0 / (GAIN * transparency)
    below, beyond = exposed(0.0, transparency, 0.98 * full), exposed(0.0, transparency, 2 * full)
    assert not plane(below.mask, "SAT").any()
    saturated = plane(beyond.mask, "SAT")
    assert saturated[100:140, 100:140].all()
    assert saturated[98, 120]
    assert saturated[120, 141]
    assert not saturated[97, 120]
    assert not saturated[120, 142]
    inner = beyond.image[105:135, 105:135][beyond.mask[105:135, 105:135] & 8 == 0]
    assert inner.mean() == pytest.approx(full, rel=1e-3)


def test_tracks_are_grown_by_one_pixel() -> None:
    """Wherever there is a hit there is a whole cross of hits: no pixel of a track stands alone."""
    hits = exposure._cosmic_rays((400, 400), np.random.default_rng(3))  # noqa: SLF001 - tracks alone
    assert 0 < hits.mean() < 0.01
    framed = np.pad(hits, 1, mode="edge")
    assert np.array_equal(ndimage.binary_opening(framed)[1:-1, 1:-1], hits)


def test_a_hit_is_interpolated_from_both_sides() -> None:
    """A hit pixel is the mean of those four columns away, plus what is left; others stay."""
    image = np.arange(200.0).reshape(10, 20) ** 1.5
    hits = np.zeros(image.shape, dtype=bool)
    hits[[2, 5, 7], [10, 1, 19]] = True
    changed = image.copy()
    exposure._interpolate(changed, hits, np.zeros_like(image), np.random.default_rng(1))  # noqa: SLF001 - the formula itself
    assert np.array_equal(changed[~hits], image[~hits])
    assert changed[2, 10] == (image[2, 6] + image[2, 14]) / 2
    assert changed[5, 1] == (image[5, 0] + image[5, 5]) / 2
    assert changed[7, 19] == (image[7, 15] + image[7, 19]) / 2


# -- detection -------------------------------------------------------------------------------------


def slow_detect(image: Float, variance: Float, fwhm: float) -> NDArray[np.bool_]:
    """Return detections by the book: weights summed pixel by pixel, a disc about each."""
    sigma = fwhm / 2.3548200450309493
    reach = int(3.0 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    line = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights = np.outer(line, line) / line.sum() ** 2
    padded = np.pad(image - np.median(image), reach, mode="symmetric")
    height, width = image.shape
    limit = 5.0 * np.sqrt(np.median(variance)) / (2.0 * np.sqrt(np.pi) * sigma)
    found = np.zeros(image.shape, dtype=bool)
    rows, columns = np.indices(image.shape)
    for y in range(height):
        for x in range(width):
            box = padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1]
            if (weights * box).sum() > limit:
                found |= np.hypot(rows - y, columns - x) <= 2.4 * sigma
    return found


@settings(deadline=None, derandomize=True, max_examples=12)
@given(
    st.floats(2.4, 4.5),
    st.tuples(st.integers(0, 31), st.integers(0, 31)),
    st.floats(0.0, 400.0),
    st.integers(0, 9),
)
def test_detection_is_that_of_the_book(
    fwhm: float, place: tuple[int, int], light: float, seed: int
) -> None:
    """On a field of one mesh cell detection agrees with the slow way, pixel by pixel."""
    image = np.random.default_rng(seed).normal(10.0, 2.0, (32, 32))
    image[place] += light
    variance = np.full(image.shape, 4.0)
    assert np.array_equal(detect(image, variance, fwhm), slow_detect(image, variance, fwhm))


@pytest.mark.parametrize("shape", [(256, 256), (256, 330), (448, 300)])
def test_the_local_background_follows_a_slope(shape: tuple[int, int]) -> None:
    """Inside the field a plane comes back from its mesh of medians, whatever the field's shape."""
    rows, columns = np.indices(shape).astype(float)
    plane_of = 100.0 + 0.05 * columns - 0.03 * rows
    found = exposure._local_background(plane_of)  # noqa: SLF001 - the formula itself
    assert found.shape == shape
    assert np.abs(found - plane_of)[96:-96, 96:-96].max() < 0.1


def test_the_mesh_holds_the_medians_of_its_cells() -> None:
    """Each cell has the median of its finite pixels; a nearly empty one that of all the others."""
    image = np.random.default_rng(2).normal(size=(128, 192))
    image[:64, :64] = np.nan
    image[:8, :64] = 77.0  # an eighth: too few
    mesh = exposure._mesh_medians(image)  # noqa: SLF001 - the formula itself
    slow = [
        [float(np.median(image[y : y + 64, x : x + 64])) for x in (0, 64, 128)] for y in (0, 64)
    ]
    others = [slow[y][x] for y in (0, 1) for x in (0, 1, 2) if (y, x) != (0, 0)]
    slow[0][0] = float(np.median(others))
    assert np.array_equal(mesh, slow)
    image[8, 0] = 77.0  # one more: enough
    assert exposure._mesh_medians(image)[0, 0] == 77.0  # noqa: SLF001 - as above
