"""Bad input: each has a typed error that says which argument and what is right, or an answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core import (
    BinSizeError,
    ConfigError,
    CoreError,
    DimensionError,
    FitProfile,
    ImageError,
    ImageTypeError,
    MaskedImage,
    Match,
    MatchConfig,
    NoOverlapError,
    NoReferenceError,
    OrderError,
    SingularFitError,
    SplineBackground,
    match_background,
    match_backgrounds,
    select_reference,
)
from tests.core.exposures import PLANES, each_plane, flat, noisy
from tests.core.matched import assert_same, config_with, figures, matched

SHAPE = (24, 30)
DTYPES = {"image": "float32", "mask": "int32", "variance": "float32"}
CONFIG = MatchConfig(bin_size=6)


def planes() -> dict[str, Any]:
    """Return the arguments of an exposure."""
    one = noisy(1, *SHAPE)
    return {"image": one.image, "mask": one.mask, "variance": one.variance, "planes": PLANES}


# --- planes that are none


@pytest.mark.parametrize("dtype", ["f8", "f2", ">f4", "i8", "u4", ">i4", "?", "O", "c8", "U1"])
@pytest.mark.parametrize("name", list(DTYPES))
def test_another_dtype_is_refused(name: str, dtype: str) -> None:
    """A plane of another dtype or byte order is an ImageTypeError that says the right one."""
    arguments = planes()
    arguments[name] = np.zeros(SHAPE).astype(dtype)
    with pytest.raises(ImageTypeError, match=f"^{name} .*{DTYPES[name]}") as caught:
        MaskedImage(**arguments)
    assert isinstance(caught.value, TypeError)
    assert caught.value.argument == name
    assert arguments[name].dtype.str in str(caught.value)


@pytest.mark.parametrize("name", list(DTYPES))
@pytest.mark.parametrize("kind", [None, 3.0, [[1.0]], "image", np.float32(1), np.ma.zeros(SHAPE)])
def test_what_is_no_array_is_refused(name: str, kind: Any) -> None:
    """A list, number, text, scalar or masked array is an ImageTypeError with what it is."""
    given: dict[str, Any] = planes() | {name: kind}
    with pytest.raises(ImageTypeError, match=f"^{name} .*{type(kind).__name__}"):
        MaskedImage(**given)


@pytest.mark.parametrize("name", list(DTYPES))
@pytest.mark.parametrize("shape", [(), (24,), (1, 24, 30)])
def test_other_dimensions_than_two_are_refused(name: str, shape: tuple[int, ...]) -> None:
    """A plane must have rows and columns, and the error says how many dimensions it has."""
    given: dict[str, Any] = planes() | {name: np.zeros(shape, dtype=DTYPES[name])}
    with pytest.raises(ImageError, match=f"^{name} .*{len(shape)} dim.*two-dimensional"):
        MaskedImage(**given)


@pytest.mark.parametrize("name", ["mask", "variance"])
@pytest.mark.parametrize("shape", [(30, 24), (24, 1), (1, 30), (23, 30), (0, 30)])
def test_planes_of_other_shapes_are_refused(name: str, shape: tuple[int, int]) -> None:
    """Mask and variance have the image's shape, or both shapes are told; nothing is broadcast."""
    given: dict[str, Any] = planes() | {name: np.zeros(shape, dtype=DTYPES[name])}
    words = rf"^{name} .*\({shape[0]}, {shape[1]}\).*\(24, 30\)"
    with pytest.raises(ImageError, match=words):
        MaskedImage(**given)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_an_exposure_without_pixels_is_refused(shape: tuple[int, int]) -> None:
    """An empty exposure is an ImageError: there is nothing to match."""
    with pytest.raises(ImageError, match=r"image .*at least one pixel"):
        flat(np.zeros(shape))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "planes"),
        (["BAD"], "planes"),
        ({"": 1}, "name"),
        ({3: 1}, "name"),
        ({"BAD": -1}, "BAD.*0 - 31"),
        ({"BAD": 32}, "BAD.*0 - 31"),
        ({"BAD": 256}, "BAD.*not the bit's value"),
        ({"BAD": 1.0}, "BAD"),
        ({"BAD": True}, "BAD"),
        ({"BAD": "1"}, "BAD"),
    ],
)
def test_impossible_mask_planes_are_refused(given: Any, words: str) -> None:
    """Mask planes are names and bit numbers, and the error names the one that is not."""
    arguments = planes() | {"planes": given}
    with pytest.raises(ImageError, match=words):
        MaskedImage(**arguments)


