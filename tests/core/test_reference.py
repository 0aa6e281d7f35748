"""The choice of a reference against LSST's output, against the plain twin, and by its laws."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import (
    ConfigError,
    FitProfile,
    ImageTypeError,
    MaskedImage,
    MatchConfig,
    NoExposuresError,
    NoReferenceError,
    ReferenceChoice,
    ScalerError,
    SelectionStatistics,
    reference_costs,
    scaled,
    select_reference,
    selection_statistics,
)
from core.level import sky_level
from tests.core import golden, twins
from tests.core.exposures import LAW, PLANES, flat, noisy, plane, with_bits

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


# --- quirks of LSST's cost, told


def told(
    statistics: list[tuple[float, float, float]], **settings: float
) -> tuple[ReferenceChoice, str]:
    """Return the choice among (mean, variance, count), and its warnings as one text."""
    config = MatchConfig.from_mapping(dict(settings))
    choice = reference_costs([SelectionStatistics(*one) for one in statistics], config)
    return choice, "; ".join(choice.warnings)


def test_an_ordinary_choice_has_no_warnings() -> None:
    """Positive levels and good pixels everywhere: nothing is odd."""
    choice, warnings = told([(10.0, 4.0, 100.0), (12.0, 3.0, 90.0), (0.5, 9.0, 95.0)])
    assert (warnings, choice.warnings) == ("", ())


def test_negative_levels_are_told() -> None:
    """With all levels negative the brightest sky is preferred, and the warning says so."""
    choice, warnings = told([(-10.0, 4.0, 100.0), (-5.0, 4.0, 100.0)])
    assert choice.index == 1
    assert "all levels are negative" in warnings
    assert "brightest" in warnings
    _, mixed = told([(-0.1, 4.0, 100.0), (0.0, 4.0, 100.0), (0.5, 4.0, 100.0)])
    assert mixed == "1 of 3 levels negative: the level term has no lower bound"
    assert told([(0.0, 4.0, 100.0), (0.5, 4.0, 100.0)])[1] == ""


def test_a_largest_level_near_zero_is_told() -> None:
    """Where the level term dwarfs the others the warning gives its size."""
    choice, warnings = told([(-10.0, 99.0, 1.0), (0.01, 4.0, 100.0)])
    assert choice.index == 0
    assert "0.01, is near 0: the level term reaches 200" in warnings
    for level, dwarfs in ((-4.0, False), (-4.1, True)):  # 0.2 x 4 is what the others can reach
        assert ("near 0" in told([(level, 9.0, 9.0), (1.0, 4.0, 100.0)])[1]) == dwarfs


def test_a_largest_level_of_zero_is_told_whatever_its_weight() -> None:
    """0 times infinity is NaN too: a weight of 0 does not mend it."""
    choice, warnings = told([(-10.0, 4.0, 100.0), (0.0, 4.0, 100.0)])
    assert choice.costs[0] == -math.inf
    assert math.isnan(choice.costs[1])
    assert "the largest level is 0" in warnings
    with pytest.raises(NoReferenceError, match=r"All-NaN slice.*largest level is 0"):
        told([(-10.0, 4.0, 100.0), (0.0, 4.0, 100.0)], best_ref_weight_level=0.0)


def test_levels_without_weight_are_not_told() -> None:
    """Negative levels do not bite where the level has no weight, or no rival."""
    assert told([(-10.0, 4.0, 9.0), (-5.0, 4.0, 9.0)], best_ref_weight_level=0.0)[1] == ""
    assert told([(-10.0, 4.0, 9.0)])[1] == ""


@pytest.mark.parametrize("count", [0.0, 1.0])
def test_an_empty_exposure_is_told(count: float) -> None:
    """One that cannot be the reference, and has the fewest pixels, takes the coverage term."""
    empty = (math.nan, math.nan, count)
    choice, warnings = told([empty, (10.0, 4.0, 10.0), (10.0, 4.0, 100.0)])
    assert f"an exposure of {count:.0f} good pixels" in warnings
    assert math.isnan(choice.costs[0])
    no_weight = {"best_ref_weight_coverage": 0.0}
    assert told([empty, (10.0, 4.0, 10.0)], **no_weight)[1] == ""


def test_exposures_that_could_not_be_had_are_not_odd() -> None:
    """What is missing has no number in the cost, so it has no warning."""
    known = SelectionStatistics(10.0, 4.0, 100.0)
    assert reference_costs([None, known, None], MatchConfig()).warnings == ()


def test_variances_that_are_all_zero_are_told() -> None:
    """0 / 0 leaves no cost, and the error says why."""
    with pytest.raises(NoReferenceError, match="the variance of every exposure is 0"):
        told([(10.0, 0.0, 100.0), (12.0, 0.0, 90.0)])


# --- profile survey


SURVEY = MatchConfig(profile=FitProfile.SURVEY)


def survey_twin(statistics: list[SelectionStatistics], config: MatchConfig) -> list[float]:
    """Return MATCHING.md section 14's costs, from plain loops."""
    known = [s for s in statistics if not math.isnan(s.mean + s.variance) and s.count]
    costs = []
    for one in statistics:
        if not any(one is other for other in known):
            costs.append(math.nan)
            continue
        levels = [s.mean for s in known]
        spread, most = max(levels) - min(levels), max(s.variance for s in known)
        cost = config.best_ref_weight_coverage * (1 - one.count / max(s.count for s in known))
        cost += config.best_ref_weight_variance * (one.variance / most if most else 0)
        cost += config.best_ref_weight_level * ((one.mean - min(levels)) / spread if spread else 0)
        costs.append(cost)
    return costs


