"""Slow plain twin of a whole match (MATCHING.md sections 1, 7 and 8)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core import MaskedImage, MatchConfig
from tests.core import twins_chebyshev as chebyshev
from tests.core.twins import NAN, Rows, clipped_moments, f32, grid, image, plain_moments, tiles

__all__ = ["Fitted", "NotFiniteError", "TwinMatch", "accepted", "fit", "match"]


class NotFiniteError(RuntimeError):
    """The model has a pixel without a number."""


@dataclass
class Fitted:
    """A model as lists; of a polynomial with order, weighting and matrix of its fit."""

    values: Rows
    errors: Rows
    counts: list[list[int]]
    image: Rows
    order: int | None = None
    weighted: bool | None = None
    matrix: Rows | None = None


@dataclass
class TwinMatch:
    """What a match gives, as lists."""

    model: Fitted
    fit_rms: float
    matched_mse: float
    diff_im_var: float


def match(reference: MaskedImage, science: MaskedImage, config: MatchConfig) -> TwinMatch:
    """Match two exposures pixel by pixel; what LSST refuses is a ValueError or RuntimeError."""
    height, width = science.shape
    if config.use_polynomial:
        chebyshev.conditions(width, height, config)
    if reference.shape != science.shape:
        raise RuntimeError("different dimensions")
    pixels = accepted(reference, science, config)
    model = fit(pixels, config)
    if not all(math.isfinite(value) for row in model.image for value in row):
        raise NotFiniteError
    residuals = [z - model.image[int(y)][int(x)] for x, y, z, _ in tiles(pixels, config)]
    squares = [value**2 for value in residuals if not math.isnan(value)]
    return TwinMatch(
        model,
        math.sqrt(math.fsum(squares) / len(squares)) if squares else NAN,
        _mean_square(pixels, model.image),
        _variance(reference, science, config),
    )


def accepted(reference: MaskedImage, science: MaskedImage, config: MatchConfig) -> Rows:
    """Difference in float32, NaN where a pixel is flagged in either."""
    flagged = _flagged(reference, science, config)
    diff = _combined(reference.image.tolist(), science.image.tolist(), -1.0)
    return [
        [NAN if bad else pixel for bad, pixel in zip(row, pixels, strict=True)]
        for row, pixels in zip(flagged, diff, strict=True)
    ]


def fit(pixels: Rows, config: MatchConfig) -> Fitted:
    """Fit the model of a difference, whatever comes out."""
    height, width = len(pixels), len(pixels[0])
    if config.use_polynomial:
        return _polynomial(pixels, width, height, config)
    values, errors, counts = grid(pixels, config)
    if all(math.isnan(value) for row in values for value in row):
        raise ValueError("no overlap")
    style, undersample = config.interp_style, config.undersample_style
    return Fitted(values, errors, counts, image(values, width, height, style, undersample))


def _polynomial(pixels: Rows, width: int, height: int, config: MatchConfig) -> Fitted:
    used = chebyshev.coverage(tiles(pixels, config), config)
    values, errors, counts = grid(pixels, config, used.samples)
    size = (width, height)
    weights = chebyshev.weights(errors, weighted=used.weighted)
    matrix, right = chebyshev.normal_equations(values, weights, size, used.order)
    model = chebyshev.image(chebyshev.solution(matrix, right), used.order, width, height)
    return Fitted(values, errors, counts, model, used.order, used.weighted, matrix)


def _mean_square(pixels: Rows, model: Rows) -> float:
    left = [
        f32(pixel - fitted)
        for row, line in zip(pixels, model, strict=True)
        for pixel, fitted in zip(row, line, strict=True)
    ]
    n, mean, variance = plain_moments([value for value in left if math.isfinite(value)])
    return (n - 1) / n * variance + mean**2 if n else NAN


def _variance(reference: MaskedImage, science: MaskedImage, config: MatchConfig) -> float:
    """Clipped mean of the variances; a pixel's own NaN in the image does not matter."""
    flagged = _flagged(reference, science, config)
    planes = _combined(reference.variance.tolist(), science.variance.tolist(), 1.0)
    good = [
        value
        for row, values in zip(flagged, planes, strict=True)
        for bad, value in zip(row, values, strict=True)
        if not bad and math.isfinite(value)
    ]
    return clipped_moments(good, config.num_sigma_clip, config.num_iter)[1]


def _flagged(reference: MaskedImage, science: MaskedImage, config: MatchConfig) -> list[list[bool]]:
    return [
        [a or b for a, b in zip(row, other, strict=True)]
        for row, other in zip(_flags(reference, config), _flags(science, config), strict=True)
    ]


def _flags(exposure: MaskedImage, config: MatchConfig) -> list[list[bool]]:
    numbers = [number for name, number in exposure.planes.items() if name in config.bad_mask_planes]
    return [[any(p >> number & 1 for number in numbers) for p in row] for row in _mask(exposure)]


def _mask(exposure: MaskedImage) -> list[list[int]]:
    rows: list[list[int]] = exposure.mask.tolist()
    return rows


def _combined(first: Rows, second: Rows, sign: float) -> Rows:
    return [
        [f32(a + sign * b) for a, b in zip(row, other, strict=True)]
        for row, other in zip(first, second, strict=True)
    ]
