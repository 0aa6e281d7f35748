"""The background model: a grid of values that becomes an image (MATCHING.md section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.config import InterpStyle, UndersampleStyle
from core.errors import ImageError, InterpolationError
from core.grid import bin_centres
from core.image import require_array
from core.interpolate import fewest_points, interpolate_lines, richest_style

__all__ = ["Background"]


@dataclass(frozen=True, eq=False)
class Background:
    """A spline background: what is to be added to the science image.

    It lives by itself: the image follows from these arguments alone, bit for bit, and the arrays
    are its own copies. It knows nothing of the origin of the exposures.

    Parameters
    ----------
    values, errors : `numpy.ndarray`
        float32 ``[ny, nx]``, image unit: the grid and its standard errors; NaN in a bin without a
        value. The bins are those of `core.grid.bin_edges`.
    counts : `numpy.ndarray`
        int32 ``[ny, nx]``, accepted pixels of each bin.
    width, height : int
        Size of the image in pixels.
    interp_style : InterpStyle or str
        Style asked for.
    undersample_style : UndersampleStyle or str
        What to do where there are too few values for it.

    Raises
    ------
    ImageTypeError, ImageError
        If an array is not of its dtype or the sizes do not belong together.
    InterpolationError
        If the grid is too small for a style that may not be reduced (a `RuntimeError`).
    ValueError
        If a style is unknown.
    """

    values: NDArray[np.float32]
    errors: NDArray[np.float32]
    counts: NDArray[np.int32]
    width: int
    height: int
    interp_style: InterpStyle
    undersample_style: UndersampleStyle

    def __post_init__(self) -> None:
        for name, dtype in (("values", np.float32), ("errors", np.float32), ("counts", np.int32)):
            array = require_array(name, getattr(self, name), dtype).copy()
            if array.shape != self.values.shape:
                found, expected = f"of shape {array.shape}", f"of shape {self.values.shape}"
                raise ImageError(name, found, expected)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "interp_style", InterpStyle(self.interp_style))
        object.__setattr__(self, "undersample_style", UndersampleStyle(self.undersample_style))
        self._require_bins()
        self._require_style()

    def __eq__(self, other: object) -> bool:
        return self._content() == other._content() if isinstance(other, Background) else False

    def __hash__(self) -> int:
        return hash(self._content())

    @property
    def style_used(self) -> InterpStyle:
        """Style that the number of bins allows, in both directions (MATCHING.md section 5).

        A line with empty bins may be reduced further; this does not say so.
        """
        ny, nx = self.values.shape
        if min(nx, ny) >= fewest_points(self.interp_style):
            return self.interp_style
        return richest_style(min(nx, ny))

    def image(self) -> NDArray[np.float32]:
        """Return the model on every pixel.

        Columns of bins are interpolated first, to every row of pixels, then these along x: empty
        bins are filled along y, and only columns that are wholly empty are bridged in x.

        Returns
        -------
        image : `numpy.ndarray`
            float32 ``[height, width]``, image unit; all NaN if no bin has a value.

        Raises
        ------
        InterpolationError
            If a line of bins has too few values for a style that may not be reduced.
        """
        ny, nx = self.values.shape
        image = np.full((self.height, self.width), np.nan, dtype=np.float32)
        columns = np.full((nx, self.height), np.nan)
        style, undersample = self.style_used, self.undersample_style
        # infinite bins are kept, as LSST does, and may give NaN beside them
        with np.errstate(invalid="ignore", over="ignore"):
            grid = self.values.astype(np.float64)
            y, x = np.arange(self.height, dtype=float), np.arange(self.width, dtype=float)
            y_centres, x_centres = bin_centres(self.height, ny), bin_centres(self.width, nx)
            for lines, block in interpolate_lines(y_centres, grid, y, style, undersample):
                columns[lines] = block
            for lines, block in interpolate_lines(x_centres, columns, x, style, undersample):
                image[lines] = block
        return image

    def _require_bins(self) -> None:
        ny, nx = self.values.shape
        for name, bins in (("width", nx), ("height", ny)):
            length = getattr(self, name)
            if not isinstance(length, int) or not 1 <= bins <= length:
                raise ImageError(name, repr(length), f"at least the {bins} bins of values (not 0)")

    def _require_style(self) -> None:
        bins = min(self.values.shape)
        needed = fewest_points(self.interp_style)
        reducible = self.undersample_style == UndersampleStyle.REDUCE_INTERP_ORDER
        if bins < needed and not reducible:
            raise InterpolationError(self.interp_style, bins, needed, "the shorter side")

    def _content(self) -> tuple[object, ...]:
        arrays = (self.values, self.errors, self.counts)
        size = (self.values.shape, self.width, self.height)
        return (*size, self.interp_style, self.undersample_style, *(a.tobytes() for a in arrays))
