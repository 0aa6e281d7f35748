"""Planted skies: what a spline match must find again, within its errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core import Match, MatchConfig, match_background
from tests.core.exposures import PLANES, flat, noisy, plane, with_bits
from tests.core.matched import config_with, figures

STATISTICS = ["MEAN", "MEDIAN", "MEANCLIP"]
SMOOTH = ["LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE"]


@pytest.mark.parametrize("style", ["CONSTANT", *SMOOTH])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_constant_difference_is_found_exactly(style: str, statistic: str) -> None:
    """A constant offset is the model on every pixel, and nothing is left of it."""
    sky = np.random.default_rng(1).integers(-50, 50, (120, 140)).astype(np.float32)
    config = config_with(bin_size=20, interp_style=style, grid_statistic=statistic)
    match = match_background(flat(sky + 17.25), flat(sky), config)
    np.testing.assert_array_equal(match.model.image(), np.full(sky.shape, np.float32(17.25)))
    assert figures(match) == [0.0, 0.0, 2.0]


@pytest.mark.parametrize("style", SMOOTH)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_plane_is_found_to_its_edges(style: str, statistic: str) -> None:
    """A plane is the model within float32, on bins of uneven size and in the outer half bins."""
    truth = plane(151, 173, 0.03, -0.02, 5.0)
    config = config_with(bin_size=25, interp_style=style, grid_statistic=statistic)
    match = match_background(flat(truth), flat(np.zeros_like(truth)), config)
    np.testing.assert_allclose(match.model.image(), truth, atol=2e-5)


def test_fit_rms_of_a_plane_is_half_its_slope() -> None:
    """A noise-free plane a x + b y has fit_rms |a + b| / 2, as tiles sit half a pixel off."""
    truth = plane(160, 160, 0.25, 0.5)
    config = config_with(bin_size=20, interp_style="LINEAR")
    match = match_background(flat(truth), flat(np.zeros_like(truth)), config)
    assert match.fit_rms == pytest.approx(0.375, rel=1e-5)


@pytest.mark.parametrize("style", SMOOTH)
def test_a_plane_is_found_across_gaps(style: str) -> None:
    """Empty bins, an empty column and an empty corner are filled on the plane."""
    truth = plane(240, 240, 0.03, -0.02, 5.0)
    holed = truth.copy()
    holed[40:80, 80:120] = holed[:, 160:200] = holed[:80, :40] = np.nan
    config = config_with(bin_size=40, interp_style=style)
    match = match_background(flat(holed), flat(np.zeros_like(truth)), config)
    assert np.isnan(match.model.values).sum() == 9
    np.testing.assert_allclose(match.model.image(), truth, atol=1e-4)


@pytest.mark.parametrize("style", SMOOTH)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_wave_under_noise_and_gaps_is_found_within_its_errors(style: str, statistic: str) -> None:
    """The grid's pulls against a planted sinusoid are those of its own errors."""
    pulls = []
    config = config_with(bin_size=32, interp_style=style, grid_statistic=statistic)
    for seed in range(4):
        match, truth = noisy_wave(seed, config)
        assert np.isfinite(match.model.image()).all()
        assert np.abs(match.model.image() - truth)[truth != 0].mean() < 0.5
        pulls.append(((match.model.values - cell_means(truth, 32)) / match.model.errors).ravel())
    together = np.concatenate(pulls)
    together = together[np.isfinite(together)]
    assert 0.85 < (together**2).mean() < 1.15
    assert abs(together.mean()) < 0.15


def noisy_wave(seed: int, config: MatchConfig) -> tuple[Match, NDArray[np.float64]]:
    """Return the match of a sinusoid under unit noise with a gap, and the sinusoid."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:320, :288]
    truth = np.sin(2 * np.pi * x / 300) * np.cos(2 * np.pi * y / 400) + 3
    noise = rng.normal(0, 5, (2, *truth.shape))
    mask = with_bits(np.zeros(truth.shape, dtype=np.int32), rng.random(truth.shape) < 0.1, 3)
    mask = with_bits(mask, (x > 96) & (x < 160) & (y < 64), 0)
    stars = np.where(mask != 0, 1e5, 0.0)
    reference = flat(truth + noise[0] + stars, mask, 25.0)
    return match_background(reference, flat(noise[1], variance=25.0), config), truth


def cell_means(image: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the means of square cells that divide the image."""
    height, width = image.shape
    cells = image.reshape(height // size, size, width // size, size)
    return np.asarray(cells.mean(axis=(1, 3)))


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("style", SMOOTH)
def test_finer_bins_follow_a_sky_closer(style: str, statistic: str) -> None:
    """Half the bin size leaves at most a third of the error, on a smooth sky without noise."""
    y, x = np.mgrid[:240, :240]
    truth = 10 * np.sin(x / 60 + 1) * np.cos(y / 75)
    errors = []
    for size in (40, 20, 10):
        config = config_with(bin_size=size, interp_style=style, grid_statistic=statistic)
        model = match_background(flat(truth), flat(np.zeros_like(truth)), config).model.image()
        inner = (model - truth)[40:-40, 40:-40]
        errors.append(float(np.sqrt((inner**2).mean())))
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3


@pytest.mark.parametrize("statistic", ["MEDIAN", "MEANCLIP"])
def test_stars_hardly_move_robust_statistics(statistic: str) -> None:
    """A star in every bin moves MEAN by its light, and the others by little of their error."""
    rng = np.random.default_rng(5)
    sky = rng.normal(0, 1, (160, 160))
    stars = np.zeros_like(sky)
    stars[8::16, 8::16] = 2560.0
    models = [
        match_background(flat(sky + stars), flat(np.zeros_like(sky)), config).model.values
        for config in (
            config_with(bin_size=16, grid_statistic="MEAN"),
            config_with(bin_size=16, grid_statistic=statistic),
        )
    ]
    assert models[0].mean() == pytest.approx(10.0, abs=0.05)
    assert abs(models[1].mean()) < 0.05


def test_the_figures_of_pure_noise_are_its_variance() -> None:
    """With an exact variance plane matched_mse and diff_im_var are both the planted variance."""
    match, _ = noisy_wave(9, config_with(bin_size=64, grid_statistic="MEANCLIP"))
    assert match.diff_im_var == 50.0
    assert match.matched_mse == pytest.approx(50.0, rel=0.02)
    assert match.fit_rms == pytest.approx(0.0, abs=0.3)


def test_masked_pixels_do_not_matter() -> None:
    """What is under a bad plane changes no bit; under another plane it does."""
    first, second = noisy(4, 60, 60, 0.0), noisy(5, 60, 60, 0.0)
    spot = np.zeros(first.shape, dtype=bool)
    spot[20:30, 20:30] = True
    bright = np.where(spot, np.float32(1e6), first.image)
    for name, same in (("DETECTED", True), ("EDGE", False)):
        mask = with_bits(first.mask, spot, PLANES[name])
        dark = replace(first, mask=mask)
        star = replace(dark, image=bright)
        matches = [match_background(one, second, config_with(bin_size=12)) for one in (dark, star)]
        assert (matches[0].model == matches[1].model) == same
