"""The error tree: kinds that LSST's users catch, sentences, passage between processes."""

from __future__ import annotations

import pickle

import pytest

import core

ERRORS: list[tuple[core.CoreError, type[Exception], list[str]]] = [
    (core.ConfigError("bin_size", 0, "an integer"), ValueError, ["bin_size", "0", "an integer"]),
    (core.ImageError("mask", "empty", "full"), ValueError, ["mask", "empty", "full"]),
    (core.ImageTypeError("image", "a list", "an array"), TypeError, ["image", "a list"]),
    (core.MissingExposureError(3), RuntimeError, ["3"]),
    (core.DimensionError((1, 2), (3, 4)), RuntimeError, ["(1, 2)", "(3, 4)"]),
    (core.NoOverlapError(), ValueError, ["no overlap"]),
    (core.NoOverlapError(), RuntimeError, ["no overlap"]),
    (core.InterpolationError("LINEAR", 1, 2, "a line"), RuntimeError, ["LINEAR", "1", "2"]),
    (core.BinSizeError(300, 256), ValueError, ["bin_size = 300", "256"]),
    (core.OrderError(6, 5, "bins"), ValueError, ["order = 6", "7 bins", "5"]),
    (core.SingularFitError(4, "no bin counts"), RuntimeError, ["order 4", "no bin counts"]),
    (core.ModelOverflowError(), RuntimeError, ["float32"]),
    (core.NoExposuresError(), ValueError, ["no exposures"]),
    (core.NoExposuresError(), RuntimeError, ["no exposures"]),
    (core.ScalerError("exposure 3", "is -1"), RuntimeError, ["scaler of exposure 3", "-1"]),
    (core.NoReferenceError("All-NaN slice"), ValueError, ["All-NaN slice"]),
]


@pytest.mark.parametrize(("error", "kind", "words"), ERRORS)
def test_an_error_is_the_kind_that_lsst_raises_and_says_why(
    error: core.CoreError, kind: type[Exception], words: list[str]
) -> None:
    """An error is caught as LSST's built-in one and its sentence names what it is about."""
    assert isinstance(error, kind)
    assert all(word in str(error) for word in words)


@pytest.mark.parametrize("error", [error for error, _, _ in ERRORS])
def test_an_error_passes_between_processes(error: core.CoreError) -> None:
    """An error that a worker raises arrives as the same kind with the same content."""
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(twin) is type(error)
    assert vars(twin) == vars(error)
    assert str(twin) == str(error)
