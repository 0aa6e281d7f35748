"""The model: from grid to image, and as a value that lives by itself."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import (
    ImageError,
    ImageTypeError,
    InterpolationError,
    InterpStyle,
    SplineBackground,
    UndersampleStyle,
)
from tests.core import golden, twins
from tests.core.exposures import LAW
from tests.core.oracle import interpolate as oracle

STYLES = ["CONSTANT", "LINEAR", "NATURAL_SPLINE", "CUBIC_SPLINE", "AKIMA_SPLINE"]
ERRORS = {"OutOfRangeError", "InvalidParameterError"}


def background(values: Any, width: int, height: int, **changes: Any) -> SplineBackground:
    """Return a model of these grid values, of Akima splines unless changed."""
    grid = np.array(values, dtype=np.float32)
    arguments: dict[str, Any] = {
        "values": grid,
        "errors": np.ones_like(grid),
        "counts": np.full(grid.shape, 9, dtype=np.int32),
        "width": width,
        "height": height,
        "interp_style": InterpStyle.AKIMA_SPLINE,
        "undersample_style": UndersampleStyle.REDUCE_INTERP_ORDER,
    }
    return SplineBackground(**(arguments | changes))


def parts(model: SplineBackground) -> dict[str, Any]:
    """Return the arguments that made a model."""
    return {field.name: getattr(model, field.name) for field in fields(model)}


@pytest.mark.shared
def test_images_are_lsst_s() -> None:
    """Every style on grids with and without holes is the compiled LSST code's image."""
    case = golden.load("u_grid_to_image.npz")
    for entry in json.loads(str(case["meta"])):
        arguments = {"interp_style": entry["style"], "undersample_style": entry["undersample"]}
        values = case[f"grid{entry['grid']}"]
        if "error" in entry:
            assert entry["error"].rsplit("::", 1)[-1] in ERRORS
            with pytest.raises(InterpolationError):
                background(values, entry["w"], entry["h"], **arguments).image()
            continue
        model = background(values, entry["w"], entry["h"], **arguments)
        expected = case[f"img{entry['key']}"]
        largest = np.nanmax(np.abs(expected), initial=0.0)
        assert model.style_used == entry["asUsed"]
        assert golden.ulps(model.image(), expected, 1e-3 * largest) <= 1


@st.composite
def grids(draw: st.DrawFn) -> tuple[NDArray[np.float32], int, int]:
    """Return a grid with holes and the size of its image."""
    ny, nx = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    values = (rng.integers(-40, 40, (ny, nx)) / 8).astype(np.float32)
    values[rng.random((ny, nx)) < draw(st.sampled_from([0.0, 0.2, 0.6]))] = np.nan
    return values, nx * draw(st.integers(1, 4)) + 3, ny * draw(st.integers(1, 4)) + 2


@pytest.mark.parametrize("style", STYLES)
@LAW
@given(grids(), st.sampled_from(list(UndersampleStyle)))
def test_images_agree_with_the_twin(
    style: str, grid: tuple[NDArray[np.float32], int, int], undersample: UndersampleStyle
) -> None:
    """The image is the plain loop's, and is refused where the plain loop fails."""
    values, width, height = grid
    changes = {"interp_style": style, "undersample_style": undersample}
    try:
        expected = np.array(twins.image(values.tolist(), width, height, style, undersample))
    except RuntimeError:
        with pytest.raises(InterpolationError):
            background(values, width, height, **changes).image()
        return
    found = background(values, width, height, **changes).image()
    assert found.dtype == np.float32
    assert found.shape == (height, width)
    np.testing.assert_allclose(found, expected, rtol=2e-7, atol=1e-6)


@pytest.mark.parametrize("style", STYLES)
@LAW
@given(grids(), st.booleans(), st.sampled_from(list(UndersampleStyle)))
def test_images_have_the_numpy_twin_s_bits(
    style: str,
    grid: tuple[NDArray[np.float32], int, int],
    infinite: bool,
    undersample: UndersampleStyle,
) -> None:
    """Every pixel is numpy's to the bit, infinite bins and what they spoil included."""
    values, width, height = grid
    values[0, 0] = np.inf if infinite else values[0, 0]
    changes = {"interp_style": style, "undersample_style": undersample}
    try:
        model = background(values, width, height, **changes)
        found = model.image()
    except InterpolationError:
        with pytest.raises(InterpolationError):
            oracle.image(values, (height, width), InterpStyle(style), undersample)
        return
    expected = oracle.image(values, (height, width), model.style_used, undersample)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("style", STYLES)
