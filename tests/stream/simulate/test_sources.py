"""Stars, galaxies, cirrus and the PSF."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, optimize

from stream.simulate import sources
from stream.simulate.sources import Galaxies, Scene, Stars, moffat, scene_of, sersic
from stream.simulate.spec import ZERO_POINT, SurveySpec, generator

MARGIN = 64

Float = NDArray[np.float64]


def blank(size: int = 128) -> np.ndarray:
    """Return an empty sky with its margin."""
    return np.zeros((size + 2 * MARGIN, size + 2 * MARGIN))


def peak_of(image: np.ndarray) -> list[int]:
    """Return row and column of the brightest pixel."""
    return [int(place) for place in np.unravel_index(np.argmax(image), image.shape)]


def star_at(x: float, y: float, mag: float = 17.0) -> Stars:
    """Return a catalogue of one star, r - i = 0.5."""
    return Stars(*(np.array([v]) for v in (x, y, mag, 0.5)))


def galaxy_at(x: float, y: float, radius: float, index: float) -> Galaxies:
    """Return a catalogue of one galaxy of magnitude 17."""
    return Galaxies(*(np.array([v]) for v in (x, y, 17.0, 0.3, radius, index, 0.6, 0.7)))


@pytest.mark.parametrize("fwhm", [2.5, 3.3, 5.0])
def test_the_psf_is_half_as_high_half_a_width_away(fwhm: float) -> None:
    """A Moffat profile has sum 1 and falls to half its peak at half its FWHM."""
    psf = moffat((200, 256), fwhm)
    assert psf.sum() == pytest.approx(1.0)
    fine = np.interp(fwhm / 2, np.arange(20), psf[0, :20])
    assert fine == pytest.approx(psf[0, 0] / 2, rel=0.08)


def test_the_psf_is_round_and_wraps() -> None:
    """The profile is the same in x and y and on both sides of pixel (0, 0)."""
    psf = moffat((64, 64), 3.0)
    assert np.allclose(psf, psf.T)
    assert np.allclose(psf[1:], psf[:0:-1])


@pytest.mark.parametrize(("x", "y"), [(100.0, 90.0), (100.5, 90.25), (99.9, 120.7)])
def test_a_star_keeps_its_flux_and_place_anywhere_in_a_pixel(x: float, y: float) -> None:
    """Its counts are its magnitude's, its centre is its place, its width is always the same."""
    truth = blank()
    sources._draw_stars(truth, star_at(x, y), "r")  # noqa: SLF001 - planted truth goes in here
    assert truth.sum() == pytest.approx(10 ** (0.4 * (ZERO_POINT - 17.0)))
    rows, columns = np.indices(truth.shape)
    weight = truth / truth.sum()
    assert (weight * columns).sum() == pytest.approx(x)
    assert (weight * rows).sum() == pytest.approx(y)
    assert (weight * (columns - x) ** 2).sum() == pytest.approx(1 / 3)


def test_a_colour_shows_in_the_other_band() -> None:
    """A star of r - i = 0.5 is half a magnitude brighter in i."""
    counts = {}
    for band in "ri":
        truth = blank()
        sources._draw_stars(truth, star_at(100, 100), band)  # noqa: SLF001 - as above
        counts[band] = truth.sum()
    assert 2.5 * np.log10(counts["i"] / counts["r"]) == pytest.approx(0.5)


@pytest.mark.parametrize(("index", "share"), [(1.0, 0.99), (4.0, 0.99)])
def test_a_galaxy_has_its_flux(index: float, share: float) -> None:
    """A galaxy well inside the field has the counts of its magnitude, whatever its profile."""
    truth = blank()
    sources._draw_galaxies(truth, galaxy_at(128.3, 127.8, 5.0, index), "r")  # noqa: SLF001 - as above
    counts = 10 ** (0.4 * (ZERO_POINT - 17.0))
    assert share * counts < truth.sum() <= counts * 1.0001


