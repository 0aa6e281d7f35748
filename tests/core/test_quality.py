"""The judgement of the sky: each figure against what was planted."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core import MaskedImage, MatchConfig, Quality
from core.config import UndersampleStyle
from core.quality import FLAGS
from ops.skyconstants.planes import PLANES, leave, pair, white_noise

RNG = np.random.default_rng
BIN = 24
SIDE = 8 * BIN
CONFIG = MatchConfig(bin_size=BIN)
MEASURED = {"kappa", "sky_chi2", "worst_block", "sky_offset", "sky_rms", "sky_error"}


def quality_of(
    sky: NDArray[np.floating] | float = 0.0, seed: int = 0, config: MatchConfig = CONFIG
) -> Quality:
    """Return the judgement of a sky with white noise of variance 1."""
    noise = white_noise(RNG(seed), SIDE, SIDE)
    return leave(*pair((noise + sky).astype(np.float32)), config).quality


def known(quality: Quality) -> set[str]:
    """Return the figures that were measured."""
    return {name for name in MEASURED if not math.isnan(getattr(quality, name))}


def bump(x: float, y: float, width: float, height: float) -> NDArray[np.float64]:
    """Return a round bump of a height at a place."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.asarray(height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2)))


def test_a_good_match_is_all_noise() -> None:
    """Over noise and a smooth sky every figure is that of noise, and no flag is raised."""
    y, x = np.mgrid[:SIDE, :SIDE]
    found = quality_of(0.02 * x - 0.01 * y + 3.0)
    assert found.tiles == 49
    assert found.kappa == pytest.approx(1.0, abs=0.1)
    assert found.sky_chi2 == pytest.approx(1.0, abs=0.6)
    assert found.worst_block < 4
    assert abs(found.sky_offset) < 0.02
    assert found.sky_rms < 0.02
    assert found.sky_error == pytest.approx(1 / SIDE, rel=0.15)
    assert found.coverage == pytest.approx(1 - 1 / SIDE**2)
    assert found.extrapolated_fraction == 0.0
    assert found.flags == ()


def test_a_bump_is_the_worst_block() -> None:
    """A bump of a few tiles, which the median forgives, is found where it is."""
    found = quality_of(bump(121, 70, 12, 3.0))
    assert found.sky_chi2 < 2
    assert found.worst_block > 6
    assert math.hypot(found.worst_x - 121, found.worst_y - 70) < 1.5 * BIN


def test_the_place_of_a_block_is_its_centre() -> None:
    """On four cells a side there is one block, and its centre is the image's."""
    plane = white_noise(RNG(1), 4 * BIN, 4 * BIN)
    found = leave(*pair(plane), CONFIG).quality
    assert (found.worst_x, found.worst_y) == (47.5, 47.5)
    assert found.tiles == 9


def test_waves_are_left_over() -> None:
    """Of a wave too short for the bins, chi2 and rms tell how much is left."""
    x = np.arange(SIDE)
    wave = 0.5 * np.sin(2 * np.pi * x / (3 * BIN)) * np.ones((SIDE, 1))
    noise = white_noise(RNG(2), SIDE, SIDE)
    match = leave(*pair(noise + wave.astype(np.float32)), CONFIG)
    left = (wave - match.model.image())[12:-12, 12:-12]
    tiles = left.reshape(7, BIN, 7, BIN).mean(axis=(1, 3))
    found = match.quality
    assert found.sky_chi2 > 5
    assert found.sky_rms == pytest.approx(math.sqrt((tiles**2).mean()), rel=0.1)


def test_offsets_of_skewed_residuals_are_seen() -> None:
    """What stars leave moves a mean; clipping sees that the sky is off by as much."""
    plane = white_noise(RNG(3), SIDE, SIDE)
    stars = RNG(4).random(plane.shape) < 0.01
    plane[stars] += 30.0
    found = leave(*pair(plane), CONFIG).quality
    assert found.sky_offset == pytest.approx(-0.3, abs=0.05)
    assert found.sky_chi2 > 10


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_error_of_the_level_is_the_science_exposure_s(share: float) -> None:
    """With one reference the levels of 200 models scatter by sky_error, whatever its noise is."""
    reference = noisy_exposure(0, 1 - share)
    config = replace(CONFIG, bin_size=12)
    matches = [leave(reference, noisy_exposure(seed, share), config) for seed in range(1, 201)]
    levels = [match.model.image().mean(dtype=np.float64) for match in matches]
    errors = [match.quality.sky_error for match in matches[:20]]
    assert np.std(levels) == pytest.approx(np.median(errors), rel=0.15)


def noisy_exposure(seed: int, variance: float) -> MaskedImage:
    """Return an exposure of 72 x 72 pixels with noise of a variance, which says so."""
    noise = white_noise(RNG(seed), 72, 72) * np.float32(math.sqrt(variance))
    mask = np.zeros(noise.shape, dtype=np.int32)
    mask[0, 0] = 1 << PLANES["DETECTED"]
    return MaskedImage(noise, mask, np.full_like(noise, variance), PLANES)


def test_scales_scale() -> None:
    """Exposures in a unit 2^20 times smaller have the same figures, or 2^20 times as large."""
    one = leave(*pair(white_noise(RNG(5), SIDE, SIDE)), CONFIG)
    large = leave(scaled(one.reference), scaled(one.science), CONFIG).quality
    for field in fields(Quality):
        value = getattr(one.quality, field.name)
        scale = 2.0**20 if field.name in {"sky_offset", "sky_rms", "sky_error"} else 1
        expected = value if field.name == "flags" else value * scale
        assert getattr(large, field.name) == expected


