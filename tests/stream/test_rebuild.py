"""Models into messages and out of them again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import core
import schemas
from core import FitProfile, InterpStyle, UndersampleStyle
from stream.rebuild import background, model_of
from tests.schemas import examples
from tests.schemas.golden_records import files_of, read

REDUCE = UndersampleStyle.REDUCE_INTERP_ORDER
CELLS = st.one_of(st.floats(-1e6, 1e6, width=32), st.just(float("nan")))


def through_bytes(fitted: core.Background) -> core.Background:
    """Return what a reader of the log makes of a fitted model."""
    message = examples.matched_model(model=model_of(fitted, (10, -20)))
    read_back = schemas.decode_value(schemas.encode_value(message), schemas.BackgroundModel)
    assert read_back.model is not None
    assert (read_back.model.x0, read_back.model.y0) == (10, -20)
    return background(read_back.model)


def spline(values: Any, **changes: Any) -> core.SplineBackground:
    """Return a spline over a grid, with something else otherwise."""
    grid = np.asarray(values, np.float32)
    made: dict[str, Any] = {
        "values": grid,
        "errors": np.abs(grid) / 8,
        "counts": np.where(np.isnan(grid), 0, 100).astype(np.int32),
        "width": 111,
        "height": 95,
        "profile": FitProfile.LSST,
        "interp_style": InterpStyle.AKIMA_SPLINE,
        "undersample_style": REDUCE,
    }
    return core.SplineBackground(**{**made, **changes})


def polynomial(values: Any, **changes: Any) -> core.ChebyshevBackground:
    """Return a polynomial with a grid, with something else otherwise."""
    grid = spline(values)
    made: dict[str, Any] = {
        "values": grid.values,
        "errors": grid.errors,
        "counts": grid.counts,
        "width": 111,
        "height": 95,
        "profile": FitProfile.LSST,
        "order": 3,
        "order_used": 1,
        "undersample_style": REDUCE,
        "weighted": True,
        "coefficients": np.array([1.0, 1 / 3, -1e-7]),
    }
    return core.ChebyshevBackground(**{**made, **changes})


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    arrays(np.float32, st.tuples(st.integers(5, 8), st.integers(5, 8)), elements=CELLS),
    st.sampled_from(list(InterpStyle)),
    st.sampled_from(list(UndersampleStyle)),
    st.sampled_from(list(FitProfile)),
)
def test_a_spline_is_the_same_to_the_bit(
    values: Any, style: InterpStyle, undersample: UndersampleStyle, profile: FitProfile
) -> None:
    """Of every style and profile, empty bins or not, the model is equal."""
    try:
        fitted = spline(values, interp_style=style, undersample_style=undersample, profile=profile)
    except core.InterpolationError:
        return  # a fit that could not be made has no message
    again = through_bytes(fitted)
    assert again == fitted
    assert type(again) is core.SplineBackground
    assert (again.interp_style, again.undersample_style) == (style, undersample)
    assert (again.style_used, again.profile) == (fitted.style_used, profile)


@pytest.mark.parametrize("profile", FitProfile)
@pytest.mark.parametrize("style", InterpStyle)
def test_a_splines_image_is_the_fitted_one(style: InterpStyle, profile: FitProfile) -> None:
    """Not a bit of the image is lost on the way, with empty bins, rows and columns too."""
    values = np.random.default_rng(5).normal(0.0, 3.0, (7, 8)).astype(np.float32)
    values[2, 3] = values[:, 5] = values[0, :] = np.nan
    fitted = spline(values, interp_style=style, profile=profile)
    again = through_bytes(fitted)
    assert again.image().tobytes() == fitted.image().tobytes()
    assert again.extrapolated().tobytes() == fitted.extrapolated().tobytes()


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.integers(0, 6).flatmap(
        lambda order: arrays(
            np.float64, (order + 1) * (order + 2) // 2, elements=st.floats(-1e9, 1e9)
        )
    ),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(list(UndersampleStyle)),
    st.sampled_from(list(FitProfile)),
)
def test_a_polynomial_is_the_same_to_the_bit(
    coefficients: Any, spare: int, weighted: bool, undersample: UndersampleStyle, profile: Any
) -> None:
    """Of every order, reduced or not, weighted or not, in both profiles."""
    order = int((2 * coefficients.size) ** 0.5 - 0.5)
    fitted = polynomial(
        [[1.0, np.nan], [3.0, 4.0]],
        order=order + spare,
        order_used=order,
        weighted=weighted,
        undersample_style=undersample,
        profile=profile,
        coefficients=coefficients,
    )
    again = through_bytes(fitted)
    assert again == fitted
    assert isinstance(again, core.ChebyshevBackground)
    assert (again.order, again.order_used, again.weighted) == (order + spare, order, weighted)
    assert again.coefficients.tobytes() == fitted.coefficients.tobytes()
    assert again.image((3, 5, 40, 9)).tobytes() == fitted.image((3, 5, 40, 9)).tobytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"bin_size": 16, "interp_style": "CONSTANT"},
        {"bin_size": 24, "grid_statistic": "MEANCLIP", "profile": "survey"},
        {"bin_size": 16, "use_polynomial": True, "order": 2, "grid_statistic": "MEDIAN"},
        {"bin_size": 16, "use_polynomial": True, "order": 3, "profile": "survey"},
    ],
)
def test_what_was_fitted_comes_through(changes: dict[str, Any]) -> None:
    """A model of real pixels, with a corner that nobody saw, is the same after the bytes."""
    random = np.random.default_rng(3)
    pair = []
    for level in (30.0, 10.0):
        image = random.normal(level, 1.0, (80, 96)).astype(np.float32)
        mask = np.zeros(image.shape, np.int32)
        mask[:20, :20] = 1
        pair.append(core.MaskedImage(image, mask, np.ones_like(image), {"BAD": 0}))
    reference, science = pair
    fitted = core.match_background(reference, science, core.MatchConfig(**changes)).model
    again = through_bytes(fitted)
    assert again == fitted
    assert again.image().tobytes() == fitted.image().tobytes()


def test_a_reader_of_older_models_needs_no_order() -> None:
    """Where a message does not say what order was asked for, it is the one that was used."""
    found = background(examples_polynomial(order=None))
    assert isinstance(found, core.ChebyshevBackground)
    assert (found.order, found.order_used) == (1, 1)


def examples_polynomial(**changes: Any) -> schemas.Model:
    """Return a polynomial's message, with something else otherwise."""
    made = model_of(polynomial([[1.0, 2.0], [3.0, 4.0]]), (0, 0))
    return schemas.Model(**{name: getattr(made, name) for name in made.__struct_fields__} | changes)