@LAW
@given(st.lists(STATISTICS, min_size=1, max_size=6))
def test_survey_s_costs_agree_with_the_twin(statistics: list[SelectionStatistics]) -> None:
    """Costs are the formula's, bounded by the weights, and the first of the least is chosen."""
    expected = survey_twin(statistics, SURVEY)
    if all(math.isnan(cost) for cost in expected):
        with pytest.raises(NoReferenceError, match=r"best_ref_min_coverage = 0\.2"):
            reference_costs(statistics, SURVEY)
        return
    choice = reference_costs(statistics, SURVEY)
    np.testing.assert_allclose(choice.costs, expected, rtol=1e-12, atol=1e-12)
    costs = [cost for cost in choice.costs if not math.isnan(cost)]
    assert min(costs) >= 0
    assert max(costs) <= 1 + 1e-12
    assert choice.index == choice.costs.index(min(costs))
    assert choice.warnings == ()


@LAW
@given(st.integers(0, 10_000), st.integers(-4000, 4000), st.integers(-12, 12))
def test_survey_s_costs_do_not_know_the_zero_level_nor_the_unit(
    seed: int, constant: int, power: int
) -> None:
    """A constant added to all exposures, or a factor for all, changes no cost."""
    exposures = [noisy(seed + place, 40, 50) for place in range(4)]
    first = select_reference(exposures, SURVEY)
    moved = [replace(one, image=one.image + np.float32(constant)) for one in exposures]
    np.testing.assert_allclose(select_reference(moved, SURVEY).costs, first.costs, atol=1e-3)
    factor = np.float32(2.0**power)
    scaled = [replace(one, image=one.image * factor) for one in exposures]
    np.testing.assert_allclose(select_reference(scaled, SURVEY).costs, first.costs, rtol=1e-12)


@LAW
@given(st.permutations(range(5)))
def test_survey_has_no_order(order: list[int]) -> None:
    """Other places in the sequence permute the costs and choose the same exposure."""
    exposures = [noisy(seed, 30, 30) for seed in range(5)]
    first = select_reference(exposures, SURVEY)
    other = select_reference([exposures[place] for place in order], SURVEY)
    assert [first.costs[place] for place in order] == list(other.costs)
    assert order[other.index] == first.index


def test_survey_is_not_moved_by_who_cannot_be_chosen() -> None:
    """An empty exposure, whatever it is, leaves the costs of the others as they were."""
    good = [noisy(3, 30, 30, bad) for bad in (0.1, 0.5)]
    alone = select_reference(good, SURVEY)
    empty, scarce = flat(np.full((30, 30), np.nan)), noisy(9, 30, 30, 2.5)
    assert selection_statistics(scarce, SURVEY).count < 0.2 * 900
    beside = select_reference([empty, *good, scarce, None], SURVEY)
    assert beside.costs[1:3] == alone.costs
    assert np.isnan([beside.costs[place] for place in (0, 3, 4)]).all()