@pytest.mark.parametrize("origin", [None, 3, (1,), (1, 2, 3), (1.0, 2), (True, 2), "12"])
def test_an_impossible_origin_is_refused(origin: Any) -> None:
    """The origin is two integers."""
    with pytest.raises(ImageError, match=r"origin .*two integers"):
        MaskedImage(**planes(), origin=origin)


# --- planes that are odd, and as good as any


class Stranger(np.ndarray[Any, Any]):
    """Somebody's subclass of array."""


def unaligned(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array one byte away from where its numbers should be."""
    buffer = np.zeros(array.nbytes + 1, dtype=np.uint8)
    odd = buffer[1:].view(array.dtype).reshape(array.shape)
    odd[:] = array
    assert not odd.flags.aligned
    return odd


ODD: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "Fortran": np.asfortranarray,
    "every second": lambda array: np.repeat(array, 2, axis=1)[:, ::2],
    "backwards": lambda array: np.ascontiguousarray(array[::-1])[::-1],
    "transposed": lambda array: np.ascontiguousarray(array.T).T,
    "inner": lambda array: np.pad(array, 3)[3:-3, 3:-3],
    "unaligned": unaligned,
    "subclass": lambda array: array.view(Stranger),
}


@pytest.mark.parametrize("polynomial", [False, True])
@pytest.mark.parametrize("layout", list(ODD))
def test_odd_layouts_give_the_same_bits(layout: str, *, polynomial: bool) -> None:
    """However planes lie in memory, the match has the same bits."""
    pair, config = (noisy(1, *SHAPE), noisy(2, *SHAPE)), settings(polynomial)
    odd = each_plane(pair[0], ODD[layout]), each_plane(pair[1], ODD[layout])
    assert_same(matched(odd, config), matched(pair, config))
    assert select_reference(odd, config) == select_reference(pair, config)


@pytest.mark.parametrize("polynomial", [False, True])
def test_read_only_memory_maps_give_the_same_bits(tmp_path: Path, *, polynomial: bool) -> None:
    """Planes may be maps of files that cannot be written to."""
    pair, config = (noisy(1, *SHAPE), noisy(2, *SHAPE)), settings(polynomial)
    numbers = iter(range(6))

    def mapped(array: NDArray[Any]) -> NDArray[Any]:
        path = tmp_path / f"{next(numbers)}.npy"
        np.save(path, array)
        return np.asanyarray(np.load(path, mmap_mode="r"))

    maps = each_plane(pair[0], mapped), each_plane(pair[1], mapped)
    assert not maps[0].image.flags.writeable
    assert_same(matched(maps, config), matched(pair, config))


def test_a_broadcast_plane_is_a_plane() -> None:
    """One number that stands for a whole plane is read, not written."""
    one = noisy(1, *SHAPE)
    zero = np.broadcast_to(np.float32(0), SHAPE)
    science = MaskedImage(zero, np.broadcast_to(np.int32(0), SHAPE), zero, PLANES)
    plain = flat(np.zeros(SHAPE), variance=0.0)
    assert_same(matched((one, science), CONFIG), matched((one, plain), CONFIG))


def settings(polynomial: bool) -> MatchConfig:
    """Return settings of a spline or a polynomial for small exposures."""
    return config_with(bin_size=6, use_polynomial=polynomial, order=2)


# --- pairs that do not go together


@pytest.mark.parametrize("polynomial", [False, True])
@pytest.mark.parametrize("shape", [(24, 31), (23, 30), (30, 24), (1, 1), (300, 300)])
def test_other_shapes_are_refused(shape: tuple[int, int], *, polynomial: bool) -> None:
    """Exposures of two shapes are a RuntimeError with both, or too small for the polynomial."""
    config = settings(polynomial)
    with pytest.raises((DimensionError, BinSizeError)) as caught:
        match_background(noisy(1, *SHAPE), noisy(2, *shape), config)
    small = polynomial and min(shape) < 6
    assert isinstance(caught.value, BinSizeError if small else DimensionError)
    if not small:
        assert isinstance(caught.value, RuntimeError)
        assert str(shape) in str(caught.value)
        assert str(SHAPE) in str(caught.value)


@pytest.mark.parametrize("size", [31, 1000, 2**40, 2**70])
def test_a_spline_of_a_bin_larger_than_the_image_is_constant(size: int) -> None:
    """As in LSST, the whole image is then one bin."""
    pair = noisy(1, *SHAPE), noisy(2, *SHAPE)
    match = match_background(*pair, MatchConfig(bin_size=size))
    assert isinstance(match.model, SplineBackground)
    assert match.model.style_used == "CONSTANT"
    assert (match.model.image() == match.model.values[0, 0]).all()


@pytest.mark.parametrize("size", [25, 1000, 2**70])
def test_a_polynomial_of_a_bin_larger_than_the_image_is_refused(size: int) -> None:
    """As in LSST, a bin over the shorter side is a ValueError with both numbers."""
    config = config_with(use_polynomial=True, order=0, bin_size=size)
    with pytest.raises(BinSizeError, match=rf"{size}.*24") as caught:
        match_background(noisy(1, *SHAPE), noisy(2, *SHAPE), config)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("order", [4, 8, 10**9])
def test_an_order_beyond_the_bins_is_refused(order: int) -> None:
    """As in LSST, four bins along the shorter side carry order 3; more is a ValueError."""
    config = config_with(use_polynomial=True, order=order, bin_size=6)
    with pytest.raises(OrderError, match=rf"{order}.*4") as caught:
        match_background(noisy(1, *SHAPE), noisy(2, *SHAPE), config)
    assert isinstance(caught.value, ValueError)
    fine = replace(config, order=3)
    assert isinstance(matched((noisy(1, *SHAPE), noisy(2, *SHAPE)), fine), Match)


def test_the_size_is_looked_at_before_the_shapes() -> None:
    """LSST's order of checks: a polynomial too large is told before exposures that differ."""
    config = config_with(use_polynomial=True, order=0, bin_size=25)
    with pytest.raises(BinSizeError):
        match_background(noisy(1, *SHAPE), noisy(2, 24, 31), config)
    with pytest.raises(DimensionError):
        match_background(noisy(1, 20, 20), noisy(2, 25, 31), config)


# --- pixels that are no numbers


@pytest.mark.parametrize("polynomial", [False, True])
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_an_exposure_of_no_numbers_does_not_overlap(
    poison: float, place: int, *, polynomial: bool
) -> None:
    """All NaN or all infinite, in either exposure, is a NoOverlapError."""
    pair = [noisy(1, *SHAPE), noisy(2, *SHAPE)]
    pair[place] = flat(np.full(SHAPE, poison))
    with pytest.raises(NoOverlapError) as caught:
        match_background(pair[0], pair[1], settings(polynomial))
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, RuntimeError)