@dataclass(frozen=True, eq=False)
class _Stranger(core.Background):
    """A background of no form that messages have."""

    def _fill(self, x0: int, y0: int, out: Any) -> None:
        out[...] = x0 + y0

    def _points(self, x: Any, y: Any, out: Any) -> None:
        out[...] = x + y


def test_a_background_of_another_kind_is_no_message() -> None:
    """What cannot be rebuilt is not sent."""
    grid = np.ones((2, 2), np.float32)
    stranger = _Stranger(grid, grid, np.ones((2, 2), np.int32), 8, 8)
    with pytest.raises(TypeError, match="_Stranger"):
        model_of(stranger, (0, 0))


SPLINE = (0.1540625, -2.2730036, 4.5917706, 1.4250869)
CORNERS = {1: SPLINE, 2: SPLINE, 3: (1.4166666, 0.42222223, 2.0777779, 1.0833334)}


@pytest.mark.parametrize("path", files_of("background.model.v1"), ids=lambda path: path.stem)
def test_golden_models_keep_their_images(path: Path) -> None:
    """A model that was published is the same image for ever, to float32's rounding."""
    message = schemas.decode_value(read(path).value, schemas.BackgroundModel)
    assert message.model is not None
    image = background(message.model).image()
    assert image.shape == (message.model.height, message.model.width)
    assert np.isfinite(image).all()
    corners = image[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners == pytest.approx(CORNERS[int(path.suffixes[-2][1:])], rel=2e-7)
