"""Photometric scaling: the same bits from number, array and callable, and every refusal."""

from __future__ import annotations

import math
import pickle
import weakref
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import ImageError, ImageTypeError, MaskedImage, MissingExposureError, ScalerError, scaled
from core.scaling import ScaledExposures
from tests.core.exposures import LAW, flat, noisy

SCALES = st.floats(1e-15, 1e15)
SMALL = noisy(1, 6, 7)


def planes_of(exposure: MaskedImage) -> list[bytes]:
    """Return the bits of an exposure."""
    return [one.tobytes() for one in (exposure.image, exposure.mask, exposure.variance)]


def refusal(exposure: MaskedImage, scaler: Any) -> ScalerError:
    """Return the error that a scaler ends in; the exposure is untouched by it."""
    before = planes_of(exposure)
    with pytest.raises(ScalerError, match="the scaler of visit 9 ") as caught:
        scaled(exposure, scaler, "visit 9")
    assert planes_of(exposure) == before
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - ours
    return caught.value


# --- laws


@LAW
@given(SCALES)
def test_a_number_multiplies_in_float32(scale: float) -> None:
    """Image times f32(scale), variance times its float32 square, mask as it was."""
    factor = np.float32(scale)
    with np.errstate(all="ignore"):
        expected = replace(
            SMALL, image=SMALL.image * factor, variance=SMALL.variance * (factor * factor)
        )
    found = scaled(SMALL, scale)
    assert planes_of(found) == planes_of(expected)
    assert found.image.dtype == found.variance.dtype == np.float32


@LAW
@given(SCALES, st.sampled_from([np.float32, np.float64]))
def test_twins_of_a_number_give_its_bits(scale: float, dtype: type) -> None:
    """A constant array, a callable that multiplies, and other kinds of number are the number."""
    expected = planes_of(scaled(SMALL, scale))
    factor = np.float32(scale)
    twins: list[Any] = [
        np.full(SMALL.shape, scale, dtype=dtype),
        np.full((14, 6), scale, dtype=dtype).T[:, ::2],
        lambda e: scaled(e, scale),
        np.float64(scale),
        Fraction(scale),
    ]
    assert [planes_of(scaled(SMALL, twin)) == expected for twin in twins] == [True] * 5
    assert planes_of(scaled(SMALL, factor)) == expected


@LAW
@given(st.integers(0, 1000))
def test_an_array_scales_each_pixel_by_its_own(seed: int) -> None:
    """Each pixel of an array does what a number would do to that pixel, row by row, in float32."""
    factors = np.random.default_rng(seed).uniform(0.1, 10, SMALL.shape)
    found = scaled(SMALL, factors)
    for place in np.ndindex(*SMALL.shape):
        one = scaled(SMALL, float(factors[place]))
        np.testing.assert_equal(found.image[place], one.image[place])
        np.testing.assert_equal(found.variance[place], one.variance[place])
    np.testing.assert_array_equal(found.mask, SMALL.mask)


@pytest.mark.parametrize("scaler", [None, 1, 1.0, np.float32(1)])
def test_what_changes_nothing_gives_the_exposure_itself(scaler: Any) -> None:
    """Without a scaler, or by 1, no plane is copied."""
    assert scaled(SMALL, scaler) is SMALL


# --- the caller's planes


def in_place(exposure: MaskedImage) -> MaskedImage:
    """Scale as LSST's scalers do, in the planes that are given."""
    exposure.image[...] *= 2
    exposure.variance[...] *= 4
    exposure.mask[...] = 7
    return exposure


def test_a_callable_works_on_a_copy() -> None:
    """A callable may change what it is given: the caller's planes stay, read-only or not."""
    mine = noisy(2, 5, 6)
    before = planes_of(mine)
    for plane in (mine.image, mine.mask, mine.variance):
        plane.setflags(write=False)
    found = scaled(mine, in_place)
    assert planes_of(mine) == before
    assert planes_of(replace(found, mask=mine.mask)) == planes_of(scaled(mine, 2.0))
    assert (found.mask == 7).all()


