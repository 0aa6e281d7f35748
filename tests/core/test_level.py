"""Level and scatter about a plane: planted skies, and what must not count."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import FitProfile, MaskedImage, MatchConfig
from core.level import SkyLevel, _cell_count, sky_level
from tests.core import twins
from tests.core.exposures import LAW, PLANES, flat, noisy, plane, with_bits

CONFIG = MatchConfig(profile=FitProfile.SURVEY)
SHAPE = (150, 170)
SLOPES = st.floats(-2, 2)


def noise(seed: int, shape: tuple[int, int] = SHAPE, sigma: float = 10.0) -> NDArray[np.float64]:
    """Return white noise in steps of 1/64, which sums and shifts of 1/64 keep exactly."""
    return np.round(np.random.default_rng(seed).normal(0, sigma, shape) * 64) / 64


def close(ours: SkyLevel, theirs: SkyLevel, level: float, rtol: float, atol: float) -> None:
    """Require equal counts, and figures within tolerances, the levels that much apart."""
    assert ours.count == theirs.count
    assert ours.level == pytest.approx(theirs.level + level, rel=rtol, abs=atol)
    assert ours.variance == pytest.approx(theirs.variance, rel=rtol, abs=atol)


# --- truth


def test_white_noise_on_a_plane_has_its_level_and_variance() -> None:
    """Level at the centre and the clipped variance are those planted, over many seeds."""
    found = []
    for seed in range(20):
        sky = plane(*SHAPE, 0.5, -0.25) - 0.5 * (SHAPE[1] - 1) / 2 + 0.25 * (SHAPE[0] - 1) / 2
        one = sky_level(flat(sky + 300 + noise(seed)), CONFIG)
        found.append((one.level, one.variance))
        assert one.count == SHAPE[0] * SHAPE[1]
    level, variance = np.mean(found, axis=0)
    assert level == pytest.approx(300, abs=3 * 10 / math.sqrt(20 * SHAPE[0] * SHAPE[1]))
    assert variance == pytest.approx(100, rel=0.05)  # 3 sigma clipping takes 3 % of a Gaussian's


def test_gradients_and_stars_do_not_count_as_scatter() -> None:
    """A steep plane and unmasked stars leave the variance, which is LSST's by far no more."""
    image = noise(1)
    stars = np.random.default_rng(2).random(SHAPE) < 0.01
    quiet, loud = flat(image), flat(image + plane(*SHAPE, 3, 2) + np.where(stars, 1e4, 0.0))
    ratio = sky_level(loud, CONFIG).variance / sky_level(quiet, CONFIG).variance
    assert ratio == pytest.approx(1, abs=0.03)


def test_structure_of_the_sky_counts() -> None:
    """What no plane describes is scatter, at its full variance, however slowly it varies."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    wave = 20 * np.cos(2 * np.pi * x / SHAPE[1]) * np.cos(2 * np.pi * y / SHAPE[0])
    smooth, wavy = (sky_level(flat(noise(3) + sky), CONFIG) for sky in (0.0, wave))
    assert wavy.variance - smooth.variance == pytest.approx(wave.var(), rel=0.05)


# --- laws


@LAW
@given(st.integers(0, 1000), SLOPES, SLOPES, st.integers(-3000, 3000))
def test_a_plane_added_changes_the_level_alone(seed: int, a: float, b: float, level: int) -> None:
    """With gaps anywhere, a plane on the exposure adds its centre to the level, nothing else."""
    exposure = gappy(seed)
    centre = a * (SHAPE[1] - 1) / 2 + b * (SHAPE[0] - 1) / 2 + level
    sky = plane(*SHAPE, a, b, level)
    tilted = replace(exposure, image=(exposure.image + sky).astype(np.float32))
    close(sky_level(tilted, CONFIG), sky_level(exposure, CONFIG), centre, rtol=0.01, atol=0.3)


def gappy(seed: int) -> MaskedImage:
    """Return noise with a masked ellipse, a masked edge and scattered NaN."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = noise(seed)
    image[rng.random(SHAPE) < 0.1] = np.nan
    hole = np.hypot((x - rng.uniform(0, 170)) / 40, (y - rng.uniform(0, 150)) / 20) < 1
    hole |= x + y < rng.uniform(0, 150)
    return flat(image, with_bits(np.zeros(SHAPE, dtype=np.int32), hole, PLANES["NO_DATA"]))


