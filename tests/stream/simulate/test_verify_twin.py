"""The check of a group against a slow plain twin, on whatever truth and models there may be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream.simulate import Truth, check_group

Models = dict[int, NDArray[np.float32]]


@st.composite
def groups(draw: st.DrawFn) -> tuple[dict[int, Truth], Models, int, int]:
    """Draw truth, models, a reference and the side of a cell."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 13), st.integers(1, 13)))
    visits = draw(st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True))
    share = draw(st.sampled_from([0.0, 0.08, 0.12, 0.5, 1.0]))
    truth = {
        visit: Truth(
            sky=rng.normal(0.0, 20.0, shape).astype(np.float32),
            sources=np.zeros(shape, dtype=np.float32),
            good=np.asarray(rng.uniform(size=shape) < share),
            noise=float(rng.uniform(1.0, 4.0)),
        )
        for visit in visits
    }
    with_model = draw(st.sets(st.sampled_from(visits)))
    models = {v: rng.normal(0.0, 20.0, shape).astype(np.float32) for v in sorted(with_model)}
    return truth, models, draw(st.sampled_from(visits)), draw(st.integers(1, 7))


def slow_errors(truth: dict[int, Truth], models: Models, reference: int) -> dict[int, float]:
    """Return the rms of each visit but the reference, pixel by pixel."""
    found = {}
    for visit, one in truth.items():
        squares = []
        for place in np.ndindex(one.sky.shape):
            if one.good[place] and truth[reference].good[place] and visit in models:
                planted = float(truth[reference].sky[place]) - float(one.sky[place])
                squares.append((float(models[visit][place]) - planted) ** 2)
        if visit != reference:
            found[visit] = math.sqrt(sum(squares) / len(squares)) if squares else math.inf
    return found


def slow_spread(
    truth: dict[int, Truth], models: Models, reference: int, cell: int
) -> tuple[float, float]:
    """Return spread and extent of the visits' skies over cells, cell by cell."""
    height, width = truth[reference].sky.shape
    variances, extents = [], []
    for y in range(0, height, cell):
        for x in range(0, width, cell):
            box = np.s_[y : y + cell, x : x + cell]
            levels = [0.0]
            for visit in truth:
                both = truth[visit].good[box] & truth[reference].good[box]
                if visit == reference or both.sum() <= 0.1 * both.size:
                    continue
                sky = truth[visit].sky[box].astype(float) - truth[reference].sky[box]
                if visit in models:
                    sky = sky + models[visit][box]
                levels.append(float(sky[both].mean()))
            if len(levels) > 1:
                variances.append(float(np.var(levels, ddof=1)))
                extents.append(max(levels) - min(levels))
    if not variances:
        return math.nan, math.nan
    return math.sqrt(sum(variances) / len(variances)), sum(extents) / len(extents)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(groups())
def test_the_check_is_that_of_the_slow_way(
    drawn: tuple[dict[int, Truth], Models, int, int],
) -> None:
    """Errors, spreads before and after, and the worst visit agree with loops over pixels."""
    truth, models, reference, cell = drawn
    check = check_group(truth, models, reference, cell)
    errors = slow_errors(truth, models, reference)
    assert [one.visit for one in check.visits] == sorted(errors)
    for one in check.visits:
        assert one.rms == pytest.approx(errors[one.visit], rel=1e-6)
        assert one.noise == truth[one.visit].noise
    if len(truth) == 1:
        return
    for spread, used in ((check.before, {}), (check.after, models)):
        slow = slow_spread(truth, used, reference, cell)
        assert (spread.std, spread.peak_to_peak) == pytest.approx(slow, rel=1e-5, nan_ok=True)
        assert spread.noise == pytest.approx(np.median([t.noise for t in truth.values()]))
    in_noise = {v: errors[v] / truth[v].noise for v in errors}
    assert check.worst.rms_in_noise == pytest.approx(max(in_noise.values()), rel=1e-6)
    mean_square = np.mean(np.square(list(in_noise.values())))
    assert check.rms_in_noise == pytest.approx(math.sqrt(mean_square), rel=1e-6)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(groups(), st.floats(-50.0, 50.0))
def test_a_common_level_changes_nothing(
    drawn: tuple[dict[int, Truth], Models, int, int], level: float
) -> None:
    """A sky that all visits share is in no error and no spread."""
    truth, models, reference, cell = drawn
    lifted = {
        v: Truth((t.sky.astype(float) + level).astype(np.float32), t.sources, t.good, t.noise)
        for v, t in truth.items()
    }
    one, two = (check_group(t, models, reference, cell) for t in (truth, lifted))
    pairs = [
        (one.before.std, two.before.std),
        (one.after.peak_to_peak, two.after.peak_to_peak),
        *((a.rms, b.rms) for a, b in zip(one.visits, two.visits, strict=True)),
    ]
    for first, second in pairs:
        assert first == pytest.approx(second, abs=1e-4, nan_ok=True)


def test_a_bias_has_its_sign() -> None:
    """A model too high has a positive bias, one too low a negative."""
    flat = np.zeros((8, 8), dtype=np.float32)
    truth = {v: Truth(flat, flat, np.ones((8, 8), dtype=bool), 1.0) for v in (1, 2, 3)}
    check = check_group(truth, {2: flat + np.float32(0.5), 3: flat - np.float32(0.25)}, 1)
    assert [one.bias for one in check.visits] == [0.5, -0.25]