def test_a_callable_is_called_once() -> None:
    """One call makes one exposure."""
    calls: list[MaskedImage] = []

    def count(exposure: MaskedImage) -> MaskedImage:
        calls.append(exposure)
        return exposure

    assert scaled(SMALL, count) is calls[0]
    assert len(calls) == 1


# --- refusals


@pytest.mark.parametrize(
    "scaler", [0, -1.0, math.nan, math.inf, -math.inf, 1e-30, 1e30, 1e-300, 1e300, 10**400]
)
def test_numbers_that_are_no_scale_are_refused(scaler: float) -> None:
    """Zero, negative, not finite, and what float32 cannot hold squared, is refused."""
    said = str(refusal(SMALL, scaler))
    assert "float" in said
    assert "from" not in said


@pytest.mark.parametrize("poison", [math.nan, math.inf, 0.0, -1.0, 1e30])
def test_arrays_with_one_such_pixel_are_refused(poison: float) -> None:
    """A single pixel that is no scale spoils an array."""
    factors = np.ones(SMALL.shape)
    factors[3, 4] = poison
    said = str(refusal(SMALL, factors))
    assert "finite, positive" in said
    assert ("runs from" in said) == (not math.isnan(poison))


@pytest.mark.parametrize(
    ("scaler", "words"),
    [
        (np.ones((7, 6)), ["(7, 6)", "(6, 7)"]),
        (np.ones(7), ["(7,)", "(6, 7)"]),
        (np.array(2.0), ["()"]),
        (np.ones((6, 7), dtype=np.int64), ["i8", "float32"]),
        (np.ones((6, 7), dtype=">f4"), [">f4"]),
        (np.ma.ones((6, 7)), ["MaskedArray"]),
        (True, ["bool", "number"]),
        ("2.0", ["str", "number"]),
        ([1.0, 2.0], ["list"]),
        (2j, ["complex"]),
    ],
)
def test_what_is_no_scaler_is_refused(scaler: Any, words: list[str]) -> None:
    """Whatever else is given is refused, and the error says what it is."""
    said = str(refusal(SMALL, scaler))
    assert all(word in said for word in words)


@pytest.mark.parametrize(
    "exposure", [None, SMALL.image, "warp.fits"], ids=["none", "array", "text"]
)
@pytest.mark.parametrize("scaler", [None, 1.0, 2.0, np.ones((6, 7)), lambda e: e])
def test_what_is_no_exposure_cannot_be_scaled(exposure: Any, scaler: Any) -> None:
    """Whatever the scaler, it is the exposure that is refused, as a TypeError."""
    with pytest.raises(ImageTypeError, match=f"^exposure is a {type(exposure).__name__}"):
        scaled(exposure, scaler)


@pytest.mark.parametrize("result", [None, 2.0, SMALL.image, flat(np.ones((7, 6)))], ids=str)
def test_what_a_callable_returns_must_fit(result: Any) -> None:
    """A callable that returns no exposure, or one of another shape, is refused."""
    assert "returned" in str(refusal(SMALL, lambda _: result))


@pytest.mark.parametrize("kind", [ValueError, KeyError, ZeroDivisionError, RuntimeError])
def test_what_a_callable_raises_is_the_cause(kind: type[Exception]) -> None:
    """An error says which scaler raised what, and has it as its cause."""
    error = refusal(SMALL, raising(kind("no zero point")))
    assert isinstance(error.__cause__, kind)
    assert isinstance(error, RuntimeError)
    assert kind.__name__ in str(error)
    assert "no zero point" in str(error)


def raising(error: BaseException) -> Callable[[MaskedImage], MaskedImage]:
    """Return a scaler that fails."""

    def fail(_: MaskedImage) -> MaskedImage:
        raise error

    return fail


@pytest.mark.parametrize("kind", [MemoryError, KeyboardInterrupt])
def test_what_is_not_the_scaler_s_fault_comes_through(kind: type[BaseException]) -> None:
    """A lack of memory and an interruption are nobody's scaler."""
    with pytest.raises(kind):
        scaled(SMALL, raising(kind()))


# --- exposures of a run