def test_an_image_is_rebuilt_bit_for_bit(style: str) -> None:
    """Values, errors, counts, size and styles alone give the same bits again."""
    rng = np.random.default_rng(5)
    model = background(rng.normal(0, 5, (7, 6)), 181, 200, interp_style=style)
    np.testing.assert_array_equal(SplineBackground(**parts(model)).image(), model.image())
    twin = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(twin.image(), model.image())


def test_a_model_owns_its_arrays() -> None:
    """What is done to the arrays given changes no model, and its own are read-only."""
    values = np.ones((5, 5), dtype=np.float32)
    model = background(values, 50, 50)
    other = SplineBackground(**{**parts(model), "values": values})
    values[:] = 7.0
    assert other == model
    with pytest.raises(ValueError, match="read-only"):
        model.values[0, 0] = 1.0


def test_models_are_equal_by_content() -> None:
    """Equal content is equal, NaN and all; another value, size or style is not."""
    values = [[1.0, np.nan], [2.0, 3.0]]
    model = background(values, 20, 20)
    assert model == background(values, 20, 20)
    assert hash(model) == hash(background(values, 20, 20))
    assert model != background([[1.0, 0.0], [2.0, 3.0]], 20, 20)
    assert model != background(values, 20, 21)
    assert model != background(values, 20, 20, interp_style="LINEAR")
    assert model != "a model"


def test_cubic_and_natural_splines_are_one() -> None:
    """LSST's two names of the natural spline give the same bits."""
    values = np.random.default_rng(8).normal(0, 5, (6, 6))
    natural = background(values, 90, 90, interp_style="NATURAL_SPLINE")
    cubic = background(values, 90, 90, interp_style="CUBIC_SPLINE")
    np.testing.assert_array_equal(natural.image(), cubic.image())


@pytest.mark.parametrize(
    ("shape", "used"),
    [
        ((1, 9), "CONSTANT"),
        ((9, 2), "LINEAR"),
        ((3, 9), "CUBIC_SPLINE"),
        ((4, 4), "CUBIC_SPLINE"),
        ((5, 9), "AKIMA_SPLINE"),
    ],
)
def test_the_shorter_side_decides_the_style(shape: tuple[int, int], used: str) -> None:
    """Too few bins on one axis reduce the style on both."""
    model = background(np.zeros(shape), 40, 40)
    assert model.style_used == used
    assert model.interp_style == "AKIMA_SPLINE"


@pytest.mark.parametrize("undersample", ["THROW_EXCEPTION", "INCREASE_NXNYSAMPLE"])
def test_a_small_grid_is_refused_unless_reducing_is_allowed(undersample: str) -> None:
    """Too few bins for the style are an error already when the model is made."""
    with pytest.raises(InterpolationError, match="4"):
        background(np.zeros((4, 9)), 40, 40, undersample_style=undersample)


def test_gaps_are_filled_along_y_first() -> None:
    """An empty bin is filled from its column; only an empty column is bridged along x."""
    values = np.array([[0.0, 0.0, 90.0], [0.0, np.nan, 90.0], [0.0, 0.0, 90.0]])
    hole = background(values, 30, 30, interp_style="LINEAR").image()
    assert hole[15, 14] == 0.0
    values[:, 1] = np.nan
    bridged = background(values, 30, 30, interp_style="LINEAR").image()
    np.testing.assert_allclose(bridged[15, [4, 14, 24]], [-2.25, 42.75, 87.75], rtol=1e-6)


def test_an_infinite_bin_is_kept() -> None:
    """Only NaN means no value: an infinite bin is not bridged over, as in LSST."""
    values = np.zeros((5, 5))
    values[2, 2] = np.inf
    assert np.isinf(background(values, 50, 50, interp_style="LINEAR").image()).any()


def test_a_grid_without_values_has_no_image() -> None:
    """Where no bin has a value, the image has none either."""
    assert np.isnan(background(np.full((5, 5), np.nan), 50, 50).image()).all()


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("values", np.zeros((2, 2)), ImageTypeError),
        ("errors", np.zeros((2, 2)), ImageTypeError),
        ("errors", np.zeros((2, 3), dtype=np.float32), ImageError),
        ("counts", np.zeros((2, 2), dtype=np.float32), ImageTypeError),
        ("counts", np.zeros((3, 2), dtype=np.int32), ImageError),
        ("values", np.zeros((0, 2), dtype=np.float32), ImageError),
        ("width", 1, ImageError),
        ("height", 0, ImageError),
        ("height", 4.0, ImageError),
        ("interp_style", "NONE", ValueError),
        ("undersample_style", "GUESS", ValueError),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(
    name: str, value: Any, kind: type[Exception]
) -> None:
    """A model of wrong arrays, sizes or styles cannot be made."""
    with pytest.raises(kind):
        SplineBackground(**{**parts(background(np.zeros((2, 2)), 20, 20)), name: value})