def test_half_the_light_lies_within_the_half_light_radius() -> None:
    """Within the ellipse of its half-light radius a galaxy of index 1 has half its light."""
    truth = blank()
    galaxy = galaxy_at(128.0, 128.0, 14.0, 1.0)
    sources._draw_galaxies(truth, galaxy, "r")  # noqa: SLF001 - as above
    rows, columns = np.indices(truth.shape)
    dx, dy = columns - 128.0, rows - 128.0
    major = np.cos(0.7) * dx + np.sin(0.7) * dy
    minor = (np.cos(0.7) * dy - np.sin(0.7) * dx) / 0.6
    inside = truth[np.hypot(major, minor) <= 14.0].sum() / truth.sum()
    assert inside == pytest.approx(0.5, abs=0.02)


def test_a_galaxy_at_the_border_is_cut_not_moved() -> None:
    """A galaxy whose stamp leaves the sky keeps the part within."""
    truth = blank()
    sources._draw_galaxies(truth, galaxy_at(5.0, 128.0, 12.0, 1.0), "r")  # noqa: SLF001 - as above
    assert peak_of(truth) == [128, 5]
    assert 0.5 < truth.sum() / 10 ** (0.4 * (ZERO_POINT - 17.0)) < 0.9


def test_sersic_profiles_fall() -> None:
    """Profiles fall outwards; a de Vaucouleurs profile has both the cusp and the long wings."""
    radius = np.linspace(0.01, 8.0, 50)
    disc, bulge = sersic(radius, 1.0), sersic(radius, 4.0)
    assert (np.diff(disc) < 0).all()
    assert (np.diff(bulge) < 0).all()
    at_half = np.array([1.0])
    assert bulge[-1] / sersic(at_half, 4.0)[0] > disc[-1] / sersic(at_half, 1.0)[0]


def test_seeing_moves_light_but_makes_none() -> None:
    """Through a PSF a star keeps its counts; in bad seeing its peak is lower."""
    truth = blank()
    truth[MARGIN + 60, MARGIN + 70] = 1000.0
    sharp, soft = (Scene(truth).through(fwhm) for fwhm in (2.5, 5.0))
    assert sharp.shape == (128, 128)
    assert peak_of(sharp) == [60, 70]
    assert sharp.sum() == pytest.approx(1000.0, rel=0.02)
    assert soft.sum() == pytest.approx(1000.0, rel=0.04)
    assert soft.max() < 0.5 * sharp.max()


def test_a_field_has_faint_many_and_bright_few() -> None:
    """The luminosity functions rise: more sources in each fainter magnitude."""
    rng = np.random.default_rng(1)
    mags = sources._luminosities(4000, 14.0, 24.0, 0.3, rng)  # noqa: SLF001 - as above
    counts, _ = np.histogram(mags, np.arange(14.0, 24.1, 1.0))
    assert (np.diff(counts) > 0).all()
    slope = np.log10(counts[9] / counts[4]) / 5
    assert slope == pytest.approx(0.3, abs=0.02)


def test_the_sky_is_the_same_in_two_bands_but_for_its_colours() -> None:
    """The bands' scenes correlate closely, and are not multiples of each other."""
    spec = SurveySpec(size=192, patches=1)
    r, i = (scene_of(spec, band).through(3.0) for band in "ri")
    assert np.corrcoef(np.log(np.abs(r) + 1).ravel(), np.log(np.abs(i) + 1).ravel())[0, 1] > 0.9
    bright = r > 20
    assert np.std(i[bright] / r[bright]) > 0.05


def test_cirrus_is_faint_and_wide() -> None:
    """Cirrus nowhere reaches the noise of a pixel and is smooth on the scale of the PSF."""
    wisps = sources._cirrus((320, 900), np.random.default_rng(5))  # noqa: SLF001 - as above
    assert wisps.min() >= 0.0
    assert 0.3 < wisps.max() < 3.0
    assert np.abs(np.diff(wisps, axis=1)).max() < 0.1 * wisps.max()