def test_survey_s_floor_on_coverage_is_a_setting() -> None:
    """Below it an exposure is no candidate, at it and above it is; its level is told all the same.

    With none left, there is a NoReferenceError that names the setting.
    """
    image = np.full((40, 40), np.nan)
    image[:20, :20] = np.random.default_rng(8).normal(5, 1, (20, 20))
    quarter = flat(image)
    for floor, chosen in ((0.25, True), (0.26, False), (0.0, True)):
        config = replace(SURVEY, best_ref_min_coverage=floor)
        found = selection_statistics(quarter, config)
        assert (found.count, math.isfinite(found.variance)) == (400.0, chosen)
        assert found.mean == pytest.approx(5, abs=0.5)
        if not chosen:
            with pytest.raises(NoReferenceError, match=r"best_ref_min_coverage = 0\.26"):
                select_reference([quarter, None], config)


def test_survey_measures_what_sky_level_says() -> None:
    """Mean and variance are those about the plane, count that of LSST's profile."""
    exposure = noisy(4, 60, 50)
    found, sky = selection_statistics(exposure, SURVEY), sky_level(exposure, SURVEY)
    assert found == SelectionStatistics(sky.level, sky.variance, float(sky.count))
    assert found.count == selection_statistics(exposure, MatchConfig()).count


def test_survey_prefers_a_steady_sky_over_stars_and_gradients() -> None:
    """LSST's profile takes a gradient for noise and shuns it; survey looks at the noise.

    The figure: of two exposures, the one with half the noise and a gradient wins.
    """
    rng = np.random.default_rng(5)
    shape = (96, 96)
    noisier = flat(100 + rng.normal(0, 4, shape))
    tilted = flat(100 + rng.normal(0, 2, shape) + plane(*shape, 0.2, 0, -0.2 * 95 / 2))
    weights = {"best_ref_weight_level": 0.0}
    assert select_reference([noisier, tilted], MatchConfig.from_mapping(weights)).index == 0
    assert select_reference([noisier, tilted], replace(SURVEY, best_ref_weight_level=0)).index == 1


# --- scalers


def test_costs_are_those_of_scaled_exposures() -> None:
    """Scalers are applied before anything is measured; one that fails costs NaN."""
    exposures = [noisy(seed, 30, 30) for seed in range(4)]

    def fail(_: MaskedImage) -> MaskedImage:
        raise LookupError

    choice = select_reference(exposures, MatchConfig(), [2.0, None, fail, math.nan])
    by_hand = [scaled(exposures[0], 2.0), exposures[1], None, None]
    np.testing.assert_array_equal(choice.costs, select_reference(by_hand, MatchConfig()).costs)
    assert np.isnan(choice.costs[2:]).all()


def test_no_cost_is_worse_than_an_infinite_one() -> None:
    """An exposure without a cost is not chosen, even if the cost of all others is infinite."""
    dark = SelectionStatistics(-5.0, 1.0, 10.0)
    choice = reference_costs([None, dark, SelectionStatistics(-0.0, 1.0, 10.0)], MatchConfig())
    assert math.isinf(choice.costs[choice.index])


# -- wrong arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [None, {"bin_size": 64}, "lsst"])
def test_what_is_no_config_is_refused(config: Any) -> None:
    """The choice and its statistics refuse what is no configuration, by its name."""
    exposure = flat(np.arange(12.0).reshape(3, 4))
    with pytest.raises(ConfigError, match="config"):
        select_reference([exposure], config)
    with pytest.raises(ConfigError, match="config"):
        selection_statistics(exposure, config)


@pytest.mark.parametrize("exposure", [None, np.zeros((3, 3), np.float32)])
def test_what_is_no_exposure_has_no_statistics(exposure: Any) -> None:
    """Statistics of what is no exposure are refused, by its name."""
    with pytest.raises(ImageTypeError, match="exposure"):
        selection_statistics(exposure, MatchConfig())


def test_if_nothing_can_be_chosen_the_first_failure_is_told() -> None:
    """Where every scaler fails the sentence names the first that did, and it is the cause."""

    def broken(_: MaskedImage) -> MaskedImage:
        raise LookupError("no calibration")

    exposures = [flat(np.arange(12.0).reshape(3, 4))] * 2
    with pytest.raises(NoReferenceError, match=r"exposure 0: .*no calibration") as caught:
        select_reference(exposures, MatchConfig(), [broken, broken])
    assert isinstance(caught.value.__cause__, ScalerError)
