"""The choice of a reference against LSST's output, against the plain twin, and by its laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import (
    MaskedImage,
    MatchConfig,
    NoExposuresError,
    NoReferenceError,
    SelectionStatistics,
    reference_costs,
    select_reference,
    selection_statistics,
)
from tests.core import golden, twins
from tests.core.exposures import LAW, PLANES, flat, noisy, with_bits

STATISTICS = st.builds(
    SelectionStatistics,
    st.integers(-80_000, 80_000).map(lambda n: n / 8) | st.just(math.nan),
    st.integers(0, 80_000).map(lambda n: n / 8) | st.just(math.nan),
    st.integers(0, 100_000).map(float),
)


def golden_exposures(case: dict[str, Any]) -> list[MaskedImage | None]:
    """Return the exposures of a case, None where LSST's could not be had."""
    arrays = golden.load(case["file"])
    return [
        None if number in case["placeholders"] else golden_exposure(arrays, number)
        for number in range(case["n"])
    ]


def golden_exposure(arrays: golden.Arrays, number: int) -> MaskedImage:
    """Return one exposure of a case; its variance plane is not looked at."""
    image = arrays[f"image{number}"]
    return MaskedImage(image, arrays[f"mask{number}"], np.zeros_like(image), golden.PLANES)


@pytest.mark.shared
def test_choices_are_lsst_s() -> None:
    """Statistics, costs and choice are the compiled LSST code's, and so are the refusals."""
    seen = 0
    for case in golden.cases("selectRefExposure"):
        seen += 1
        exposures, config = golden_exposures(case), golden.config_of(case)
        if "error" in case:
            with pytest.raises(golden.error_type(case["error"]["type"])):
                select_reference(exposures, config)
            continue
        check_choice(exposures, config, case)
    assert seen == 12


def check_choice(
    exposures: list[MaskedImage | None], config: MatchConfig, case: dict[str, Any]
) -> None:
    """Compare a choice with LSST's."""
    arrays = golden.load(case["file"])
    choice = select_reference(exposures, config)
    assert choice.index == case["result"]["index"]
    np.testing.assert_allclose(choice.costs, arrays["cost"], rtol=1e-12)
    for number, exposure in enumerate(exposures):
        if exposure is not None:
            found = selection_statistics(exposure, config)
            ours = [found.mean, found.variance, found.count]
            theirs = [arrays[name][number] for name in ("mean", "variance", "npoint")]
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@LAW
@given(st.lists(STATISTICS, min_size=1, max_size=6))
def test_costs_agree_with_the_twin(statistics: list[SelectionStatistics]) -> None:
    """Costs are the formula's, and the first of the least is chosen."""
    config = MatchConfig()
    plain = [(one.mean, one.variance, one.count) for one in statistics]
    expected = twins.costs(plain, config)
    if all(math.isnan(cost) for cost in expected):
        with pytest.raises(NoReferenceError):
            reference_costs(statistics, config)
        return
    choice = reference_costs(statistics, config)
    np.testing.assert_allclose(choice.costs, expected, rtol=1e-12)
    best = min(cost for cost in choice.costs if not math.isnan(cost))
    assert choice.index == choice.costs.index(best)


@LAW
@given(st.permutations(range(5)))
def test_exposures_have_no_order(order: list[int]) -> None:
    """Other places in the sequence permute the costs and choose the same exposure."""
    exposures = [noisy(seed, 30, 30) for seed in range(5)]
    config = MatchConfig()
    first = select_reference(exposures, config)
    other = select_reference([exposures[place] for place in order], config)
    assert [first.costs[place] for place in order] == list(other.costs)
    assert order[other.index] == first.index


def test_selecting_is_measuring_and_weighing() -> None:
    """select_reference is reference_costs of selection_statistics, None for what is missing."""
    exposures = [noisy(1, 30, 40), None, noisy(2, 40, 30)]
    config = MatchConfig(best_ref_weight_level=0.9)
    measured = [None if one is None else selection_statistics(one, config) for one in exposures]
    assert repr(select_reference(exposures, config)) == repr(reference_costs(measured, config))
    assert math.isnan(select_reference(exposures, config).costs[1])


def test_the_quieter_of_two_is_the_reference() -> None:
    """At equal level and coverage the exposure with less variance is chosen."""
    rng = np.random.default_rng(6)
    loud, quiet = (flat(100 + rng.normal(0, sigma, (50, 50))) for sigma in (5.0, 2.0))
    assert select_reference([loud, quiet], MatchConfig()).index == 1


def test_the_fuller_of_two_is_the_reference() -> None:
    """Of two equal skies the one with more good pixels is chosen, by its planes' names."""
    rng = np.random.default_rng(7)
    image = 100 + rng.normal(0, 2, (50, 50))
    half = with_bits(np.zeros((50, 50), dtype=np.int32), image > 101, PLANES["DETECTED"])
    edge = with_bits(np.zeros((50, 50), dtype=np.int32), image > 101, PLANES["EDGE"])
    config = MatchConfig(best_ref_weight_variance=0.0, best_ref_weight_level=0.0)
    choice = select_reference([flat(image, half), flat(image, edge)], config)
    assert choice.index == 1
    assert selection_statistics(flat(image, edge), config).count == 2500


def test_pixels_that_are_not_finite_do_not_count() -> None:
    """NaN and infinities leave the figures of the other pixels, whatever the masks say."""
    image = np.full((10, 10), 3.0, dtype=np.float32)
    image[0, :3] = np.nan, np.inf, -np.inf
    found = selection_statistics(flat(image), MatchConfig())
    assert found == SelectionStatistics(3.0, 0.0, 97.0)


def test_an_exposure_without_good_pixels_is_never_chosen() -> None:
    """An empty exposure costs NaN, and takes the coverage term from all others (LSST's way)."""
    empty = flat(np.full((9, 9), np.nan))
    good = [noisy(3, 30, 30, bad) for bad in (0.1, 0.5)]
    config = MatchConfig(best_ref_weight_variance=0.0, best_ref_weight_level=0.0)
    choice = select_reference([empty, *good], config)
    assert math.isnan(choice.costs[0])
    assert choice.costs[1:] == (0.0, 0.0)
    assert choice.index == 1


def test_all_missing_is_no_reference_and_nothing_is_no_exposures() -> None:
    """None at all can be the reference of missing exposures; an empty list is its own error."""
    with pytest.raises(NoReferenceError):
        select_reference([None, None], MatchConfig())
    with pytest.raises(NoExposuresError):
        select_reference([], MatchConfig())
