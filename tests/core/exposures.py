"""Planted exposures: skies, noise and masks that a test knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import MaskedImage, MatchConfig

__all__ = ["LAW", "PLANES", "configs", "flat", "model_of", "noisy", "pairs", "plane", "with_bits"]

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
def pairs(draw: st.DrawFn) -> tuple[MaskedImage, MaskedImage]:
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


def model_of(exposure: MaskedImage, **changes: Any) -> MaskedImage:
    """Return an exposure with some of its arguments changed."""
    return replace(exposure, **changes)
