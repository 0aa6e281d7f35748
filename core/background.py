"""The background model: a grid of values that becomes an image (MATCHING.md section 5)."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.config import FitProfile, InterpStyle, MatchConfig, UndersampleStyle
from core.errors import ImageError, ImageTypeError, InterpolationError, NoOverlapError
from core.grid import Grid, bin_centres, bin_edges
from core.image import require_array
from core.interpolate import Surface, fewest_points, fit_surface, richest_style
from core.survey import filled, floored_errors

__all__ = ["Background", "SplineBackground", "fit_spline"]


@dataclass(frozen=True, eq=False)
class Background(ABC):
    """A background: what is to be added to the science image.

    It lives by itself: everything follows from its fields alone, bit for bit, and its arrays are
    its own, read-only copies. Backgrounds are equal, and have one hash, if all their fields are
    equal to the bit. It knows nothing of the origin of the exposures: all positions are local
    pixels, 0-based, and the centre of a pixel is an integer.

    Parameters
    ----------
    values, errors : `numpy.ndarray`
        float32 ``[ny, nx]``, image unit: the grid and its standard errors; NaN in a bin without a
        value. The bins are those of `core.grid.bin_edges`.
    counts : `numpy.ndarray`
        int32 ``[ny, nx]``, accepted pixels of each bin.
    width, height : int
        Size of the image in pixels.
    profile : FitProfile or str, optional
        Whose rules turn the grid into an image (MATCHING.md section 14).

    Raises
    ------
    ImageTypeError, ImageError
        If an array is not of its dtype or the sizes do not belong together.
    ValueError
        If a profile is unknown.
    """

    values: NDArray[np.float32]
    errors: NDArray[np.float32]
    counts: NDArray[np.int32]
    width: int
    height: int
    profile: FitProfile = field(default=FitProfile.LSST, kw_only=True)

    def __post_init__(self) -> None:
        for name, dtype in (("values", np.float32), ("errors", np.float32), ("counts", np.int32)):
            array = require_array(name, getattr(self, name), dtype).copy()
            if array.shape != self.values.shape:
                found, expected = f"of shape {array.shape}", f"of shape {self.values.shape}"
                raise ImageError(name, found, expected)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "profile", FitProfile(self.profile))
        self._require_bins()

    def __eq__(self, other: object) -> bool:
        return self._content() == other._content() if isinstance(other, Background) else False

    def __hash__(self) -> int:
        return hash(self._content())

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self._parts())

    @property
    def extrapolated_fraction(self) -> float:
        """Share of the pixels that `extrapolated` tells, without a plane of them."""
        high, wide = (np.diff(edges) for edges in self._edges())
        empty = np.isnan(self.values)
        return int((empty * high[:, np.newaxis] * wide).sum()) / (self.width * self.height)

    def image(self, box: tuple[int, int, int, int] | None = None) -> NDArray[np.float32]:
        """Return the model on every pixel, or on those of a box.

        Parameters
        ----------
        box : tuple of int, optional
            ``(x0, y0, x1, y1)``, local pixels, upper edges exclusive; the whole image unless given.

        Returns
        -------
        image : `numpy.ndarray`
            float32 ``[y1 - y0, x1 - x0]``, image unit; all NaN if no bin has a value.

        Raises
        ------
        ImageError
            If the box is not four integers, or is empty or not inside the image.
        InterpolationError
            If infinite values leave a line too few for a style that may not be reduced.
        """
        x0, y0, x1, y1 = self._checked_box((0, 0, self.width, self.height) if box is None else box)
        image = np.empty((y1 - y0, x1 - x0), dtype=np.float32)
        self._fill(x0, y0, image)
        return image

    def rows(
        self, start: int, stop: int, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the model on some rows of pixels, the same bits as in `image`.

        Parameters
        ----------
        start, stop : int
            First row and the one behind the last.
        out : `numpy.ndarray`, optional
            float32 ``[stop - start, width]``, C-contiguous, to be overwritten and returned.

        Returns
        -------
        rows : `numpy.ndarray`
            float32 ``[stop - start, width]``, image unit.

        Raises
        ------
        ImageError
            If there are no such rows, or `out` has another shape or layout.
        InterpolationError
            As `image`.
        """
        start, stop = _checked_rows(start, stop, self.height)
        shape = (stop - start, self.width)
        rows = np.empty(shape, dtype=np.float32) if out is None else _checked_out(out, shape)
        self._fill(0, start, rows)
        return rows

    def at(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float32]:
        """Return the model at points; at the centre of a pixel the same bits as in `image`.

        Parameters
        ----------
        x, y : array_like
            Any finite local positions, that broadcast with each other. Outside the image the same
            curves go on.

        Returns
        -------
        values : `numpy.ndarray`
            float32 of the shape that `x` and `y` broadcast to, image unit.

        Raises
        ------
        ImageTypeError
            If a position is no real number.
        ImageError
            If a position is not finite, or the shapes do not broadcast.
        InterpolationError
            As `image`.
        """
        xs, ys = _checked_points(x, y)
        values = np.empty(xs.shape, dtype=np.float32)
        self._points(xs.ravel(), ys.ravel(), values.reshape(-1))
        return values

    def extrapolated(self) -> NDArray[np.bool_]:
        """Tell the pixels of bins without a value, where the model is its neighbours' alone.

        Returns
        -------
        extrapolated : `numpy.ndarray`
            bool ``[height, width]``.
        """
        high, wide = (np.diff(edges) for edges in self._edges())
        return np.repeat(np.repeat(np.isnan(self.values), wide, axis=1), high, axis=0)

    @abstractmethod
    def _fill(self, x0: int, y0: int, out: NDArray[np.float32]) -> None:
        """Write the model of the pixels from (x0, y0) on, inside the image, into the array."""

    @abstractmethod
    def _points(
        self, x: NDArray[np.float64], y: NDArray[np.float64], out: NDArray[np.float32]
    ) -> None:
        """Write the model at finite points, all one-dimensional, into the array."""

    def _edges(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        ny, nx = self.values.shape
        return bin_edges(self.height, ny), bin_edges(self.width, nx)

    def _require_bins(self) -> None:
        ny, nx = self.values.shape
        for name, bins in (("width", nx), ("height", ny)):
            length = getattr(self, name)
            if not isinstance(length, int) or not 1 <= bins <= length:
                raise ImageError(name, repr(length), f"at least the {bins} bins of values (not 0)")

    def _checked_box(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        expected = f"integers (x0, y0, x1, y1), x0 < x1 <= {self.width}, y0 < y1 <= {self.height}"
        try:
            x0, y0, x1, y1 = (operator.index(edge) for edge in box)
        except (TypeError, ValueError):
            raise ImageError("box", repr(box), expected) from None
        if not (0 <= x0 < x1 <= self.width and 0 <= y0 < y1 <= self.height):
            raise ImageError("box", repr((x0, y0, x1, y1)), expected)
        return x0, y0, x1, y1

    def _parts(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def _content(self) -> tuple[object, ...]:
        return type(self), *(_hashable(part) for part in self._parts().values())


@dataclass(frozen=True, eq=False)
class SplineBackground(Background):
    """A background that interpolates its grid (MATCHING.md sections 5 and 6).

    Columns of bins are interpolated first, then these along x. In profile ``lsst`` empty bins are
    so filled along y, and only columns that are wholly empty are bridged in x. In profile
    ``survey`` they are filled before (`core.survey.filled`), x and y alike; extrapolation is
    linear, and CONSTANT takes a bin's own value.

    Parameters
    ----------
    values, errors, counts, width, height, profile
        As for `Background`.
    interp_style : InterpStyle or str
        Style asked for.
    undersample_style : UndersampleStyle or str
        What to do where there are too few values for it.

    Raises
    ------
    ImageTypeError, ImageError
        If an array is not of its dtype or the sizes do not belong together.
    InterpolationError
        If the grid has too few values for a style that may not be reduced (a `RuntimeError`).
    ValueError
        If a style or profile is unknown.
    """

    interp_style: InterpStyle
    undersample_style: UndersampleStyle

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "interp_style", InterpStyle(self.interp_style))
        object.__setattr__(self, "undersample_style", UndersampleStyle(self.undersample_style))
        self._require_style()

    @property
    def style_used(self) -> InterpStyle:
        """Style that the number of bins allows, in both directions (MATCHING.md section 5).

        A line with empty bins may be reduced further; this does not say so.
        """
        ny, nx = self.values.shape
        if min(nx, ny) >= fewest_points(self.interp_style):
            return self.interp_style
        return richest_style(min(nx, ny))

    def _fill(self, x0: int, y0: int, out: NDArray[np.float32]) -> None:
        self._surface.rows(x0, y0, out)

    def _points(
        self, x: NDArray[np.float64], y: NDArray[np.float64], out: NDArray[np.float32]
    ) -> None:
        self._surface.points(x, y, out)

    @cached_property
    def _surface(self) -> Surface:
        ny, nx = self.values.shape
        centres = bin_centres(self.height, ny), bin_centres(self.width, nx)
        values = self.values.astype(np.float64)
        if self.profile == FitProfile.SURVEY:
            errors = floored_errors(self.errors, self.counts)
            values = filled(values, errors, (self.height, self.width))
        style = self.style_used
        return fit_surface(centres, values, style, self.undersample_style, self.profile)

    def _require_style(self) -> None:
        if self.undersample_style == UndersampleStyle.REDUCE_INTERP_ORDER:
            return
        needed = fewest_points(self.interp_style)
        known = ~np.isnan(self.values)
        for bins, line in (
            (min(known.shape), "the shorter side"),
            (int(known.sum(axis=0).min()), "a column of bins"),
            (int(known.sum(axis=1).min()), "a row of bins"),
        ):
            if bins < needed and (line != "a row of bins" or self.profile == FitProfile.SURVEY):
                raise InterpolationError(self.interp_style, bins, needed, line)


def fit_spline(grid: Grid, width: int, height: int, config: MatchConfig) -> SplineBackground:
    """Return the spline model of a grid (MATCHING.md section 5).

    Parameters
    ----------
    grid : Grid
        Statistic of every bin.
    width, height : int
        Size of the image in pixels.
    config : MatchConfig
        interp_style, undersample_style, profile.

    Returns
    -------
    model : SplineBackground
        The model.

    Raises
    ------
    NoOverlapError
        If no bin has a value (a `ValueError` and a `RuntimeError`).
    InterpolationError
        If the grid has too few values for a style that may not be reduced (a `RuntimeError`).
    """
    if np.isnan(grid.values).all():
        raise NoOverlapError
    return SplineBackground(
        values=grid.values,
        errors=grid.errors,
        counts=grid.counts,
        width=width,
        height=height,
        profile=config.profile,
        interp_style=config.interp_style,
        undersample_style=config.undersample_style,
    )


def _rebuilt(kind: type[Background], parts: dict[str, Any]) -> Background:
    return kind(**parts)


def _hashable(part: object) -> object:
    return (part.shape, part.tobytes()) if isinstance(part, np.ndarray) else part


def _checked_rows(start: int, stop: int, height: int) -> tuple[int, int]:
    rows = start, stop
    try:
        start, stop = (operator.index(edge) for edge in rows)
    except TypeError:
        start, stop = 0, 0
    if not 0 <= start < stop <= height:
        expected = f"integers (start, stop), 0 <= start < stop <= {height}"
        raise ImageError("rows", repr(rows), expected)
    return start, stop


def _checked_out(out: object, shape: tuple[int, int]) -> NDArray[np.float32]:
    array = require_array("out", out, np.float32)
    if array.shape != shape or not array.flags.c_contiguous or not array.flags.writeable:
        expected = f"C-contiguous, writeable and of shape {shape}"
        raise ImageError("out", f"of shape {array.shape}, or has another layout", expected)
    return array


def _checked_points(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    positions = _checked_positions("x", x), _checked_positions("y", y)
    try:
        xs, ys = np.broadcast_arrays(*positions)
    except ValueError:
        shapes = f"of shape {positions[1].shape}"
        raise ImageError("y", shapes, f"to broadcast with x of {positions[0].shape}") from None
    return xs, ys


def _checked_positions(name: str, given: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(given)
    if array.dtype.kind not in "iuf":
        raise ImageTypeError(name, f"of dtype {array.dtype}", "real numbers")
    positions = array.astype(np.float64)
    if not np.isfinite(positions).all():
        raise ImageError(name, "not finite everywhere", "finite positions in pixels")
    return positions