def test_an_exposure_wholly_masked_does_not_overlap() -> None:
    """So is one whose pixels are all flagged."""
    masked = replace(noisy(1, *SHAPE), mask=np.full(SHAPE, -1, dtype=np.int32))
    assert matched((masked, noisy(2, *SHAPE)), CONFIG) is NoOverlapError


@pytest.mark.parametrize("polynomial", [False, True])
@pytest.mark.parametrize("level", [1e38, 1.7e38, -1.7e38])
def test_huge_levels_are_matched(level: float, *, polynomial: bool) -> None:
    """A difference within float32 has a finite model, and squares beyond float32 are doubles."""
    rng = np.random.default_rng(3)
    noise = level * (1 + rng.normal(0, 1e-3, SHAPE))
    config = replace(settings(polynomial), approx_weighting=False)
    match = match_background(flat(noise), flat(np.zeros(SHAPE)), config)
    np.testing.assert_allclose(match.model.image(), np.full(SHAPE, level), rtol=0.01)
    assert match.matched_mse == pytest.approx((level * 1e-3) ** 2, rel=0.5)


def test_weights_of_nothing_are_refused() -> None:
    """As in LSST, bin errors over 1e12 or so leave a weighted fit no valid points."""
    noise = np.random.default_rng(3).normal(0, 1e16, SHAPE)
    pair, config = (flat(noise), flat(np.zeros(SHAPE))), settings(polynomial=True)
    assert matched(pair, config) is SingularFitError
    assert issubclass(SingularFitError, RuntimeError)
    assert isinstance(matched(pair, replace(config, approx_weighting=False)), Match)


