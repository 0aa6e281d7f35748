"""The polynomial background: Chebyshev polynomials through the grid (MATCHING.md section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.background import Background
from core.config import FitProfile, MatchConfig, UndersampleStyle
from core.errors import (
    BinSizeError,
    ImageError,
    ImageTypeError,
    NoOverlapError,
    OrderError,
    SingularFitError,
)
from core.grid import Grid, Tiles, bin_centres, bin_count, measure_grid
from core.kernels import chebyshev as kernels
from core.survey import floored_errors

__all__ = ["ChebyshevBackground", "fit_polynomial", "polynomials", "require_polynomial"]

_Doubles = NDArray[np.float64]

_NOTHING = 1e-12
_SINGULAR = 1e-12
_UNDETERMINED = "the bins do not determine its coefficients"


@dataclass(frozen=True, eq=False)
class ChebyshevBackground(Background):
    """A background that is a sum of products of Chebyshev polynomials (MATCHING.md section 7).

    ``M(x, y) = sum of c_ij T_i(u) T_j(v)`` over i + j <= order_used, with u = (x - (width - 1) / 2)
    2 / width, which is -1 and 1 at the edges of the image, and v likewise.

    Parameters
    ----------
    values, errors, counts, width, height, profile
        As for `Background`; the grid that the polynomial was fitted to.
    order : int
        Order asked for.
    order_used : int
        Order that the coverage allowed.
    undersample_style : UndersampleStyle or str
        What was to be done with too little coverage.
    weighted : bool
        Whether the bins were weighted by their errors.
    coefficients : `numpy.ndarray`
        float64 ``[(order_used + 1) (order_used + 2) / 2]``, image unit: by total degree, within
        one by falling power of x: 1; x, y; xx, xy, yy; ...

    Raises
    ------
    ImageTypeError, ImageError
        If an array is not of its dtype or the sizes do not belong together.
    ValueError
        If a style or profile is unknown.
    """

    order: int
    order_used: int
    undersample_style: UndersampleStyle
    weighted: bool
    coefficients: _Doubles

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "undersample_style", UndersampleStyle(self.undersample_style))
        object.__setattr__(self, "weighted", bool(self.weighted))
        self._require_orders()
        coefficients = _checked_coefficients(self.coefficients, self.order_used)
        object.__setattr__(self, "coefficients", coefficients)

    def _fill(self, x0: int, y0: int, out: NDArray[np.float32]) -> None:
        kernels.draw(self._tables, self.coefficients, (int(x0), int(y0)), out)

    def _points(self, x: _Doubles, y: _Doubles, out: NDArray[np.float32]) -> None:
        tables = self._table(x, self.width), self._table(y, self.height)
        kernels.pick(tables, self.coefficients, out)

    @cached_property
    def _tables(self) -> tuple[_Doubles, _Doubles]:
        sides = self.width, self.height
        x, y = (self._table(np.arange(side, dtype=np.float64), side) for side in sides)
        return x, y

    def _table(self, positions: _Doubles, length: int) -> _Doubles:
        return polynomials(self.order_used, positions, length)

    def _require_orders(self) -> None:
        for name in ("order", "order_used"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ImageError(name, repr(value), "an integer, at least 0")


def require_polynomial(shape: tuple[int, int], config: MatchConfig) -> None:
    """Refuse an exposure that is too small for the polynomial (MATCHING.md section 1, step 1).

    Parameters
    ----------
    shape : tuple of int
        ``(height, width)`` of the science exposure in pixels.
    config : MatchConfig
        bin_size, order.

    Raises
    ------
    BinSizeError
        If a bin is larger than the shorter side (a `ValueError`).
    OrderError
        If the order is too high for the bins along the shorter side (a `ValueError`).
    """
    shorter = min(shape)
    if shorter < config.bin_size:
        raise BinSizeError(config.bin_size, shorter)
    points = bin_count(shorter, config.bin_size)
    if config.order > points - 1:
        raise OrderError(config.order, points, "bins")


def fit_polynomial(
    plane: NDArray[np.float32], grid: Grid, tiles: Tiles, config: MatchConfig
) -> ChebyshevBackground:
    """Fit a Chebyshev polynomial to a grid (MATCHING.md section 7).

    Parameters
    ----------
    plane : `numpy.ndarray`
        float32 ``[y, x]``, C-contiguous, NaN where a pixel is not accepted: the difference.
    grid : Grid
        Statistic of its bins.
    tiles : Tiles
        Statistic of its tiles, which tell the coverage and whether the noise varies.
    config : MatchConfig
        order, undersample_style, bin_size, approx_weighting, grid_stdev_epsilon, profile;
        INCREASE_NXNYSAMPLE measures the plane anew, with its statistic and clipping.

    Returns
    -------
    model : ChebyshevBackground
        With the grid that was fitted.

    Raises
    ------
    NoOverlapError
        If there is no tile (a `ValueError` and a `RuntimeError`).
    OrderError
        If the tiles cover too little for the order and it may not be reduced (a `ValueError`).
    SingularFitError
        If the bins do not determine the coefficients (a `RuntimeError`): in profile ``survey``
        whenever the normal equations are singular, in profile ``lsst`` only if that leaves no
        finite numbers. LSST does not look, and so may give large numbers without a meaning.
    """
    if not tiles.x.size:
        raise NoOverlapError
    order, grid = _covered(plane, grid, tiles, config)
    weighted = config.approx_weighting and bool((tiles.errors > config.grid_stdev_epsilon).any())
    weights = _weights(grid, config) if weighted else np.ones(grid.values.shape)
    height, width = plane.shape
    return ChebyshevBackground(
        values=grid.values,
        errors=grid.errors,
        counts=grid.counts,
        width=width,
        height=height,
        profile=config.profile,
        order=config.order,
        order_used=order,
        undersample_style=config.undersample_style,
        weighted=weighted,
        coefficients=_fitted(grid, weights, order, config, (height, width)),
    )


def _covered(
    plane: NDArray[np.float32], grid: Grid, tiles: Tiles, config: MatchConfig
) -> tuple[int, Grid]:
    """Return the order that the coverage allows, and the grid for it."""
    points = min(np.unique(tiles.x).size, np.unique(tiles.y).size)
    if points > config.order:
        return config.order, grid
    if config.undersample_style == UndersampleStyle.REDUCE_INTERP_ORDER:
        return points - 1, grid
    samples = points * config.bin_size // (config.order + 1)
    if config.undersample_style == UndersampleStyle.THROW_EXCEPTION or not samples:
        raise OrderError(config.order, points, "bins with pixels")
    # LSST takes what would be the smaller bin size for the number of bins along either side
    return config.order, measure_grid(plane, config, (samples, samples))


def _weights(grid: Grid, config: MatchConfig) -> _Doubles:
    """Return LSST's weights, 1 / error in float32, or those of profile survey, 1 / error^2."""
    if config.profile == FitProfile.SURVEY:
        errors = floored_errors(grid.errors, grid.counts)
        weights: _Doubles = (errors.min() / errors) ** 2
        return weights
    with np.errstate(divide="ignore", over="ignore"):
        return (np.float32(1) / grid.errors).astype(np.float64)


