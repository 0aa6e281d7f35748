"""The plane through cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.plane import plane_slopes
from tests.core.exposures import LAW


def moments(x: list[float], y: list[float], z: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of products of places about their mean, and of places and values."""
    u, v, w = (np.array(one) - np.mean(one) for one in (x, y, z))
    return np.array([u @ u, u @ v, v @ v]), np.array([u @ w, v @ w])


@LAW
@given(st.integers(0, 10_000), st.integers(3, 20))
def test_slopes_are_those_of_least_squares(seed: int, count: int) -> None:
    """Cells in general position have the plane that a plain solver finds."""
    x, y, z = np.random.default_rng(seed).normal(size=(3, count))
    spreads, products = moments(x, y, z)
    terms = np.array([np.ones(count), x, y]).T
    expected = np.linalg.lstsq(terms, z)[0][1:]
    found = plane_slopes(tuple(spreads), tuple(products), 1e-12)
    scale = np.abs(expected).max() + 1
    np.testing.assert_allclose(found, expected, atol=1e-6 * scale)


def test_along_a_line_there_is_no_slope_across() -> None:
    """Of all planes through cells on a diagonal, the one that rises along it is taken."""
    places = [0.0, 1.0, 2.0]
    spreads, products = moments(places, places, [0.0, 2.0, 4.0])
    assert plane_slopes(tuple(spreads), tuple(products), 1e-9) == pytest.approx((1.0, 1.0))


def test_one_place_has_no_slope() -> None:
    """Where there is nothing to tell a slope it is 0."""
    assert plane_slopes((0.0, 0.0, 0.0), (0.0, 0.0), 1e-9) == (0.0, 0.0)