@pytest.mark.parametrize("fwhm", [2.35, 2.5, 2.8, 3.3, 3.8, 4.25, 5.0])
@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.5, 0.5), (0.3, 0.7)])
def test_a_star_is_as_wide_as_the_seeing_says(fwhm: float, dx: float, dy: float) -> None:
    """The width of a star as it is seen, by a fit, is the plan's FWHM to 4 %, in any pixel."""
    truth = blank()
    x, y = 64.0 + dx, 64.0 + dy
    sources._draw_stars(truth, star_at(MARGIN + x, MARGIN + y), "r")  # noqa: SLF001 - as above
    seen = Scene(truth).through(fwhm)
    rows, columns = np.indices(seen.shape)
    radius = np.hypot(columns - x, rows - y)
    near = radius < 10.0

    def profile(r: Float, peak: float, width: float, beta: float) -> Float:
        core = width / (2.0 * np.sqrt(2.0 ** (1.0 / beta) - 1.0))
        return np.asarray(peak * (1.0 + (r / core) ** 2) ** -beta)

    start = (seen.max(), fwhm, 3.0)
    found, _ = optimize.curve_fit(profile, radius[near], seen[near], p0=start)
    assert found[1] == pytest.approx(fwhm, rel=0.04)


@pytest.mark.parametrize(("band", "magnitudes"), [("g", 1.6), ("r", 0.0), ("i", -1.0), ("z", -1.5)])
def test_a_red_star_shows_its_colour_in_every_band(band: str, magnitudes: float) -> None:
    """A star of r - i = 1 is 1.6 magnitudes fainter in g than in r, and brighter in i and z."""
    truth = blank()
    one = Stars(*(np.array([v]) for v in (100.0, 100.0, 17.0, 1.0)))
    sources._draw_stars(truth, one, band)  # noqa: SLF001 - as above
    assert ZERO_POINT - 2.5 * np.log10(truth.sum()) == pytest.approx(17.0 + magnitudes)


def test_a_galaxy_lies_along_its_angle() -> None:
    """Second moments of an exponential disc give back its axis ratio and its angle."""
    truth = blank()
    sources._draw_galaxies(truth, galaxy_at(128.0, 128.0, 12.0, 1.0), "r")  # noqa: SLF001 - as above
    rows, columns = np.indices(truth.shape)
    weight = truth / truth.sum()
    dx, dy = columns - 128.0, rows - 128.0
    xx, yy, xy = ((weight * one).sum() for one in (dx * dx, dy * dy, dx * dy))
    assert 0.5 * np.arctan2(2 * xy, xx - yy) == pytest.approx(0.7, abs=0.03)
    size = np.hypot((xx - yy) / 2, xy)
    ratio = np.sqrt(((xx + yy) / 2 - size) / ((xx + yy) / 2 + size))
    assert ratio == pytest.approx(0.6, abs=0.06)


def test_a_sersic_profile_halves_its_light_at_its_radius() -> None:
    """Half the light of an index lies within one half-light radius: integrated, to 3 %."""
    edges = np.linspace(0.0, 1.0, 20_001)[1:]
    far = np.concatenate([edges, np.geomspace(1.0, 3000.0, 60_000)[1:]])
    for index in (1.0, 4.0):
        light = np.concatenate(
            [[0.0], integrate.cumulative_trapezoid(far * sersic(far, index), far)]
        )
        half = light[np.searchsorted(far, 1.0)] / light[-1]
        assert half == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize("seed", range(4))
