"""What a user would write without us, beside our `core`: seconds, and how far from the truth.

The script opens each warp with astropy and fits photutils' Background2D to the difference; both
fits know the same pixels and bins.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from astropy.io import fits as astropy_fits
from numpy.typing import NDArray

import core
from ops.bench.clock import seconds_of
from ops.bench.pipeline.price import processor_s
from ops.bench.pipeline.warps import FORMS, Stock
from ops.bench.planes import planted
from ops.bench.report import Row, Section
from stream import fits

__all__ = ["by_astropy_and_core", "by_ours", "by_photutils", "scripts"]

Fit = Callable[[Path, Path, int], NDArray[np.floating[Any]]]
"""Matches a warp, the second file, to a reference, with bins of so many pixels."""

_BAD: Final = ("NO_DATA", "BAD", "SAT", "CR", "DETECTED")


def scripts(side: int, runs: int) -> Section:
    """Match a warp to a reference by each way.

    Parameters
    ----------
    side : int
        Width and height, pixels.
    runs : int
        Of each; medians are told.
    """
    bin_size = max(16, min(256, side // 8))
    with tempfile.TemporaryDirectory() as name:
        stock = Stock.pair(Path(name), side, "gzip2")
        reference, warp = stock.files
        rows = [
            _row(way, partial(fit, reference, warp, bin_size), runs) for way, fit in _WAYS.items()
        ]
    notes = [
        f"{FORMS['gzip2']}, {side} x {side}, bins of {bin_size}; medians of {runs} runs.",
        "A warp and its reference are read and matched.",
        "Error: rms of model - planted difference of the two skies, whose noise is 9.7 a pixel.",
    ]
    return Section("What a user would write instead", rows, notes)


def _row(name: str, fit: Callable[[], NDArray[np.floating[Any]]], runs: int) -> Row:
    model = fit()  # the first run compiles
    error = model - planted(model.shape[0])
    seconds = [seconds_of(fit) for _ in range(runs)]
    values: dict[str, float | str] = {
        "seconds": median(seconds),
        "processor, s": processor_s(fit),
        "error, rms": float(np.sqrt(np.mean(error.astype(float) ** 2))),
        "error, largest": float(np.abs(error).max()),
    }
    return Row(name, values)


def by_photutils(reference: Path, warp: Path, bin_size: int) -> NDArray[np.floating[Any]]:
    """Fit the difference as photutils does by default: clipped means, a spline through the median.

    Parameters
    ----------
    reference, warp : Path
    bin_size : int
        Pixels.
    """
    from photutils.background import Background2D, MeanBackground  # noqa: PLC0415 - only this

    (ours, our_mask), (theirs, their_mask) = _opened(reference), _opened(warp)
    difference = ours - theirs
    bad = (our_mask | their_mask) | ~np.isfinite(difference)
    fitted = Background2D(
        difference, bin_size, mask=bad, exclude_percentile=90, bkg_estimator=MeanBackground()
    )
    model: NDArray[np.floating[Any]] = fitted.background
    return model


def _opened(file: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read an image and which of its pixels are bad, with astropy."""
    opened: Any = astropy_fits.open(file)
    with opened as hdus:
        image = np.asarray(hdus["IMAGE"].data, np.float32)
        bits = _bits(_plane_names(hdus["MASK"].header))
        return image, (np.asarray(hdus["MASK"].data) & bits) != 0


def by_astropy_and_core(reference: Path, warp: Path, bin_size: int) -> NDArray[np.float32]:
    """Read with astropy, match with `core`.

    Parameters
    ----------
    reference, warp : Path
    bin_size : int
        Pixels.
    """
    return _matched([_exposure(reference), _exposure(warp)], bin_size)


def by_ours(reference: Path, warp: Path, bin_size: int) -> NDArray[np.float32]:
    """Read with `stream.fits`, match with `core`.

    Parameters
    ----------
    reference, warp : Path
    bin_size : int
        Pixels.
    """
    return _matched([fits.decode(one.read_bytes()) for one in (reference, warp)], bin_size)


def _matched(pair: Sequence[core.MaskedImage], bin_size: int) -> NDArray[np.float32]:
    config = core.MatchConfig(bin_size=bin_size)
    return core.match_background(pair[0], pair[1], config).model.image()


def _exposure(file: Path) -> core.MaskedImage:
    opened: Any = astropy_fits.open(file)
    with opened as hdus:
        image, variance = (np.asarray(hdus[one].data, np.float32) for one in ("IMAGE", "VARIANCE"))
        mask = np.asarray(hdus["MASK"].data, np.int32)
        return core.MaskedImage(image, mask, variance, _plane_names(hdus["MASK"].header))


def _plane_names(header: Mapping[str, Any]) -> dict[str, int]:
    return {name[3:]: value for name, value in header.items() if name.startswith("MP_")}


def _bits(names: Mapping[str, int]) -> int:
    return sum(1 << bit for name, bit in names.items() if name in _BAD)


_WAYS: Final[Mapping[str, Fit]] = {
    "astropy and photutils": by_photutils,
    "astropy and our core": by_astropy_and_core,
    "our reading and our core": by_ours,
}