@pytest.mark.parametrize("polynomial", [False, True])
def test_differences_beyond_float32_are_no_pixels(*, polynomial: bool) -> None:
    """Where reference - science overflows float32, the pixel does not count."""
    up, down = np.zeros(SHAPE), np.zeros(SHAPE)
    up[:6], down[:6] = 3e38, -3e38
    match = match_background(flat(up + 1), flat(down), settings(polynomial))
    assert (match.model.counts[0] == 0).all()
    np.testing.assert_allclose(match.model.image(), np.ones(SHAPE), rtol=1e-5)


@pytest.mark.parametrize("polynomial", [False, True])
def test_subnormal_differences_are_matched(*, polynomial: bool) -> None:
    """The smallest numbers of float32 are numbers, and nothing warns of them."""
    rng = np.random.default_rng(3)
    noise = rng.normal(1e-42, 1e-43, SHAPE)
    config = replace(settings(polynomial), approx_weighting=False)
    match = match_background(flat(noise), flat(np.zeros(SHAPE)), config)
    np.testing.assert_allclose(match.model.image(), np.full(SHAPE, 1e-42), rtol=0.5)


@pytest.mark.parametrize(
    ("variance", "expected"),
    [(-2.0, -1.0), (0.0, 1.0), (math.nan, math.nan), (math.inf, math.nan), (1e38, 1e38)],
)
def test_odd_variances_are_lsst_s_number(variance: float, expected: float) -> None:
    """Negative variances are averaged like others; those that are no numbers are left out."""
    odd = replace(flat(np.ones(SHAPE)), variance=np.full(SHAPE, variance, dtype=np.float32))
    match = match_background(odd, flat(np.ones(SHAPE)), CONFIG)
    np.testing.assert_allclose(match.diff_im_var, expected, rtol=1e-6)


def test_some_variances_that_are_no_numbers_are_left_out() -> None:
    """One NaN and two infinities change nothing about the mean of the others."""
    variance = np.full(SHAPE, 3.0, dtype=np.float32)
    variance[0, :3] = np.nan, np.inf, -np.inf
    odd = replace(flat(np.ones(SHAPE)), variance=variance)
    assert match_background(odd, flat(np.ones(SHAPE)), CONFIG).diff_im_var == 4.0


# --- mask planes


def test_planes_that_are_absent_in_an_exposure_mask_nothing_in_it() -> None:
    """An exposure that does not define a bad plane has no such pixels, whatever its mask holds."""
    first, second = noisy(3, *SHAPE, 0.0), noisy(4, *SHAPE, 0.0)
    flagged = replace(first, mask=np.full(SHAPE, -1, dtype=np.int32), planes={})
    assert_same(matched((flagged, second), CONFIG), matched((first, second), CONFIG))


def test_planes_that_no_exposure_has_are_told() -> None:
    """A misspelt plane masks nothing, and a run says so with its name."""
    exposures = [noisy(seed, *SHAPE) for seed in range(3)]
    config = replace(CONFIG, bad_mask_planes=("NO_DATA", "NO_DTAA"))
    told = match_backgrounds(exposures, config).warnings
    assert [one for one in told if "NO_DTAA" in one]
    assert not [one for one in told if "NO_DATA" in one]


