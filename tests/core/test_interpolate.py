"""Interpolation along lines against LSST's output, against the plain twin, and by its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import FitProfile, InterpolationError, InterpStyle, UndersampleStyle
from core.interpolate import fewest_points, fit_surface, richest_style
from core.kernels import lines
from tests.core import golden, twins
from tests.core.exposures import LAW
from tests.core.oracle import interpolate as oracle

STYLES = list(InterpStyle)
REDUCE = UndersampleStyle.REDUCE_INTERP_ORDER
KERNELS = {
    "CONSTANT": lines.CONSTANT,
    "LINEAR": lines.LINEAR,
    "NATURAL_SPLINE": lines.NATURAL,
    "CUBIC_SPLINE": lines.NATURAL,
    "AKIMA_SPLINE": lines.AKIMA,
}

LINES = st.tuples(st.integers(5, 12), st.integers(0, 10_000))
"""Number of nodes and the seed of their places and values."""


def line(size: int, seed: int, lines: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ascending nodes and values in steps of 1/8, equal neighbours among them."""
    rng = np.random.default_rng(seed)
    nodes = np.cumsum(rng.integers(1, 60, size)) / 2.0
    return nodes, rng.integers(-20, 20, (size, lines)) / 8.0


def fit_curve(
    style: str, nodes: NDArray[np.float64], values: NDArray[np.float64], *, survey: bool = False
) -> oracle.Curve:
    """Return the kernel's curve as the twin has it, which knows how to evaluate it in double."""
    curve = _room(nodes.size + 1, values.shape[1])
    rules = lines.Rules(KERNELS[style], reducible=False, survey=survey)
    pieces = lines.fit(_frozen(nodes), _frozen(values), rules, curve)
    if pieces < 0:
        raise InterpolationError(style, -2 - pieces, fewest_points(InterpStyle(style)), "a line")
    coefficients = np.moveaxis(curve.coefficients[:pieces], 0, 1)
    assert curve.breaks[pieces - 1] == np.inf
    return oracle.Curve(curve.breaks[: pieces - 1], curve.origins[:pieces], coefficients)


def _room(pieces: int, width: int) -> lines.Curve:
    coefficients = np.full((pieces, 4, width), np.nan)
    return lines.Curve(np.full(pieces, np.nan), np.full(pieces, np.nan), coefficients)


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    copy = np.array(array, dtype=np.float64, order="C")
    copy.setflags(write=False)
    return copy


