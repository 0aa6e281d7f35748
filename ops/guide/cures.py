"""Faults of profile `lsst` and their cures in profile `survey`, each as numbers from the real code.

Each function plants what shows one fault (MATCHING.md section 14) and returns, for both profiles,
what a figure draws and the numbers that the guide quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import core
from core import FitProfile, InterpStyle, MatchConfig, UndersampleStyle

__all__ = [
    "ALL",
    "Cure",
    "constant_cells",
    "empty_cells",
    "far_from_cells",
    "reference_levels",
    "uniform_bins",
]

_Line = NDArray[np.float64]

_SEED = 20261123
_BIN = 16
_CELLS = 17


@dataclass(frozen=True, eq=False, slots=True)
class Cure:
    """One fault and its cure.

    Parameters
    ----------
    title, x_label, y_label : str
        Words of the figure.
    x : `numpy.ndarray`
        float64 ``[n]``, along the figure.
    lines : mapping of str to `numpy.ndarray`
        float64 ``[n]``: for each profile, and for the truth where there is one.
    numbers : mapping of str to float
        What it comes to, by profile; less is better.
    measure : str
        What `numbers` are.
    """

    title: str
    x_label: str
    y_label: str
    x: _Line
    lines: Mapping[str, _Line]
    numbers: Mapping[str, float]
    measure: str


def uniform_bins() -> Cure:
    """Fit a slope of steps to bins of which half are uniform: LSST's weights drop these.

    Returns
    -------
    cure : Cure
        Root mean square of model minus truth, over all pixels.
    """
    side = 8 * _BIN
    steps = 0.05 * (np.arange(side) // _BIN) ** 2
    truth = np.broadcast_to(steps, (side, side))
    noise = np.random.default_rng(_SEED).normal(0.0, 1.0, (side, side))
    noise[:, side // 2 :] = 0.0
    sky = truth + noise
    config = MatchConfig(bin_size=_BIN, use_polynomial=True, order=2)
    models = {
        profile: _matched(sky, replace(config, profile=profile)).image().astype(np.float64)
        for profile in FitProfile
    }
    lines = {"truth": truth[0].copy()} | {str(p): m.mean(axis=0) for p, m in models.items()}
    return Cure(
        "uniform bins count",
        "x / pixel",
        "model / count",
        np.arange(side, dtype=np.float64),
        lines,
        {str(p): float(np.sqrt(np.mean((m - truth) ** 2))) for p, m in models.items()},
        "rms of model - truth, counts",
    )


def constant_cells() -> Cure:
    """Draw style CONSTANT: LSST's cells take the mean of their own value and their neighbour's.

    Returns
    -------
    cure : Cure
        Root mean square of model minus the cells' own values.
    """
    values = np.array([0.0, 3.0, 1.0, 4.0, 2.0, 5.0])
    side = values.size * _BIN
    own = np.repeat(values, _BIN)
    grid = np.broadcast_to(values.astype(np.float32), (values.size, values.size)).copy()
    lines = {
        str(profile): _spline(grid, InterpStyle.CONSTANT, profile).image()[0].astype(np.float64)
        for profile in FitProfile
    }
    return Cure(
        "CONSTANT is the cell's own value",
        "x / pixel",
        "model / count",
        np.arange(side, dtype=np.float64),
        {"truth": own} | lines,
        {name: float(np.sqrt(np.mean((line - own) ** 2))) for name, line in lines.items()},
        "rms of model - cell, counts",
    )


def empty_cells() -> Cure:
    """Fill a hole in a saddle, and in the same with x and y exchanged: LSST's answers differ.

    Returns
    -------
    cure : Cure
        Largest difference between the model and that of the transposed grid, transposed back.
    """
    y, x = np.mgrid[: _CELLS // 2, : _CELLS // 2] - _CELLS // 4
    grid = (np.sin(0.9 * x) * np.cos(0.4 * y) + 0.1 * x * x).astype(np.float32)
    grid[2:6, 1:6] = np.nan
    lines, numbers = {}, {}
    for profile in FitProfile:
        there = _spline(grid, InterpStyle.AKIMA_SPLINE, profile).image().astype(np.float64)
        back = _spline(grid.T.copy(), InterpStyle.AKIMA_SPLINE, profile).image().T
        lines[str(profile)] = (there - back)[there.shape[0] // 2]
        numbers[str(profile)] = float(np.abs(there - back).max())
    return Cure(
        "empty cells: x and y alike",
        "x / pixel",
        "model - model of the transposed / count",
        np.arange(grid.shape[1] * _BIN, dtype=np.float64),
        lines,
        numbers,
        "largest difference of the two, counts",
    )


def far_from_cells() -> Cure:
    """Go ten empty bins beyond the last cell with Akima's spline: LSST's goes on quadratically.

    Returns
    -------
    cure : Cure
        Root mean square of 200 models of pure noise of 1 sigma a cell, at the far edge.
    """
    rng = np.random.default_rng(_SEED)
    height = _CELLS * _BIN
    squares = {profile: np.zeros(height) for profile in FitProfile}
    for _ in range(200):
        grid = rng.normal(0.0, 1.0, (_CELLS, 5)).astype(np.float32)
        grid[-10:] = np.nan
        for profile in FitProfile:
            image = _spline(grid, InterpStyle.AKIMA_SPLINE, profile).image()
            squares[profile] += np.mean(image.astype(np.float64) ** 2, axis=1) / 200
    lines = {str(profile): np.sqrt(total) for profile, total in squares.items()}
    return Cure(
        "beyond the last cell: linear",
        "y / bin",
        "rms of the model / sigma of a cell",
        np.arange(height) / _BIN,
        lines,
        {name: float(line[-1]) for name, line in lines.items()},
        "rms ten bins away, sigma of a cell",
    )


def reference_levels() -> Cure:
    """Choose a reference, all skies lowered alike: LSST's costs depend on the zero level.

    Returns
    -------
    cure : Cure
        How often the choice changes along the way.
    """
    rng = np.random.default_rng(_SEED)
    side, shifts = 8 * _BIN, np.linspace(0.0, 120.0, 25)
    images = [rng.normal(level, 3.0 + level / 50, (side, side)) for level in (20.0, 60.0, 100.0)]
    lines = {}
    for profile in FitProfile:
        config = MatchConfig(bin_size=_BIN, profile=profile)
        chosen = [
            core.select_reference([_exposure(image - shift) for image in images], config).index
            for shift in shifts
        ]
        lines[str(profile)] = np.array(chosen, dtype=np.float64)
    return Cure(
        "the zero level does not choose",
        "constant taken from all exposures / count",
        "reference chosen",
        shifts,
        lines,
        {name: float(np.count_nonzero(np.diff(line))) for name, line in lines.items()},
        "changes of the reference",
    )


ALL = (uniform_bins, constant_cells, empty_cells, far_from_cells, reference_levels)


def _exposure(image: _Line) -> core.MaskedImage:
    mask = np.zeros(image.shape, dtype=np.int32)
    variance = np.ones(image.shape, dtype=np.float32)
    return core.MaskedImage(image.astype(np.float32), mask, variance, {"BAD": 0})


def _matched(difference: _Line, config: MatchConfig) -> core.Background:
    nothing = np.zeros_like(difference)
    return core.match_background(_exposure(difference), _exposure(nothing), config).model


def _spline(
    grid: NDArray[np.float32], style: InterpStyle, profile: FitProfile
) -> core.SplineBackground:
    ny, nx = grid.shape
    return core.SplineBackground(
        values=grid,
        errors=np.ones_like(grid),
        counts=np.ones(grid.shape, dtype=np.int32),
        width=nx * _BIN,
        height=ny * _BIN,
        interp_style=style,
        undersample_style=UndersampleStyle.REDUCE_INTERP_ORDER,
        profile=profile,
    )
