"""Images, boxes, rows and points of a model are one model; what lies outside is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import (
    Background,
    ChebyshevBackground,
    FitProfile,
    ImageError,
    ImageTypeError,
    SplineBackground,
    UndersampleStyle,
)
from tests.core.exposures import LAW

REDUCE = UndersampleStyle.REDUCE_INTERP_ORDER


def spline(values: Any, width: int, height: int, **changes: Any) -> SplineBackground:
    """Return a spline through a grid."""
    grid = np.array(values, dtype=np.float32)
    ones = np.ones_like(grid), np.full(grid.shape, 9, dtype=np.int32)
    style = changes.pop("interp_style", "AKIMA_SPLINE")
    return SplineBackground(grid, *ones, width, height, style, REDUCE, **changes)


def polynomial(coefficients: Any, width: int, height: int, order: int) -> ChebyshevBackground:
    """Return a polynomial of these coefficients over a grid with one empty bin."""
    grid = np.ones((3, 4), dtype=np.float32)
    grid[1, 2] = np.nan
    counts = np.full(grid.shape, 9, dtype=np.int32)
    parts = order, order, REDUCE, True, np.array(coefficients, dtype=np.float64)
    return ChebyshevBackground(grid, np.ones_like(grid), counts, width, height, *parts)


@st.composite
def models(draw: st.DrawFn) -> Background:
    """Return a model of any kind on a small image, some with holes."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    width, height = draw(st.integers(5, 150)), draw(st.integers(4, 150))
    if draw(st.booleans()):
        order = draw(st.integers(0, 9))
        coefficients = rng.normal(0, 5, (order + 1) * (order + 2) // 2)
        return polynomial(coefficients, width, height, order)
    ny, nx = draw(st.integers(1, min(height, 9))), draw(st.integers(1, min(width, 9)))
    values = rng.normal(0, 5, (ny, nx))
    values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.3]))] = np.nan
    styles = st.sampled_from(["CONSTANT", "LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE"])
    changes = {"interp_style": draw(styles), "profile": draw(st.sampled_from(FitProfile))}
    return spline(values, width, height, **changes)


@LAW
@given(models(), st.integers(0, 10_000))
def test_every_way_to_a_pixel_gives_the_same_bits(model: Background, seed: int) -> None:
    """Boxes, rows into new and old memory, and points at centres are cut out of the image."""
    rng = np.random.default_rng(seed)
    image = model.image()
    assert image.shape == (model.height, model.width)
    assert image.dtype == np.float32
    x0, x1 = np.sort(rng.choice(model.width + 1, 2, replace=False)).tolist()
    y0, y1 = np.sort(rng.choice(model.height + 1, 2, replace=False)).tolist()
    np.testing.assert_array_equal(model.image((x0, y0, x1, y1)), image[y0:y1, x0:x1])
    np.testing.assert_array_equal(model.rows(y0, y1), image[y0:y1])
    out = np.full((y1 - y0, model.width), 7.0, dtype=np.float32)
    assert model.rows(y0, y1, out) is out
    np.testing.assert_array_equal(out, image[y0:y1])
    y, x = np.mgrid[y0:y1, x0:x1]
    np.testing.assert_array_equal(model.at(x, y), image[y0:y1, x0:x1])
    some = rng.integers(0, model.width, 99), rng.integers(0, model.height, 99)
    np.testing.assert_array_equal(model.at(*some), image[some[1], some[0]])


@LAW
@given(models(), st.integers(-40, 40))
def test_powers_of_two_scale(model: Background, power: int) -> None:
    """Values times 2 to the k give the image times 2 to the k, to the bit."""
    scale = np.float32(2.0**power)
    parts = {name: getattr(model, name) for name in model.__dataclass_fields__}
    parts["values"] = model.values * scale
    if "coefficients" in parts:
        parts["coefficients"] = parts["coefficients"] * float(scale)
    np.testing.assert_array_equal(type(model)(**parts).image(), model.image() * scale)


@LAW
@given(models())
def test_a_model_passes_between_processes(model: Background) -> None:
    """A used model, sent as a pickle, is equal, of one hash, read-only, and draws alike."""
    image = model.image()
    twin = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    assert twin == model
    assert hash(twin) == hash(model)
    assert not twin.values.flags.writeable
    np.testing.assert_array_equal(twin.image(), image)
    assert len(pickle.dumps(model)) < 2000 + 20 * model.values.size + 8 * 55