def spread(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions from well before the first node to well behind the last."""
    return np.arange(nodes[0] - 20, nodes[-1] + 20, 0.5)


@pytest.mark.shared
def test_curves_are_lsst_s() -> None:
    """Every style agrees with the compiled LSST code, extrapolation and refusals included."""
    case = golden.load("u_interp1d.npz")
    for row, (size, style) in enumerate(zip(case["n"], case["style"], strict=True)):
        nodes, values = case["x"][row, :size], case["y"][row, :size, np.newaxis]
        if case["error"][row]:
            with pytest.raises(InterpolationError, match=str(style)):
                fit_curve(InterpStyle(str(style)), nodes, values)
            continue
        found = fit_curve(InterpStyle(str(style)), nodes, values).at(case["xq"])[0]
        scale = np.abs(case["z"][row]).max()
        np.testing.assert_allclose(found, case["z"][row], rtol=1e-12, atol=1e-13 * scale)


@pytest.mark.parametrize("style", STYLES)
@LAW
@given(LINES)
def test_curves_agree_with_the_twin(style: InterpStyle, shape: tuple[int, int]) -> None:
    """Every style gives the plain loop's values, inside the nodes and outside."""
    nodes, values = line(*shape)
    positions = spread(nodes)
    found = fit_curve(style, nodes, values).at(positions)[0]
    plain = values[:, 0].tolist()
    expected = [twins.interpolate(style, nodes.tolist(), plain, q) for q in positions.tolist()]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("style", STYLES)
@LAW
@given(LINES)
def test_a_value_does_not_depend_on_its_company(style: InterpStyle, shape: tuple[int, int]) -> None:
    """Fewer positions or fewer lines give the same bits."""
    nodes, values = line(*shape, lines=3)
    positions = spread(nodes)
    together = fit_curve(style, nodes, values)
    alone = fit_curve(style, nodes, values[:, 1:2])
    np.testing.assert_array_equal(together.at(positions)[1:2], alone.at(positions))
    np.testing.assert_array_equal(together.at(positions)[:, 7:19], together.at(positions[7:19]))


@pytest.mark.parametrize("style", [style for style in STYLES if style != InterpStyle.CONSTANT])
@LAW
@given(LINES)
def test_curves_pass_through_their_nodes(style: InterpStyle, shape: tuple[int, int]) -> None:
    """All but CONSTANT have the node's value at the node."""
    nodes, values = line(*shape)
    found = fit_curve(style, nodes, values).at(nodes)[0]
    np.testing.assert_allclose(found, values[:, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("style", [style for style in STYLES if style != InterpStyle.CONSTANT])
def test_a_straight_line_stays_one(style: InterpStyle) -> None:
    """All but CONSTANT continue a straight line, inside and outside, on uneven nodes."""
    nodes = np.array([0.0, 3.0, 4.5, 10.0, 11.0, 30.0])
    curve = fit_curve(style, nodes, (2.0 - 0.5 * nodes)[:, np.newaxis])
    positions = spread(nodes)
    np.testing.assert_allclose(curve.at(positions)[0], 2.0 - 0.5 * positions, atol=1e-12)


def test_akima_forgets_what_is_far() -> None:
    """A jump far away does not bend Akima's curve, but it bends the natural spline."""
    nodes = np.arange(12.0)
    step = np.where(nodes < 8, 0.0, 100.0)[:, np.newaxis]
    early = np.arange(0.0, 5.0, 0.1)
    assert not fit_curve(InterpStyle.AKIMA_SPLINE, nodes, step).at(early).any()
    assert fit_curve(InterpStyle.NATURAL_SPLINE, nodes, step).at(early).any()


def test_akima_extrapolates_quadratically() -> None:
    """Beyond the last node Akima's curve keeps its last curvature; the natural spline has none."""
    nodes = np.arange(8.0)
    values = (nodes**2)[:, np.newaxis]
    ahead = np.arange(8.0, 20.0)
    for style, bent in ((InterpStyle.AKIMA_SPLINE, True), (InterpStyle.NATURAL_SPLINE, False)):
        bends = np.diff(fit_curve(style, nodes, values).at(ahead)[0], 2)
        assert (np.abs(bends) > 1).all() == bent
        assert (np.abs(bends) < 1e-9).all() != bent


def test_constant_averages_neighbours() -> None:
    """CONSTANT gives a cell the mean of itself and the one before, as LSST's does."""
    nodes = np.array([5.0, 15.0, 25.0])
    curve = fit_curve(InterpStyle.CONSTANT, nodes, np.array([[0.0], [10.0], [40.0]]))
    positions = np.array([-9.0, 0.0, 9.9, 10.0, 19.9, 20.0, 29.9, 30.0, 99.0])
    assert curve.at(positions)[0].tolist() == [0, 0, 0, 5, 5, 25, 25, 40, 40]


@pytest.mark.parametrize("style", STYLES)
def test_too_few_nodes_are_refused(style: InterpStyle) -> None:
    """A style with one node fewer than it needs is an error with both numbers."""
    few = fewest_points(style) - 1
    with pytest.raises(InterpolationError, match=style) as caught:
        fit_curve(style, np.arange(float(few)), np.zeros((few, 1)))
    assert (caught.value.points, caught.value.needed) == (few, few + 1)


def test_the_richest_style_needs_no_more_than_there_is() -> None:
    """So many points allow the richest style that needs no more of them."""
    for points in range(1, 9):
        needs = {fewest_points(style) for style in STYLES if fewest_points(style) <= points}
        assert fewest_points(richest_style(points)) == max(needs)


@pytest.mark.parametrize("survey", [False, True])
@pytest.mark.parametrize("style", STYLES)
@LAW
@given(LINES)
def test_the_kernel_has_the_numpy_twin_s_bits(
    style: InterpStyle, survey: bool, shape: tuple[int, int]
) -> None:
    """Breaks, origins and coefficients of every lane are the numpy twin's to the bit."""
    nodes, values = line(*shape, lines=3)
    found = fit_curve(style, nodes, values, survey=survey)
    twin = oracle.fit_curve(style, nodes, values, survey=survey)
    np.testing.assert_array_equal(found.breaks, twin.breaks)
    np.testing.assert_array_equal(found.origins, twin.origins)
    np.testing.assert_array_equal(found.coefficients, twin.coefficients)


@pytest.mark.parametrize("style", STYLES)
def test_survey_extrapolates_linearly(style: InterpStyle) -> None:
    """In profile survey no curve bends beyond its outermost nodes."""
    nodes = np.arange(8.0)
    curve = fit_curve(style, nodes, (nodes**2)[:, np.newaxis], survey=True)
    for outside in (np.arange(-9.0, 0.0), np.arange(8.0, 20.0)):
        np.testing.assert_allclose(np.diff(curve.at(outside)[0], 2), 0.0, atol=1e-9)


def test_constant_of_survey_is_the_node_s_own_value() -> None:
    """In profile survey CONSTANT takes a cell's own value, changing half-way to the next."""
    nodes = np.array([5.0, 15.0, 25.0])
    curve = fit_curve("CONSTANT", nodes, np.array([[0.0], [10.0], [40.0]]), survey=True)
    positions = np.array([-9.0, 0.0, 9.9, 10.0, 19.9, 20.0, 29.9, 30.0, 99.0])
    assert curve.at(positions)[0].tolist() == [0, 0, 0, 10, 10, 40, 40, 40, 40]


def test_lanes_that_differ_are_not_fitted_together() -> None:
    """Lines with their values at different nodes are sent back to be fitted one by one."""
    values = np.zeros((6, 2))
    values[3, 1] = np.nan
    rules = lines.Rules(lines.LINEAR, reducible=True, survey=False)
    found = lines.fit(_frozen(np.arange(6.0)), _frozen(values), rules, _room(7, 2))
    assert found == lines.DIFFERENT


@pytest.mark.parametrize("style", STYLES)
@LAW
@given(LINES, st.integers(1, 6))
def test_lines_with_gaps_are_reduced_one_by_one(
    style: InterpStyle, shape: tuple[int, int], gaps: int
) -> None:
    """A line with NaN is interpolated over its own values, in the style that these allow."""
    nodes, values = line(*shape, lines=7)
    rng = np.random.default_rng(shape[1])
    values[rng.random(values.shape) < gaps / 6] = np.nan
    positions = spread(nodes)
    for number in range(7):
        column = values[:, number : number + 1]
        known = ~np.isnan(column[:, 0])
        if known.any():
            used = style if known.sum() >= fewest_points(style) else richest_style(int(known.sum()))
            alone = oracle.fit_curve(used, nodes[known], column[known]).at(positions)[0]
            found = _sampled(nodes, column, style, positions)
            np.testing.assert_array_equal(found, np.float32(alone))
        else:
            assert np.isnan(_sampled(nodes, column, style, positions)).all()


def _sampled(
    nodes: NDArray[np.float64],
    column: NDArray[np.float64],
    style: InterpStyle,
    positions: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return a grid of one column, then of one row, at positions along it: they must agree."""
    found = []
    for turned in (False, True):
        centres = (np.zeros(1), nodes) if turned else (nodes, np.zeros(1))
        values = column.T if turned else column
        surface = fit_surface(centres, values, style, REDUCE, FitProfile.LSST)
        out = np.empty(positions.size, dtype=np.float32)
        x, y = np.zeros(positions.size), positions
        surface.points(y if turned else x, x if turned else y, out)
        found.append(out)
    np.testing.assert_array_equal(found[0], found[1])
    return found[0]


@pytest.mark.parametrize(
    "undersample", [UndersampleStyle.THROW_EXCEPTION, UndersampleStyle.INCREASE_NXNYSAMPLE]
)
@pytest.mark.parametrize("style", STYLES)
def test_a_short_line_is_refused_unless_reducing_is_allowed(
    style: InterpStyle, undersample: UndersampleStyle
) -> None:
    """One column with too few values is an error in every style, an empty one in CONSTANT too."""
    nodes, values = line(9, 1, lines=3)
    values[fewest_points(style) - 1 :, 1] = np.nan
    with pytest.raises(InterpolationError, match=style) as caught:
        fit_surface((nodes, np.arange(3.0)), values, style, undersample, FitProfile.LSST)
    assert caught.value.points == fewest_points(style) - 1


def test_a_row_that_crosses_too_few_columns_is_refused() -> None:
    """A row without columns enough for the style is an error when it is drawn."""
    centres = np.arange(9.0), np.arange(3.0)
    style, throw = InterpStyle.AKIMA_SPLINE, UndersampleStyle.THROW_EXCEPTION
    surface = fit_surface(centres, np.zeros((9, 3)), style, throw, FitProfile.LSST)
    with pytest.raises(InterpolationError, match="row") as caught:
        surface.rows(0, 0, np.empty((4, 4), dtype=np.float32))
    assert (caught.value.points, caught.value.needed) == (3, 5)
