"""Planted exposures: skies, noise and masks that a test knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import GridStatistic, InterpStyle, MaskedImage, MatchConfig, UndersampleStyle

__all__ = [
    "LAW",
    "PLANES",
    "Pair",
    "any_configs",
    "any_pairs",
    "configs",
    "each_plane",
    "flat",
    "holed",
    "noisy",
    "pairs",
    "plane",
    "polynomials",
    "skies",
    "strips",
    "with_bits",
]

Pair = tuple[MaskedImage, MaskedImage]

PLANES = {"NO_DATA": 0, "DETECTED": 3, "EDGE": 5, "CR": 31}

LAW = settings(
    max_examples=50,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def flat(
    image: NDArray[Any],
    mask: NDArray[Any] | None = None,
    variance: float = 1.0,
    planes: Mapping[str, int] = PLANES,
) -> MaskedImage:
    """Return an exposure of an image, with a flat variance."""
    return MaskedImage(
        np.asarray(image, dtype=np.float32),
        np.zeros(image.shape, dtype=np.int32) if mask is None else mask,
        np.full(image.shape, variance, dtype=np.float32),
        planes,
    )


def plane(height: int, width: int, a: float, b: float, level: float = 0.0) -> NDArray[np.float64]:
    """Return level + a x + b y on every pixel."""
    y, x = np.mgrid[:height, :width]
    return np.asarray(level + a * x + b * y, dtype=np.float64)


def with_bits(mask: NDArray[Any], where: NDArray[np.bool_], number: int) -> NDArray[np.int32]:
    """Return a mask with one more bit set."""
    bits: NDArray[np.int32] = mask.astype(np.int64).astype(np.uint32).view(np.int32)
    value = np.uint32(1 << number).astype(np.int32)
    return np.where(where, bits | value, bits)


def noisy(seed: int, height: int, width: int, bad: float = 0.2) -> MaskedImage:
    """Return noise on a sloping sky in steps of 1/16; some pixels are masked, some not finite."""
    rng = np.random.default_rng(seed)
    sky = plane(height, width, rng.normal(0, 0.3), rng.normal(0, 0.3), rng.normal(0, 200))
    image = np.round((sky + rng.normal(0, 10, sky.shape)) * 16) / 16
    mask = np.zeros(sky.shape, dtype=np.int32)
    for number in PLANES.values():
        mask = with_bits(mask, rng.random(sky.shape) < bad / len(PLANES), number)
    image[rng.random(sky.shape) < bad / 8] = np.nan
    image[rng.random(sky.shape) < bad / 16] = np.inf
    variance = np.round(rng.uniform(50, 150, sky.shape) * 16) / 16
    variance[rng.random(sky.shape) < bad / 16] = np.nan
    return MaskedImage(image.astype(np.float32), mask, variance.astype(np.float32), PLANES)


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """Two exposures of one shape, 20 - 60 pixels a side, from a seed."""
    seed = draw(st.integers(0, 10_000))
    height, width = draw(st.integers(20, 60)), draw(st.integers(20, 60))
    bad = draw(st.sampled_from([0.0, 0.2, 0.8]))
    return noisy(seed, height, width, bad), noisy(seed + 1, height, width, bad)


@st.composite
def configs(draw: st.DrawFn) -> MatchConfig:
    """Every statistic and style, with bins of a few pixels."""
    return MatchConfig.from_mapping(
        {
            "grid_statistic": draw(st.sampled_from(["MEANCLIP", "MEAN", "MEDIAN"])),
            "interp_style": draw(
                st.sampled_from(["AKIMA_SPLINE", "NATURAL_SPLINE", "LINEAR", "CONSTANT"])
            ),
            "bin_size": draw(st.integers(4, 25)),
            "num_sigma_clip": draw(st.integers(2, 4)),
            "num_iter": draw(st.integers(1, 3)),
        }
    )


def each_plane(
    exposure: MaskedImage, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> MaskedImage:
    """Return an exposure with the same done to its three planes."""
    image, mask, variance = exposure.image, exposure.mask, exposure.variance
    return replace(exposure, image=change(image), mask=change(mask), variance=change(variance))


# --- anything that can be matched

LEVELS = [0.0, -17.0, 0.1, 1e7, 3e37]
KINDS = ["noise", "noise", "constant", "few levels", "tiny", "huge", "subnormal"]
GAPS = ["none", "none", "some", "some", "columns", "corner", "blocks", "nearly all"]
SIDES = [1, 2, 3, 5, 8, 13, 19, 24, 31, 37, 40, 44, 48, 53, 57, 60]
"""Hypothesis would draw a whole number near 1 more often than not."""


def skies(seed: int, shape: tuple[int, int], kind: str) -> NDArray[np.float32]:
    """Return an image of some kind: from constant to levels at both ends of float32."""
    rng = np.random.default_rng(seed)
    level = LEVELS[seed % len(LEVELS)]
    if kind == "constant":
        return np.full(shape, level, dtype=np.float32)
    if kind == "few levels":
        return (rng.integers(0, 3, shape) - 17).astype(np.float32)
    if kind == "tiny":
        return (100 + rng.integers(-8, 8, shape) * 2.0**-16).astype(np.float32)
    scale = {"noise": 1.0, "huge": 1e36, "subnormal": 1e-41}[kind]
    slope = plane(*shape, rng.normal(0, 0.3), rng.normal(0, 0.3), rng.normal(0, 20))
    return np.asarray((slope + rng.normal(0, 10, shape)) * scale, dtype=np.float32)


def holed(seed: int, shape: tuple[int, int], gaps: str) -> NDArray[np.bool_]:
    """Return which pixels are bad: none, some, columns, a corner, blocks or nearly all."""
    rng = np.random.default_rng(seed)
    height, width = shape
    bad = np.zeros(shape, dtype=bool)
    if gaps == "columns":
        bad[:, width // 3 : width // 3 + max(1, width // 2)] = True
    elif gaps == "corner":
        bad[: (2 * height) // 3, : (2 * width) // 3] = True
    elif gaps == "blocks":
        blocks = rng.random((5, 5)) < 0.5
        bad |= np.kron(blocks, np.ones((12, 12), dtype=bool))[:height, :width]
    else:
        bad |= rng.random(shape) < {"none": 0.0, "some": 0.2, "nearly all": 0.97}[gaps]
    return bad


@st.composite
def any_pairs(draw: st.DrawFn) -> Pair:
    """Two exposures of one shape, 1 - 60 pixels a side, of any sky, gaps and variance."""
    seed = draw(st.integers(0, 10_000))
    shape = (draw(st.sampled_from(SIDES)), draw(st.sampled_from(SIDES)))
    kind, gaps = draw(st.sampled_from(KINDS)), draw(st.sampled_from(GAPS))
    first, second = (
        _exposure(seed + place, skies(seed + place, shape, kind), holed(seed + place, shape, gaps))
        for place in (0, 1)
    )
    return first, second


def _exposure(seed: int, image: NDArray[np.float32], bad: NDArray[np.bool_]) -> MaskedImage:
    """Return an exposure whose bad pixels are flagged, NaN or infinite, and bright."""
    rng = np.random.default_rng(seed)
    how = rng.integers(0, 4, image.shape)
    image, mask = image.copy(), np.zeros(image.shape, dtype=np.int32)
    image[bad & (how == 0)] = np.nan
    image[bad & (how == 1)] = -np.inf
    image[bad & (how > 1)] += np.float32(1e5)
    mask = with_bits(mask, bad & (how == 2), PLANES["NO_DATA"])
    mask = with_bits(mask, bad & (how == 3), PLANES["CR"])
    mask = with_bits(mask, rng.random(image.shape) < 0.1, PLANES["EDGE"])
    variance = (rng.integers(0, 400, image.shape) / 16).astype(np.float32)
    variance[rng.random(image.shape) < 0.02] = np.nan
    return MaskedImage(image, mask, variance, PLANES)


@st.composite
def any_configs(draw: st.DrawFn, shape: tuple[int, int]) -> MatchConfig:
    """Every setting that changes a model of this shape, the impossible for it among them."""
    bins = draw(st.sampled_from([1, 2, 3, 4, 5, 5, 6, 7, 8, 9]))
    size = max(1, -(-min(shape) // bins) + draw(st.sampled_from([0, 0, 0, 1, -1])))
    larger = draw(st.sampled_from([False] * 9 + [True]))
    return MatchConfig.from_mapping(
        {
            "use_polynomial": draw(st.booleans()),
            "order": max(0, bins - draw(st.sampled_from([0, 1, 1, 2, 2, 3, 3, 4, 5, 6]))),
            "grid_statistic": draw(st.sampled_from(list(GridStatistic))),
            "interp_style": draw(st.sampled_from(list(InterpStyle))),
            "undersample_style": draw(st.sampled_from(list(UndersampleStyle))),
            "bin_size": max(shape) + 1 if larger else size,
            "num_sigma_clip": draw(st.integers(1, 4)),
            "num_iter": draw(st.integers(1, 4)),
            "approx_weighting": draw(st.booleans()),
            "grid_stdev_epsilon": draw(st.sampled_from([0.0, 1e-8, 1.0])),
        }
    )


@st.composite
def strips(draw: st.DrawFn) -> Pair:
    """Two noisy exposures that share a strip alone: 6 - 25 pixels wide, along x or y."""
    seed = draw(st.integers(0, 10_000))
    first, second = noisy(seed, 48, 60, 0.1), noisy(seed + 1, 48, 60, 0.1)
    start, width = draw(st.integers(0, 20)), draw(st.integers(6, 25))
    hidden = np.ones(first.shape, dtype=bool)
    if draw(st.booleans()):
        hidden[:, start : start + width] = False
    else:
        hidden[start : start + width] = False
    return replace(first, mask=with_bits(first.mask, hidden, PLANES["NO_DATA"])), second


@st.composite
def polynomials(draw: st.DrawFn) -> MatchConfig:
    """Polynomials of orders that exposures of `pairs` carry."""
    size = draw(st.integers(4, 5))
    return MatchConfig.from_mapping(
        {
            "use_polynomial": True,
            "order": draw(st.integers(0, 3)),
            "grid_statistic": draw(st.sampled_from(list(GridStatistic))),
            "bin_size": size,
            "approx_weighting": draw(st.booleans()),
        }
    )