def test_the_sign_bit_of_a_mask_is_a_plane_like_others() -> None:
    """Bit 31 makes a mask's number negative, and flags as the others do."""
    pair = noisy(1, *SHAPE, 0.0), noisy(2, *SHAPE, 0.0)
    assert PLANES["CR"] == 31
    mask = np.zeros(SHAPE, dtype=np.int32)
    mask[:6, :6] = np.int32(-(2**31))
    match = match_background(replace(pair[0], mask=mask), pair[1], CONFIG)
    assert match.model.counts[0, 0] == 0
    assert match.model.counts[1, 1] == 36


# --- settings and arguments of a run


@pytest.mark.parametrize("weight", ["coverage", "variance", "level"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.1, None, "much", True])
def test_impossible_weights_are_refused(weight: str, value: Any) -> None:
    """A weight of the reference's cost is 0 - 1: NaN and its kin are refused by name."""
    with pytest.raises(ConfigError, match=f"best_ref_weight_{weight}.*0 - 1"):
        config_with(**{f"best_ref_weight_{weight}": value})


@pytest.mark.parametrize("profile", list(FitProfile))
@pytest.mark.parametrize("index", [-1, 2, 10**30, True, False, 1.0, "0", (0,), np.True_])
def test_a_reference_that_is_no_index_is_refused(index: Any, profile: FitProfile) -> None:
    """The reference is a place among the exposures, as a whole number that is no truth value."""
    exposures, config = [noisy(1, *SHAPE), noisy(2, *SHAPE)], replace(CONFIG, profile=profile)
    with pytest.raises(NoReferenceError) as caught:
        match_backgrounds(exposures, config, reference=index)
    assert isinstance(caught.value, ValueError)
    assert repr(index) in str(caught.value)


@pytest.mark.parametrize("index", [1, np.int64(1), np.uint8(1)])
def test_any_whole_number_is_an_index(index: Any) -> None:
    """Integers of numpy are whole numbers too."""
    results = match_backgrounds([noisy(1, *SHAPE), noisy(2, *SHAPE)], CONFIG, reference=index)
    assert [result.is_reference for result in results] == [False, True]


@pytest.mark.parametrize("exposures", [None, 3, noisy(1, *SHAPE), iter([])])
def test_exposures_that_are_no_sequence_are_refused(exposures: Any) -> None:
    """A run and a choice want a sequence, and say what they were given."""
    for ask in (match_backgrounds, select_reference):
        with pytest.raises(ImageTypeError, match=f"^exposures .*{type(exposures).__name__}"):
            ask(exposures, CONFIG)


@pytest.mark.parametrize("stranger", [np.zeros(SHAPE, dtype=np.float32), "warp.fits", 3])
def test_a_stranger_among_the_exposures_fails_alone(stranger: Any) -> None:
    """What is no exposure is its own failure, by its place, and the others are matched."""
    results = match_backgrounds([noisy(1, *SHAPE), stranger, noisy(2, *SHAPE)], CONFIG, 0)
    assert isinstance(results[1].error, ImageTypeError)
    assert "exposures[1]" in str(results[1].error)
    assert results[2].model is not None


def test_errors_are_of_one_family() -> None:
    """Whoever catches CoreError has caught every refusal of this file."""
    kinds = [BinSizeError, ConfigError, DimensionError, ImageError, ImageTypeError]
    kinds += [NoOverlapError, NoReferenceError, OrderError]
    assert all(issubclass(kind, CoreError) for kind in kinds)


def test_a_constant_science_plane_of_zero_variance_is_matched() -> None:
    """Two constant exposures without any variance have a model and figures of 0."""
    pair = flat(np.full(SHAPE, 5.0), variance=0.0), flat(np.full(SHAPE, 2.0), variance=0.0)
    match = match_background(*pair, CONFIG)
    assert figures(match) == [0.0, 0.0, 0.0]
    assert (match.model.image() == 3.0).all()