def scaled(exposure: MaskedImage) -> MaskedImage:
    """Return an exposure in a smaller unit."""
    return replace(
        exposure,
        image=exposure.image * np.float32(2**20),
        variance=exposure.variance * np.float32(2**40),
    )


# -- what can't be measured ------------------------------------------------------------------------


def test_one_bin_tells_only_what_is_covered() -> None:
    """With one bin there are no tiles; how much was seen is known all the same."""
    found = quality_of(config=replace(CONFIG, bin_size=SIDE))
    assert known(found) == set()
    assert found.tiles == 0
    assert found.coverage > 0.99


def test_without_noise_nothing_is_judged() -> None:
    """A difference without noise has no errors to judge by."""
    found = leave(*pair(np.zeros((SIDE, SIDE), dtype=np.float32)), CONFIG).quality
    assert found.tiles == 0
    assert known(found) == set()


def test_three_bins_have_no_window() -> None:
    """On three bins a side there are tiles, but no window of 3 x 3 of them."""
    plane = white_noise(RNG(0), 3 * BIN, 3 * BIN)
    found = leave(*pair(plane), CONFIG).quality
    assert known(found) == MEASURED - {"worst_block"}
    assert math.isnan(found.worst_x)
    assert math.isnan(found.worst_y)


def test_windows_need_five_tiles() -> None:
    """Where no window has five tiles there is no worst block."""
    plane = white_noise(RNG(0), 4 * BIN, 4 * BIN)
    bad = np.zeros(plane.shape, dtype=np.bool_)
    bad[:, 34:] = True
    found = leave(*pair(plane, bad), CONFIG).quality
    assert found.tiles == 3
    assert math.isnan(found.worst_block)


@pytest.mark.parametrize("variance", [0.0, math.nan, math.inf, -1.0])
def test_without_variance_the_share_is_not_known(variance: float) -> None:
    """Where no variance is usable, the science exposure's share of the error is not known."""
    reference, science = pair(white_noise(RNG(0), SIDE, SIDE))
    planes = replace(science, variance=np.full_like(science.variance, variance))
    noisy = replace(reference, variance=np.ones_like(reference.variance))
    for other in (reference, noisy):
        found = leave(other, planes, CONFIG).quality
        assert known(found) == MEASURED - {"sky_error"}


def test_gaps_are_told() -> None:
    """Coverage counts good pixels, and the extrapolated fraction those of empty bins."""
    bad = np.zeros((SIDE, SIDE), dtype=np.bool_)
    bad[: 2 * BIN, : 3 * BIN] = True
    bad[0::2, -BIN:] = True
    found = leave(*pair(white_noise(RNG(0), SIDE, SIDE), bad), CONFIG).quality
    assert found.coverage == pytest.approx(1 - 6 / 64 - 0.5 / 8)
    assert found.extrapolated_fraction == pytest.approx(6 / 64)
    assert found.tiles == 49 - 2


def test_more_bins_have_their_own_blocks() -> None:
    """Where INCREASE_NXNYSAMPLE changed the grid, tiles and blocks are those of the new one."""
    config = MatchConfig(
        bin_size=48,
        use_polynomial=True,
        order=3,
        undersample_style=UndersampleStyle.INCREASE_NXNYSAMPLE,
    )
    bad = np.zeros((SIDE, SIDE), dtype=np.bool_)
    bad[: 48 + 1] = True
    match = leave(*pair(white_noise(RNG(0), SIDE, SIDE), bad), config)
    ny, nx = match.model.values.shape
    assert ny == nx == 3 * 48 // 4
    assert match.quality.tiles > 700
    assert match.quality.kappa == pytest.approx(1.0, abs=0.1)


# -- flags -----------------------------------------------------------------------------------------


def test_flags_are_sorted() -> None:
    """All flags are named, in order."""
    assert tuple(sorted(FLAGS)) == FLAGS


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("fault", ["absent", "empty"])
def test_exposures_without_detections_are_flagged(which: int, fault: str) -> None:
    """Where DETECTED is unknown or empty in either exposure, the fit takes stars for sky."""
    exposures = list(pair(white_noise(RNG(0), SIDE, SIDE)))
    if fault == "absent":
        exposures[which] = replace(exposures[which], planes={"NO_DATA": 0})
    else:
        exposures[which] = replace(exposures[which], mask=np.zeros((SIDE, SIDE), np.int32))
    assert leave(exposures[0], exposures[1], CONFIG).quality.flags == ("sources_unmasked",)


def test_detections_that_are_not_left_out_are_flagged() -> None:
    """If DETECTED is no bad mask plane, the fit takes stars for sky, detected or not."""
    config = replace(CONFIG, bad_mask_planes=("NO_DATA",))
    assert quality_of(config=config).flags == ("sources_unmasked",)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("place", [4 * BIN, 4 * BIN + 10])
def test_steps_are_flagged(axis: int, place: int) -> None:
    """A step along either axis, on the edge of a cell or off it, is an edge."""
    step = np.where(np.indices((SIDE, SIDE))[axis] >= place, 1.0, 0.0)
    found = quality_of(step)
    assert found.flags == ("edge_step",)


def test_a_step_on_a_cell_edge_cancels_in_the_tiles() -> None:
    """Why there is a flag: chi2 and the worst block do not see a step on the edge of a cell."""
    step = np.where(np.indices((SIDE, SIDE))[1] >= 4 * BIN, 1.0, 0.0)
    assert quality_of(step).sky_chi2 < 2
    assert quality_of(step).worst_block < 6
