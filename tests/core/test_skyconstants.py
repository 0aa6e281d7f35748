"""The constants of the sky: the table is what simulations give, and is read rightly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core import GridStatistic, InterpStyle, MatchConfig
from core.skyconstants import SkyConstants, sky_constants, spline_constants
from core.skytable import TABLE
from ops.skyconstants.constants import Fit, Found, formula, simulate
from ops.skyconstants.planes import leave, pair, white_noise
from ops.skyconstants.table import rows

STYLES = ["CONSTANT", "CONSTANT/survey", "LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE"]
MEAN, MEDIAN, MEANCLIP = GridStatistic.MEAN, GridStatistic.MEDIAN, GridStatistic.MEANCLIP
LINES = {(line.split()[0], int(line.split()[1])): line for line in TABLE.strip().splitlines()}


# -- the table is what simulations give ------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh() -> dict[Fit, Found]:
    """Simulate some fits anew, with noise of which the table knows nothing."""
    wanted = [Fit(name, MEAN) for name in STYLES] + [Fit(order, MEAN) for order in (2, 4, 8)]
    wanted += [Fit("AKIMA_SPLINE", MEDIAN), Fit("LINEAR", MEANCLIP), Fit(2, MEDIAN)]
    return simulate(9, range(10_000, 10_200), wanted)


def constants_of(fit: Fit, side: int) -> SkyConstants:
    """Return what is read of the table, or worked out."""
    if isinstance(fit.name, int):
        return formula(fit, side)
    return spline_constants(fit.name, fit.statistic, (side - 1) ** 2)


def test_constants_are_what_a_simulation_gives(fresh: dict[Fit, Found]) -> None:
    """Fresh simulations give c, c33 and kappa^2 within the errors of both."""
    for fit, found in fresh.items():
        # what is worked out for polynomials is good to a few per cent
        slack = 0.04 if isinstance(fit.name, int) else 0.01
        table = constants_of(fit, 9)
        error = 1.25 * found.median.std() / math.sqrt(found.median.size)
        assert abs(np.median(found.median) - table.tile) < 4 * error + slack
        error = found.window.std() / math.sqrt(found.window.size)
        assert abs(found.window.mean() - table.window) < 4 * error + slack
        error = 1.25 * found.correlation.std() / math.sqrt(found.correlation.size)
        assert abs(np.median(found.correlation) - table.correlation) < 4 * error + slack / 2


def test_rows_are_written_as_the_table_has_them(fresh: dict[Fit, Found]) -> None:
    """A row has a name, a side and three figures a statistic, each figure in its place."""
    found = {Fit("LINEAR", statistic): fresh[Fit("LINEAR", MEAN)] for statistic in GridStatistic}
    name, side, *figures = rows(9, found)["LINEAR"].split()
    assert (name, side) == ("LINEAR", "9")
    of_mean = fresh[Fit("LINEAR", MEAN)]
    expected = (
        np.median(of_mean.median),
        np.mean(of_mean.window),
        np.median(of_mean.correlation),
    )
    assert [float(figure) for figure in figures] == pytest.approx([*expected] * 3, abs=6e-4)


@pytest.mark.parametrize("name", STYLES)
def test_every_style_is_in_the_table(name: str) -> None:
    """Every style has its rows, ascending, with sane figures."""
    sides = [side for of, side in LINES if of == name]
    assert sides == sorted(set(sides))
    assert len(sides) >= 3
    for side in sides:
        figures = np.array(LINES[name, side].split()[2:], dtype=np.float64)
        assert figures.shape == (9,)
        assert np.isnan(figures[1::3]).all() == (side < 4)
        assert (figures[::3] > 0.7).all()
        assert (np.abs(figures[2::3] - 1) < 0.25).all()


# -- it is read rightly ----------------------------------------------------------------------------


@pytest.mark.parametrize(("statistic", "place"), [(MEAN, 2), (MEANCLIP, 5), (MEDIAN, 8)])
def test_simulated_points_are_read_as_they_are(statistic: GridStatistic, place: int) -> None:
    """At a simulated number of cells the constants are those of the table."""
    row = [float(figure) for figure in LINES["AKIMA_SPLINE", 9].split()[place : place + 3]]
    found = spline_constants("AKIMA_SPLINE", statistic, 64)
    assert [found.tile, found.window, found.correlation] == pytest.approx(row)


def test_between_points_constants_are_between() -> None:
    """Between simulated points the constants lie between those of the neighbours."""
    low, middle, high = (spline_constants("LINEAR", MEDIAN, tiles) for tiles in (4, 6, 16))
    assert min(low.tile, high.tile) < middle.tile < max(low.tile, high.tile)


def test_beyond_the_points_constants_are_those_of_the_nearest() -> None:
    """Nothing is extrapolated: many cells and few are as far as the table is."""
    last = max(side for name, side in LINES if name == "AKIMA_SPLINE")
    assert spline_constants("AKIMA_SPLINE", MEAN, 10**6) == spline_constants(
        "AKIMA_SPLINE", MEAN, (last - 1) ** 2
    )
    assert (
        spline_constants("AKIMA_SPLINE", MEAN, 0).tile
        == spline_constants("AKIMA_SPLINE", MEAN, 16).tile
    )


def test_few_tiles_have_the_window_of_the_fewest_that_have_one() -> None:
    """Where there is no window in the simulation, that of the smallest grid with one is read."""
    assert spline_constants("LINEAR", MEAN, 1).window == float(LINES["LINEAR", 4].split()[3])


def test_constants_follow_the_kappa_that_is_found() -> None:
    """As a spline takes less of the spread of many blocks, its constants are nearer those of 1."""
    constants = SkyConstants(0.8, 0.3, 0.97)
    assert constants.in_units_of(15.0).tile == pytest.approx(0.8 / 0.97)
    assert constants.in_units_of(60.0).tile == pytest.approx(0.8 / 0.9925)
    assert constants.in_units_of(60.0).window == pytest.approx(0.3 / 0.9925)
    assert math.isnan(constants.in_units_of(math.nan).tile)


@pytest.mark.parametrize(
    ("settings", "cells", "name"),
    [
        ({"interp_style": "AKIMA_SPLINE"}, 6, "AKIMA_SPLINE"),
        ({"interp_style": "AKIMA_SPLINE"}, 4, "NATURAL_SPLINE"),
        ({"interp_style": "AKIMA_SPLINE"}, 2, "LINEAR"),
        ({"interp_style": "CUBIC_SPLINE"}, 6, "NATURAL_SPLINE"),
        ({"interp_style": "CONSTANT"}, 6, "CONSTANT"),
        ({"interp_style": "CONSTANT", "profile": "survey"}, 6, "CONSTANT/survey"),
        ({"interp_style": "LINEAR", "profile": "survey"}, 6, "LINEAR"),
    ],
)
@pytest.mark.parametrize("statistic", list(GridStatistic))
def test_splines_are_told_by_the_style_used(
    settings: dict[str, object], cells: int, name: str, statistic: GridStatistic
) -> None:
    """A spline's constants are those of the style that the grid allowed, and of its profile."""
    config = MatchConfig.from_mapping({"bin_size": 16, "grid_statistic": statistic, **settings})
    match = leave(*pair(white_noise(np.random.default_rng(1), cells * 16, cells * 16)), config)
    expected = spline_constants(name, statistic, (cells - 1) ** 2)
    found = sky_constants(match.model, statistic, match.tiles)
    assert found == expected.in_units_of(match.tiles.freedom)