def test_a_field_holds_as_many_sources_as_the_sky_does(seed: int) -> None:
    """Seven stars and 25 galaxies a square arcminute, all over it, with colours of their kinds."""
    shape, minutes = (640, 900), 640 * 900 * 0.4**2 / 3600
    rng = np.random.default_rng(seed)
    stars = sources._star_catalogue(shape, rng)  # noqa: SLF001 - as above
    galaxies = sources._galaxy_catalogue(shape, rng)  # noqa: SLF001 - as above
    for found, density, colour in ((stars, 7.0, 0.54), (galaxies, 25.0, 0.35)):
        assert found.x.size == pytest.approx(density * minutes, abs=1)
        assert 4.0 <= found.x.min() < 60
        assert 840 < found.x.max() <= 895.0
        assert 4.0 <= found.y.min() < 60
        assert 580 < found.y.max() <= 635.0
        assert found.colour.mean() == pytest.approx(
            colour, abs=5 * found.colour.std() / found.x.size**0.5
        )
    assert 12.6 <= stars.mag.min() < 15.0
    assert 23.5 < stars.mag.max() <= 24.0
    assert 17.0 <= galaxies.mag.min() < 20.5
    assert 24.9 < galaxies.mag.max() <= 25.0
    assert np.corrcoef(galaxies.mag, np.log(galaxies.radius))[0, 1] < -0.5
    assert set(np.unique(galaxies.index)) == {1.0, 4.0}
    assert 0.3 <= galaxies.ratio.min() < galaxies.ratio.max() <= 1.0


def test_cirrus_lies_to_one_side() -> None:
    """Wisps are where the field's right side is, and none at its left: one visit's border cuts."""
    wisps = sources._cirrus((320, 900), np.random.default_rng(5))  # noqa: SLF001 - as above
    weight = wisps.sum(axis=0)
    assert (weight * np.arange(900)).sum() / weight.sum() > 600
    assert wisps[:, :300].max() < 0.02 * wisps.max()


def test_the_great_spiral_is_where_it_is_meant_to_be_at_any_size() -> None:
    """The field's landmark keeps its place, and its bulge and disc are in one."""
    for size in (192, 512):
        spec = SurveySpec(size=size, patches=3)
        shape = (spec.shape[0] + 2 * MARGIN, spec.shape[1] + 2 * MARGIN)
        marks = sources._landmarks(spec, shape, np.random.default_rng(1))  # noqa: SLF001 - as above
        assert (marks.x[0], marks.y[0]) == (marks.x[1], marks.y[1])
        assert (marks.index[0], marks.index[1]) == (4.0, 1.0)
        assert marks.x[0] / shape[1] == pytest.approx(0.36, abs=0.05)
        assert marks.y[0] / shape[0] == pytest.approx(0.56, abs=0.08)
        surface = marks.mag[1] + 5 * np.log10(marks.radius[1])
        assert surface == pytest.approx(13.5 + 5 * np.log10(36.0))


def test_a_scene_holds_its_stars_galaxies_landmarks_and_cirrus() -> None:
    """A scene's counts are those of its parts: the sum of what each of them draws by itself."""
    spec = SurveySpec(size=192, patches=1)
    shape = (192 + 2 * MARGIN, 192 + 2 * MARGIN)
    rng = generator(spec, 2)
    parts = [np.zeros(shape) for _ in range(3)]
    sources._draw_stars(parts[0], sources._star_catalogue(shape, rng), "i")  # noqa: SLF001 - as above
    sources._draw_galaxies(parts[1], sources._galaxy_catalogue(shape, rng), "i")  # noqa: SLF001 - as above
    sources._draw_galaxies(parts[2], sources._landmarks(spec, shape, rng), "i")  # noqa: SLF001 - as above
    # Cirrus is bluer than r - i = 0 by 0.15 magnitudes, so it is fainter in i than in r.
    parts.append(10.0**-0.06 * sources._cirrus(shape, rng))  # noqa: SLF001 - as above
    assert min(part.sum() for part in parts) > 100.0
    whole, sum_of = (s.through(3.0) for s in (scene_of(spec, "i"), Scene(np.sum(parts, axis=0))))
    assert np.allclose(whole, sum_of, atol=1e-6)
