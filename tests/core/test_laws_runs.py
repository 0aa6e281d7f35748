"""Laws of a run: its exposures do not know of one another, but for the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import (
    DimensionError,
    MaskedImage,
    MatchConfig,
    MatchResult,
    MissingExposureError,
    NoExposuresError,
    NoOverlapError,
    NoReferenceError,
    match_background,
    match_backgrounds,
    select_reference,
)
from tests.core.exposures import LAW, configs, flat, noisy, polynomials
from tests.core.matched import config_with, figures

MODELS = configs() | polynomials()
KINDS = st.sampled_from(["good", "good", "missing", "empty", "small"])


def exposure(seed: int, kind: str) -> MaskedImage | None:
    """Return an exposure of a kind."""
    if kind == "missing":
        return None
    if kind == "empty":
        return flat(np.full((40, 40), np.nan))
    return noisy(seed, 9 if kind == "small" else 40, 40)


def assert_alike(found: MatchResult, expected: MatchResult) -> None:
    """Require the same result to the bit, or the same kind of error."""
    assert found.is_reference == expected.is_reference
    assert found.model == expected.model
    assert type(found.error) is type(expected.error)
    for name in ("fit_rms", "matched_mse", "diff_im_var"):
        np.testing.assert_equal(getattr(found, name), getattr(expected, name))


def run(
    exposures: Sequence[MaskedImage | None], config: MatchConfig, reference: int = 0
) -> list[MatchResult]:
    """Return the results of a run with a given reference."""
    return list(match_backgrounds(exposures, config, reference))


@LAW
@given(st.lists(KINDS, max_size=4), KINDS, MODELS)
def test_another_exposure_changes_no_match_of_others(
    kinds: list[str], kind: str, config: MatchConfig
) -> None:
    """With the same reference, an exposure more, of whatever kind, leaves the others' bits."""
    others = [noisy(99, 40, 40), *(exposure(seed, one) for seed, one in enumerate(kinds))]
    before = run(others, config)
    after = run([*others, exposure(7, kind)], config)
    for found, expected in zip(after[:-1], before, strict=True):
        assert_alike(found, expected)


@LAW
@given(st.integers(0, 9), KINDS, MODELS)
def test_the_same_exposure_twice_has_the_same_result_twice(
    seed: int, kind: str, config: MatchConfig
) -> None:
    """A duplicate has its double's result, and one of the reference is a match of its own."""
    one, reference = exposure(seed, kind), noisy(99, 40, 40)
    results = run([reference, one, reference, one], config)
    assert_alike(results[1], results[3])
    assert results[0].is_reference
    twin = results[2]
    assert not twin.is_reference
    if twin.model is not None:
        assert not twin.model.image().any()


@LAW
@given(st.permutations(range(4)), MODELS)
def test_exposures_of_a_run_have_no_order(order: list[int], config: MatchConfig) -> None:
    """Another order of the exposures gives the same results in that order."""
    exposures: list[MaskedImage | None] = [noisy(seed, 40, 40) for seed in range(3)]
    exposures.append(None)
    first = match_backgrounds(exposures, config)
    other = match_backgrounds([exposures[place] for place in order], config)
    for place, result in zip(order, other, strict=True):
        assert_alike(result, first[place])


def test_a_run_matches_all_to_the_chosen_reference() -> None:
    """Each result is that of its pair; the reference's is empty; the choice is told."""
    exposures = [noisy(seed, 50, 40, 0.1) for seed in range(4)]
    config = config_with(bin_size=10)
    results = match_backgrounds(exposures, config)
    chosen = select_reference(exposures, config)
    assert results.choice == chosen
    assert len(results) == len(exposures)
    for place, (one, result) in enumerate(zip(exposures, results, strict=True)):
        assert result.is_reference == (place == chosen.index)
        if result.is_reference:
            assert (result.model, result.fit_rms, result.error) == (None, None, None)
            continue
        match = match_background(exposures[chosen.index], one, config)
        assert result.model == match.model
        assert [result.fit_rms, result.matched_mse, result.diff_im_var] == figures(match)


def test_one_failure_never_stops_the_others() -> None:
    """A missing, a foreign and an empty exposure fail alone, each with its reason."""
    good = [noisy(seed, 50, 40, 0.1) for seed in range(2)]
    exposures = [good[0], None, noisy(3, 9, 9), flat(np.full((50, 40), np.nan)), good[1]]
    results = match_backgrounds(exposures, config_with(bin_size=10), reference=0)
    kinds = [type(result.error) for result in results]
    nothing = type(None)
    assert kinds == [nothing, MissingExposureError, DimensionError, NoOverlapError, nothing]
    assert [result.model is None for result in results] == [True, True, True, True, False]
    assert results.choice is None
    assert results[0].is_reference


@pytest.mark.parametrize("index", [2, -1, 1])
def test_a_given_reference_must_exist(index: int) -> None:
    """A reference beyond the exposures, before them or missing is refused by its index."""
    with pytest.raises(NoReferenceError, match=str(index)):
        match_backgrounds([noisy(1, 20, 20), None], MatchConfig(), reference=index)


def test_nothing_is_no_run() -> None:
    """Without exposures there is nothing to choose from."""
    with pytest.raises(NoExposuresError):
        match_backgrounds([], MatchConfig())