# -- polynomials -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "side"), [(0, 6), (3, 5), (5, 6), (8, 10), (9, 11), (11, 16), (13, 26), (14, 19)]
)
@pytest.mark.parametrize("statistic", [MEAN, MEDIAN])
def test_any_order_has_its_constants(order: int, side: int, statistic: GridStatistic) -> None:
    """Any order on any grid is judged by constants that a simulation gives, within its errors."""
    fit = Fit(order, statistic)
    found = simulate(side, range(20_000, 20_080), [fit])[fit]
    worked_out, correlation = formula(fit, side), np.median(found.correlation)
    error = 1.25 * found.median.std() / math.sqrt(found.median.size)
    assert abs(np.median(found.median) / correlation - worked_out.tile) < 4 * error + 0.06
    error = found.window.std() / math.sqrt(found.window.size)
    assert abs(found.window.mean() / correlation - worked_out.window) < 4 * error + 0.06


def test_an_even_number_of_tiles_has_a_larger_median() -> None:
    """The median of four tiles is the mean of two, which of chi2 is larger than the median."""
    chi2 = np.random.default_rng(3).standard_normal((40_000, 4)) ** 2
    larger = np.median(np.median(chi2, axis=1)) / 0.4549
    # on 3 x 3 cells a level leaves the same share of each of the four tiles: 8 / 9
    assert formula(Fit(0, MEAN), 3).tile == pytest.approx(1.064 * larger * 8 / 9, rel=0.02)


def test_without_tiles_there_are_no_constants() -> None:
    """Where no tile counts nothing is worked out; where there is no window, its constant is NaN."""
    config = MatchConfig(bin_size=16, use_polynomial=True, order=0)
    match = leave(*pair(white_noise(np.random.default_rng(1), 16, 16)), config)
    found = sky_constants(match.model, MEAN, match.tiles)
    assert math.isnan(found.tile)
    assert math.isnan(found.window)
    small = formula(Fit(1, MEAN), 3)
    assert math.isfinite(small.tile)
    assert math.isnan(small.window)


def test_names_of_styles_are_those_of_the_settings() -> None:
    """Every interpolation style has constants; both names of the cubic spline have the same."""
    named = {style.value for style in InterpStyle} - {"CUBIC_SPLINE"}
    assert named == set(STYLES) - {"CONSTANT/survey"}