def test_points_broadcast_and_may_lie_anywhere() -> None:
    """Positions broadcast, lie between pixels and outside; a plane goes on as a plane."""
    y, x = np.mgrid[:6, :7] * 10.0 + 4.5
    plane = spline(1.0 + 0.5 * x - 0.25 * y, 70, 60, interp_style="NATURAL_SPLINE")
    found = plane.at(np.array([-100.0, 3.3, 400.0]), np.array([[-70.0], [200.5]]))
    assert found.shape == (2, 3)
    expected = 1 + 0.5 * np.array([-100.0, 3.3, 400.0]) - 0.25 * np.array([[-70.0], [200.5]])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert plane.at(3, 4).shape == ()
    assert plane.at([], []).shape == (0,)
    assert float(plane.at(np.int16(3), 4.0)) == plane.image()[4, 3]


def test_pixels_of_empty_bins_are_told() -> None:
    """Extrapolated are the pixels of bins without a value, and their share is as counted."""
    values = np.ones((3, 4))
    values[1, 2] = values[2, 0] = np.nan
    model = spline(values, 11, 8)
    expected = np.zeros((8, 11), dtype=bool)
    expected[3:5, 6:8] = True
    expected[5:8, 0:3] = True
    np.testing.assert_array_equal(model.extrapolated(), expected)
    assert model.extrapolated_fraction == expected.mean()
    assert polynomial([1.0], 40, 30, 0).extrapolated_fraction == 1 / 12


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0, 5),
        (5, 0, 4, 5),
        (-1, 0, 4, 5),
        (0, 0, 71, 5),
        (0, 59, 4, 61),
        (0, 0, 4.0, 5),
        (0, 0, 4),
        (0, 0, 4, 5, 6),
        "0045",
        7,
        (0, 0, None, 5),
        (np.nan, 0, 4, 5),
    ],
)
def test_a_box_that_is_none_is_refused(box: Any) -> None:
    """A box is four integers, not empty and inside; any other is refused by its name."""
    with pytest.raises(ImageError, match="box") as caught:
        spline(np.ones((5, 5)), 70, 60).image(box)
    assert caught.value.argument == "box"


@pytest.mark.parametrize("rows", [(0, 0), (-1, 3), (4, 2), (58, 61), (0.0, 3)])
def test_rows_that_are_not_there_are_refused(rows: Any) -> None:
    """Rows are some of the image's."""
    with pytest.raises(ImageError, match="rows"):
        spline(np.ones((5, 5)), 70, 60).rows(*rows)


def test_memory_of_another_shape_is_refused() -> None:
    """Rows are written only into a writeable array of just their shape, dtype and layout."""
    model = spline(np.ones((5, 5)), 70, 60)
    sealed = np.empty((3, 70), dtype=np.float32)
    sealed.setflags(write=False)
    wrong: list[NDArray[Any]] = [
        np.empty((3, 69), dtype=np.float32),
        np.empty((3, 70), dtype=np.float64),
        np.empty((70, 3), dtype=np.float32).T,
        np.empty(210, dtype=np.float32),
        sealed,
    ]
    for out in wrong:
        with pytest.raises(ImageError, match="out"):
            model.rows(0, 3, out)


@pytest.mark.parametrize(
    ("x", "y", "kind"),
    [
        (np.nan, 0.0, ImageError),
        (0.0, np.inf, ImageError),
        ([1.0, -np.inf], [1.0, 2.0], ImageError),
        ([1.0, 2.0], [1.0, 2.0, 3.0], ImageError),
        ("left", 0.0, ImageTypeError),
        (1j, 0.0, ImageTypeError),
        (None, 0.0, ImageTypeError),
    ],
)
def test_points_that_are_none_are_refused(x: Any, y: Any, kind: type[Exception]) -> None:
    """A position is a finite real number."""
    with pytest.raises(kind):
        spline(np.ones((5, 5)), 70, 60).at(x, y)


def test_kinds_of_models_differ() -> None:
    """A spline is no polynomial, and one of another profile is another model."""
    values = np.ones((5, 5))
    model = spline(values, 70, 60)
    assert model != spline(values, 70, 60, profile="survey")
    assert model != polynomial([1.0], 70, 60, 0)
    assert polynomial([1.0], 70, 60, 0) != polynomial([2.0], 70, 60, 0)
    assert len({model, spline(values, 70, 60)}) == 1