def _fitted(
    grid: Grid, weights: _Doubles, order: int, config: MatchConfig, shape: tuple[int, int]
) -> _Doubles:
    """Return the coefficients that make the least of the weighted squares (section 7)."""
    values = grid.values.astype(np.float64)
    y_table, x_table = (
        polynomials(order, bin_centres(length, bins), length)
        for length, bins in zip(shape, values.shape, strict=True)
    )
    size = (order + 1) * (order + 2) // 2
    matrix, right = np.zeros((size, size)), np.zeros(size)
    for array in (values, weights):
        array.setflags(write=False)
    kernels.normal_equations((x_table, y_table), values, weights, matrix, right)
    if (np.abs(matrix) <= _NOTHING).all():
        raise SingularFitError(order, "no bin has both a value and a weight")
    if config.profile == FitProfile.SURVEY:
        return _solved_if_regular(matrix, right, order)
    kernels.solve(matrix, right)
    if not np.isfinite(right).all():
        raise SingularFitError(order, _UNDETERMINED)
    return right


def _solved_if_regular(matrix: _Doubles, right: _Doubles, order: int) -> _Doubles:
    """Solve equations scaled to a diagonal of 1; LSST does not ask whether they are singular."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scales = np.sqrt(np.diag(matrix))
        matrix, right = matrix / np.outer(scales, scales), right / scales
    least = kernels.solve(matrix, right)
    if not least > _SINGULAR or not np.isfinite(right).all():
        raise SingularFitError(order, _UNDETERMINED)
    return right / scales


def polynomials(order: int, positions: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return Chebyshev's polynomials at positions along a side (MATCHING.md section 7).

    Parameters
    ----------
    order : int
        Highest order.
    positions : `numpy.ndarray`
        float64 ``[n]``, local pixels.
    length : int
        Pixels of the side, from one edge of which to the other the argument runs from -1 to 1.

    Returns
    -------
    table : `numpy.ndarray`
        float64 ``[order + 1, n]``, T_0 ... T_order, read-only.
    """
    u = (positions - (length - 1) / 2) * (2 / length)
    table = np.ones((order + 1, u.size))
    if order:
        table[1] = u
    with np.errstate(over="ignore", invalid="ignore"):  # far outside the image
        for i in range(2, order + 1):
            table[i] = 2 * u * table[i - 1] - table[i - 2]
    table.setflags(write=False)
    return table


def _checked_coefficients(given: object, order: int) -> _Doubles:
    if not isinstance(given, np.ndarray) or given.dtype != np.float64:
        raise ImageTypeError("coefficients", f"a {type(given).__name__}", "an array of float64")
    wanted = ((order + 1) * (order + 2) // 2,)
    if given.shape != wanted or not np.isfinite(given).all():
        expected = f"finite, of shape {wanted} for order_used {order}"
        raise ImageError("coefficients", f"of shape {given.shape}, or not finite", expected)
    coefficients = given.copy()
    coefficients.setflags(write=False)
    return coefficients