def test_exposures_are_scaled_by_their_own_scaler() -> None:
    """Each exposure by its entry, or by the one that is given in its stead."""
    many = ScaledExposures([SMALL, SMALL], [2.0, None])
    assert len(many) == 2
    assert planes_of(many.scaled(0)) == planes_of(scaled(SMALL, 2.0))
    assert many.scaled(1) is SMALL
    assert planes_of(many.scaled(0, 3.0)) == planes_of(scaled(SMALL, 3.0))


def test_entries_may_be_rows_of_an_array() -> None:
    """An array of numbers, and a stack of arrays, are sequences of scalers."""
    for scalers in (np.array([2.0, 4.0]), np.full((2, *SMALL.shape), [[[2.0]], [[4.0]]])):
        many = ScaledExposures([SMALL, SMALL], scalers)  # type: ignore[arg-type]  # rows are scalers
        assert planes_of(many.scaled(1)) == planes_of(scaled(SMALL, 4.0))


def test_planes_are_gathered_from_all_that_was_asked_for() -> None:
    """The names of planes add up, those that a scaler brings too."""
    first = replace(SMALL, planes={"SAT": 1})
    second = replace(SMALL, planes={"BAD": 1})
    many = ScaledExposures([first, second], [None, lambda e: replace(e, planes={"CR": 2})])
    assert many.planes == set()
    many.scaled(0)
    assert many.planes == {"SAT"}
    many.scaled(1)
    assert many.planes == {"SAT", "BAD", "CR"}


def test_as_many_scalers_as_exposures_are_needed() -> None:
    """Another number of scalers, or something that has none, is refused by its name."""
    with pytest.raises(ImageError, match=r"scalers is of length 3: must be of length 1"):
        ScaledExposures([SMALL], [1.0, 1.0, 1.0])
    with pytest.raises(ImageTypeError, match="scalers is a float"):
        ScaledExposures([SMALL], 2.0)  # type: ignore[arg-type]  # what is refused


def test_what_is_no_exposure_is_an_error_of_its_own() -> None:
    """None is missing, and anything else is told by its place and type."""
    many = ScaledExposures([None, SMALL.image])  # type: ignore[list-item]  # what is refused
    with pytest.raises(MissingExposureError, match="exposure 0"):
        many.scaled(0)
    with pytest.raises(ImageTypeError, match=r"exposures\[1\] is a ndarray"):
        many.scaled(1)


def test_a_failed_attempt_is_an_error_that_holds_no_pixels() -> None:
    """The error of an attempt is returned; nothing that led to it is kept but the words."""
    held: list[weakref.ref[MaskedImage]] = []

    def use(exposure: MaskedImage) -> None:
        held.append(weakref.ref(exposure))
        raise LookupError(f"not on {exposure.shape}")

    error = ScaledExposures([SMALL], [2.0]).attempt(0, use)
    assert isinstance(error, LookupError)
    assert held[0]() is None
    assert error.__traceback__ is None
    assert "in use" in error.__notes__[0]
    failed = ScaledExposures([SMALL], [raising(LookupError("no"))]).attempt(0, use)
    assert isinstance(failed, ScalerError)
    assert failed.__cause__ is not None
    assert failed.__cause__.__traceback__ is None
    assert "in fail" in failed.__notes__[0]


def test_what_was_met_on_the_way_is_let_go_of_too() -> None:
    """An error that came of handling another holds no frames of that one either."""

    def use(exposure: MaskedImage) -> None:
        try:
            exposure.shape.index(-1)
        except ValueError:
            raise LookupError  # noqa: B904 - what the law is about

    error = ScaledExposures([SMALL]).attempt(0, use)
    assert isinstance(error, LookupError)
    assert error.__context__ is not None
    assert error.__context__.__traceback__ is None


def test_an_attempt_that_succeeds_gives_its_result() -> None:
    """What comes of the exposure is returned; a lack of memory comes through."""
    assert ScaledExposures([SMALL]).attempt(0, lambda e: e.shape) == SMALL.shape
    with pytest.raises(MemoryError):
        ScaledExposures([SMALL], [raising(MemoryError())]).attempt(0, lambda e: e.shape)