@LAW
@given(st.integers(0, 1000), st.integers(20, 60), st.integers(20, 60), st.integers(-20, 20))
def test_a_power_of_two_scales_exactly(seed: int, height: int, width: int, power: int) -> None:
    """Times 2^k: the level times 2^k and the variance 4^k, to the bit."""
    exposure, factor = noisy(seed, height, width), 2.0**power
    scaled = replace(exposure, image=exposure.image * np.float32(factor))
    one = sky_level(exposure, CONFIG)
    expected = SkyLevel(one.level * factor, one.variance * factor**2, one.count)
    assert sky_level(scaled, CONFIG) == expected


@LAW
@given(st.integers(0, 1000))
def test_pixels_that_do_not_count_may_be_anything(seed: int) -> None:
    """Masked pixels, NaN and infinities have no influence."""
    exposure = noisy(seed, 40, 50, 0.4)
    bad = (exposure.mask & exposure.bits(CONFIG.bad_mask_planes)) != 0
    bad |= ~np.isfinite(exposure.image)
    for poison in (np.nan, np.inf, -np.inf, 1e30):
        image = np.where(bad, np.float32(poison), exposure.image)
        mask = with_bits(exposure.mask, bad, PLANES["NO_DATA"])
        other = replace(exposure, image=image, mask=mask)
        assert sky_level(other, CONFIG) == sky_level(exposure, CONFIG)
    assert sky_level(exposure, CONFIG).count == np.count_nonzero(~bad)


@LAW
@given(st.integers(0, 1000))
def test_the_axes_are_alike(seed: int) -> None:
    """An exposure with x and y exchanged has the same level and scatter."""
    exposure = gappy(seed)
    turned = flat(np.ascontiguousarray(exposure.image.T), np.ascontiguousarray(exposure.mask.T))
    close(sky_level(turned, CONFIG), sky_level(exposure, CONFIG), 0.0, rtol=1e-9, atol=1e-9)


# --- the plain twin


Cell = tuple[int, float, float, float, float]


