"""How well the mean level of a model is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core import Background, FitProfile, MatchConfig
from core.background import SplineBackground
from core.chebyshev import ChebyshevBackground
from core.skylevel import level_error
from ops.skyconstants.planes import leave, pair, white_noise

RNG = np.random.default_rng
SIDE = 72
SPLINE = MatchConfig(bin_size=12, interp_style="LINEAR")  # type: ignore[arg-type]  # a name will do
POLYNOMIAL = MatchConfig(bin_size=12, use_polynomial=True, order=2)
CONFIGS = [
    SPLINE,
    POLYNOMIAL,
    replace(POLYNOMIAL, order=4, approx_weighting=False),
    replace(POLYNOMIAL, order=0),
]


def gaps(seed: int) -> NDArray[np.bool_]:
    """Return bad pixels that leave some bins empty, one column of them."""
    bad = np.zeros((SIDE, SIDE), dtype=np.bool_)
    bad[:24, :12] = bad[48:60, 24:48] = True
    bad[:, 60:] = True
    bad[36:48, 12:24] = True
    bad |= RNG(seed).random(bad.shape) < 0.1
    return bad


def model_of(config: MatchConfig, seed: int, bad: NDArray[np.bool_] | None = None) -> Background:
    """Return the model of white noise."""
    return leave(*pair(white_noise(RNG(seed), SIDE, SIDE), bad), config).model


def response(model: Background, j: int, i: int) -> float:
    """Return by how much the model's mean follows the value of a bin."""
    values = np.where(np.isnan(model.values), np.nan, 0.0).astype(np.float32)
    values[j, i] = 1.0
    if isinstance(model, SplineBackground):
        return float(replace(model, values=values).image().mean(dtype=np.float64))
    assert isinstance(model, ChebyshevBackground)
    shifted = model_of_values(model, values)
    return float(shifted.image().mean(dtype=np.float64))


def model_of_values(model: ChebyshevBackground, values: NDArray[np.float32]) -> ChebyshevBackground:
    """Fit a polynomial anew by plain weighted least squares."""
    ny, nx = values.shape
    used = np.isfinite(values) & (np.isfinite(model.errors) | (not model.weighted))
    y, x = (np.mgrid[:ny, :nx] + 0.5) * 2 / np.array([ny, nx])[:, np.newaxis, np.newaxis] - 1
    terms = [
        np.cos((n - j) * np.arccos(x[used])) * np.cos(j * np.arccos(y[used]))
        for n in range(model.order_used + 1)
        for j in range(n + 1)
    ]
    roots = np.sqrt(1 / model.errors[used].astype(float)) if model.weighted else np.ones(used.sum())
    found = np.linalg.lstsq((np.array(terms) * roots).T, values[used] * roots)[0]
    return replace(model, coefficients=found)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("gappy", [False, True])
def test_the_error_is_that_of_the_response(config: MatchConfig, *, gappy: bool) -> None:
    """The level's error adds up what each bin's error does to the mean of the image."""
    model = model_of(config, 3, gaps(4) if gappy else None)
    known = np.isfinite(model.values) & np.isfinite(model.errors)
    total = sum((response(model, j, i) * model.errors[j, i]) ** 2 for j, i in np.argwhere(known))
    assert level_error(model) == pytest.approx(math.sqrt(total), rel=1e-4)


@pytest.mark.parametrize("profile", list(FitProfile))
@pytest.mark.parametrize("style", ["CONSTANT", "LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE"])
@pytest.mark.parametrize("gappy", [False, True])
def test_levels_scatter_by_their_error(profile: FitProfile, style: str, *, gappy: bool) -> None:
    """Over 200 matches of noise the mean of the model scatters by the error that is told."""
    settings = {"bin_size": 12, "interp_style": style, "profile": profile}
    config = MatchConfig.from_mapping(settings)
    bad = gaps(4) if gappy else None
    models = [model_of(config, seed, bad) for seed in range(200)]
    scatter = np.std([model.image().mean(dtype=np.float64) for model in models])
    told = np.median([level_error(model) for model in models])
    swings = gappy and style == "AKIMA_SPLINE" and profile == FitProfile.LSST
    assert 0.85 < scatter / told < (1.5 if swings else 1.2)


@pytest.mark.parametrize("style", ["CONSTANT", "LINEAR", "AKIMA_SPLINE"])
def test_half_an_image_tells_little_of_the_other(style: str) -> None:
    """In profile survey the error counts what a plane through half of the image adds."""
    settings = {"bin_size": 12, "interp_style": style, "profile": "survey"}
    bad = np.zeros((SIDE, SIDE), dtype=np.bool_)
    bad[:, SIDE // 2 :] = True
    models = [model_of(MatchConfig.from_mapping(settings), seed, bad) for seed in range(200)]
    scatter = np.std([model.image().mean(dtype=np.float64) for model in models])
    assert 0.85 < scatter / np.median([level_error(model) for model in models]) < 1.2


@pytest.mark.parametrize("profile", list(FitProfile))
def test_polynomials_follow_what_weighs_most(profile: FitProfile) -> None:
    """Under noise that varies, the level's error has the weights of the fit: 1 / e, or 1 / e^2."""
    noise = white_noise(RNG(3), SIDE, SIDE)
    noise[:, SIDE // 2 :] *= 8.0
    config = replace(POLYNOMIAL, order=1, profile=profile)
    model = leave(*pair(noise), config).model
    assert isinstance(model, ChebyshevBackground)
    sigmas = model.errors * np.sqrt(model.counts)
    errors = np.maximum(sigmas, np.median(sigmas) / 2) / np.sqrt(model.counts)
    weights = 1 / model.errors if profile == FitProfile.LSST else errors**-2.0
    y, x = (np.mgrid[:6, :6] + 0.5) / 3 - 1
    terms = np.array([np.ones(36), x.ravel(), y.ravel()]) * np.sqrt(weights.ravel())
    shares = np.linalg.pinv(terms.T)[0] * np.sqrt(weights.ravel())
    expected = np.sqrt(np.sum((shares * model.errors.ravel()) ** 2))
    assert level_error(model) == pytest.approx(expected, rel=1e-5)


def test_a_bin_of_one_pixel_has_its_noise() -> None:
    """A bin whose one pixel tells no error adds that of a typical one, unless the fit drops it."""
    bad = gaps(4)
    bad[40, 20] = False
    model = model_of(SPLINE, 3, bad)
    assert np.isnan(model.errors[3, 1])
    assert model.counts[3, 1] == 1
    known = np.isfinite(model.errors)
    total = sum((response(model, j, i) * model.errors[j, i]) ** 2 for j, i in np.argwhere(known))
    expected = math.hypot(math.sqrt(total), response(model, 3, 1))
    assert level_error(model) == pytest.approx(expected, rel=0.05)
    weighted = model_of(POLYNOMIAL, 3, bad)
    dropped = replace(weighted, values=np.where(known, weighted.values, np.float32(np.nan)))
    assert level_error(weighted) == level_error(dropped)


def test_without_errors_nothing_is_told() -> None:
    """Where no bin has an error the level's is not known."""
    model = model_of(SPLINE, 1)
    nothing = np.full_like(model.errors, np.nan)
    assert math.isnan(level_error(replace(model, errors=nothing)))


def test_undetermined_polynomials_have_no_error() -> None:
    """If the bins do not determine the coefficients, nor do they the error."""
    model = model_of(POLYNOMIAL, 1)
    errors = np.zeros_like(model.errors)
    assert math.isnan(level_error(replace(model, errors=errors)))