def twin_cells(
    exposure: MaskedImage, config: MatchConfig, sky: Callable[[float, float], float]
) -> list[Cell]:
    """Clipped count, mean and variance of each cell, and the centroid of its good pixels."""
    height, width = exposure.shape
    flagged = exposure.bits(config.bad_mask_planes)
    cells = []
    for bottom, top in pairwise(twins.edges(height, min(max(height // 8, 1), 16))):
        for left, right in pairwise(twins.edges(width, min(max(width // 8, 1), 16))):
            places = [
                (x, y)
                for y in range(bottom, top)
                for x in range(left, right)
                if not exposure.mask[y, x] & flagged and math.isfinite(exposure.image[y, x])
            ]
            pixels = [twins.f32(float(exposure.image[y, x]) - sky(x, y)) for x, y in places]
            found = twins.clipped_moments(pixels, config.num_sigma_clip, config.num_iter)
            if not math.isnan(found[1]):
                x, y = (math.fsum(of) / len(places) for of in zip(*places, strict=True))
                cells.append((*found, x, y))
    return cells


def twin_level(exposure: MaskedImage, config: MatchConfig) -> tuple[float, float]:
    """Level and variance from plain loops, the plane by another way of least squares."""
    cells = twin_cells(exposure, config, lambda *_: 0.0)
    if not cells:
        return math.nan, math.nan
    n, z, _, x, y = np.array(cells).T
    centre_y, centre_x = ((length - 1) / 2 for length in exposure.shape)
    u, v, w = (x - centre_x), (y - centre_y), np.sqrt(n)
    mean = [np.sum(n * of) / n.sum() for of in (u, v, z)]
    matrix = np.stack([w * (u - mean[0]), w * (v - mean[1])], axis=1)
    a, b = np.linalg.lstsq(matrix, w * (z - mean[2]), rcond=1e-4)[0]
    level = mean[2] - a * mean[0] - b * mean[1]
    left = twin_cells(
        exposure, config, lambda x, y: level + a * (x - centre_x) + b * (y - centre_y)
    )
    total = math.fsum(cell[0] for cell in left)
    offset = math.fsum(cell[0] * cell[1] for cell in left) / total
    squares = math.fsum((cell[0] - 1) * cell[2] for cell in left if cell[0] > 1)
    squares += math.fsum(cell[0] * (cell[1] - offset) ** 2 for cell in left)
    return level + offset, squares / (total - 1) if total > 1 else math.nan


@settings(LAW, max_examples=25)
@given(
    st.integers(0, 1000), st.integers(1, 45), st.integers(1, 45), st.sampled_from([0.1, 0.8, 3.5])
)
def test_the_figures_are_the_twin_s(seed: int, height: int, width: int, bad: float) -> None:
    """With few pixels or many, in cells of one or of hundreds, they are those of plain loops."""
    exposure = noisy(seed, height, width, bad)
    exposure = replace(exposure, image=exposure.image + stars(seed, exposure.shape))
    found = sky_level(exposure, CONFIG)
    expected = twin_level(exposure, CONFIG)
    np.testing.assert_allclose([found.level, found.variance], expected, rtol=1e-6, atol=1e-6)


def stars(seed: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return light that pulls the first fit, so that the second has something to mend."""
    there = np.random.default_rng(seed).random(shape) < 0.03
    return np.where(there, np.float32(300), np.float32(0))


def test_there_are_cells_of_8_pixels_but_no_more_than_16() -> None:
    """Structure within a cell counts in full; a step between cells too, each at its place."""
    assert [_cell_count(length) for length in (1, 7, 8, 15, 16, 127, 128, 144, 4200)] == [
        1, 1, 1, 1, 2, 15, 16, 16, 16,
    ]  # fmt: skip


# --- few pixels


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (7, 200), (200, 15), (16, 16)])
def test_narrow_exposures_have_a_level(shape: tuple[int, int]) -> None:
    """Where cells lie on a line, or there is but one, what can be known of the plane is used."""
    sky = plane(*shape, 5, 5) - 5 * (shape[1] - 1) / 2 - 5 * (shape[0] - 1) / 2
    found = sky_level(flat(sky + 40), CONFIG)
    assert found.level == pytest.approx(40, abs=1e-4)
    assert found.count == shape[0] * shape[1]
    assert math.isnan(found.variance) == (shape == (1, 1))


@pytest.mark.parametrize(
    ("good", "finite"), [([], False), ([(3, 4)], False), ([(3, 4), (20, 30)], True)]
)
def test_two_pixels_are_the_fewest(good: list[tuple[int, int]], *, finite: bool) -> None:
    """None has no level, one no variance."""
    image = np.full((40, 40), np.nan)
    for place in good:
        image[place] = 7.0
    found = sky_level(flat(image), CONFIG)
    assert found.count == len(good)
    assert math.isfinite(found.variance) == finite
    assert math.isnan(found.level) == (not good)


def test_a_flat_exposure_has_no_scatter() -> None:
    """The same number everywhere is its level, with variance 0."""
    assert sky_level(flat(np.full(SHAPE, -3.5)), CONFIG) == SkyLevel(-3.5, 0.0, 150 * 170)


def test_levels_beyond_float32_do_not_warn() -> None:
    """The largest numbers of float32 neither overflow nor warn."""
    image = np.full((40, 40), 3e38)
    image[::2] = -3e38
    found = sky_level(flat(image), CONFIG)
    assert math.isfinite(found.level)
