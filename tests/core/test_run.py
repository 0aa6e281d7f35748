"""Runs: one result an exposure, scalers, failures that stay alone, warnings, memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import (
    ConfigError,
    CoreError,
    FitProfile,
    ImageError,
    ImageTypeError,
    MaskedImage,
    MatchConfig,
    MatchResult,
    MissingExposureError,
    NoReferenceError,
    ScalerError,
    match_background,
    match_backgrounds,
    scaled,
    select_reference,
)
from tests.core.exposures import LAW, PLANES, configs, flat, noisy

CONFIG = MatchConfig(bin_size=12)
FIGURES = ("is_reference", "model", "fit_rms", "matched_mse", "diff_im_var")
SCALERS = st.one_of(
    st.none(),
    st.floats(0.1, 10),
    st.floats(0.1, 10).map(lambda number: np.full((40, 44), number)),
    st.floats(0.1, 10).map(lambda number: lambda exposure: scaled(exposure, number)),
    st.just(-1.0),
)


def exposures(count: int = 4) -> list[MaskedImage]:
    """Return exposures of one shape."""
    return [noisy(seed, 40, 44) for seed in range(count)]


def outcome(result: MatchResult) -> list[Any]:
    """Return the figures of a result, and the sentence of its error."""
    return [*(getattr(result, name) for name in FIGURES), result.error and str(result.error)]


def raising(error: BaseException) -> Callable[[MaskedImage], MaskedImage]:
    """Return a scaler that fails."""

    def fail(_: MaskedImage) -> MaskedImage:
        raise error

    return fail


# --- laws


@LAW
@given(configs(), st.permutations(range(5)), st.lists(SCALERS, min_size=5, max_size=5))
def test_permuting_exposures_permutes_results(
    config: MatchConfig, order: list[int], scalers: list[Any]
) -> None:
    """Exposures and their scalers in another order give the same results in that order."""
    scalers[0] = None  # one that can be the reference, in any draw
    many = [*exposures(4), None]
    first = match_backgrounds(many, config, scalers=scalers)
    other = match_backgrounds(
        [many[place] for place in order], config, scalers=[scalers[place] for place in order]
    )
    for place, result in zip(order, other, strict=True):
        assert outcome(result)[:5] == outcome(first[place])[:5]
        assert type(result.error) is type(first[place].error)


@LAW
@given(configs(), st.lists(st.floats(0.1, 10), min_size=3, max_size=3))
def test_scalers_do_what_scaling_by_hand_does(config: MatchConfig, scales: list[float]) -> None:
    """Numbers, arrays and callables give the bits of exposures that were scaled before."""
    many = exposures(3)
    by_hand = match_backgrounds(
        [scaled(one, scale) for one, scale in zip(many, scales, strict=True)], config
    )
    arrays = [np.full(many[0].shape, scale) for scale in scales]
    calls = [lambda exposure, scale=scale: scaled(exposure, scale) for scale in scales]
    for scalers in (scales, arrays, calls):
        found = match_backgrounds(many, config, scalers=scalers)
        assert list(map(outcome, found)) == list(map(outcome, by_hand))
        assert found.choice == by_hand.choice


@pytest.mark.parametrize("profile", list(FitProfile))
def test_the_choice_is_select_reference_s(profile: FitProfile) -> None:
    """A run chooses as select_reference does with the same scalers, in either profile."""
    config = replace(CONFIG, profile=profile)
    scalers = [2.0, None, 0.5, raising(LookupError())]
    results = match_backgrounds(exposures(), config, scalers=scalers)
    choice = select_reference(exposures(), config, scalers)
    assert results.choice is not None
    assert results.choice.index == choice.index
    np.testing.assert_array_equal(results.choice.costs, choice.costs)
    assert results[choice.index].is_reference


# --- a given reference


def test_a_given_reference_has_its_entry_or_a_scaler_of_its_own() -> None:
    """reference_scaler stands in for the reference's entry; without it the entry counts."""
    many, scalers = exposures(2), [3.0, 2.0]
    by_entry = match_backgrounds(many, CONFIG, 0, scalers)
    by_own = match_backgrounds(many, CONFIG, 0, scalers, 5.0)
    science = scaled(many[1], 2.0)
    assert by_entry[1].model == match_background(scaled(many[0], 3.0), science, CONFIG).model
    assert by_own[1].model == match_background(scaled(many[0], 5.0), science, CONFIG).model
    alone = match_backgrounds(many, CONFIG, 0, reference_scaler=3.0)
    assert alone[1].model == match_background(scaled(many[0], 3.0), many[1], CONFIG).model
    assert "reference_scaler" not in " ".join(by_own.warnings)


def test_a_chosen_reference_has_its_entry_alone() -> None:
    """Without a given reference, reference_scaler is not used, and a warning says so."""
    plain = match_backgrounds(exposures(), CONFIG)
    found = match_backgrounds(exposures(), CONFIG, reference_scaler=9.0)
    assert list(map(outcome, found)) == list(map(outcome, plain))
    assert "reference_scaler was not used" in found.warnings[-1]
    assert "reference_scaler" not in " ".join(plain.warnings)


@pytest.mark.parametrize("scaler", [0.0, raising(LookupError("gone"))])
def test_a_reference_that_cannot_be_scaled_ends_the_run(scaler: Any) -> None:
    """Nothing can be matched to it: NoReferenceError, from the scaler's own."""
    with pytest.raises(NoReferenceError, match="exposure 1 cannot be had") as caught:
        match_backgrounds(exposures(), CONFIG, 1, [None, scaler, None, None])
    assert isinstance(caught.value.__cause__, ScalerError)
    with pytest.raises(NoReferenceError, match="exposure 1 cannot be had"):
        match_backgrounds(exposures(), CONFIG, 1, reference_scaler=scaler)


# --- failures


@pytest.mark.parametrize("reference", [None, 0])
def test_a_failed_scaler_fails_alone(reference: int | None) -> None:
    """NaN in the choice, and an error in the place of a match; the others are as without it."""
    many = exposures()
    broken: list[Any] = [None, raising(LookupError("no zero point")), None, np.ones((3, 3))]
    config = replace(CONFIG, best_ref_weight_variance=0.0)
    found = match_backgrounds(many, config, reference, broken)
    others = match_backgrounds([many[0], None, many[2], None], config, reference)
    assert [outcome(found[place]) for place in (0, 2)] == [
        outcome(others[place]) for place in (0, 2)
    ]
    assert isinstance(found[1].error, ScalerError)
    assert "exposure 1 raised LookupError: no zero point" in str(found[1].error)
    assert isinstance(found[1].error.__cause__, LookupError)
    assert "exposure 3 has the shape (3, 3)" in str(found[3].error)
    if found.choice is not None:
        assert np.isnan([found.choice.costs[place] for place in (1, 3)]).all()


def test_whatever_goes_wrong_stays_with_its_exposure() -> None:
    """An error that nobody foresaw, and something that is no exposure, are results too."""

    class Odd(Sequence[MaskedImage | None]):
        @overload
        def __getitem__(self, index: int) -> MaskedImage | None: ...
        @overload
        def __getitem__(self, index: slice) -> Sequence[MaskedImage | None]: ...
        def __getitem__(self, index: int | slice) -> Any:
            if index == 1:
                raise OSError("the disk is gone")
            return [*exposures(1), None, "a file name", exposures(2)[1]][index]

        def __len__(self) -> int:
            return 4

    for reference in (None, 0):
        found = match_backgrounds(Odd(), CONFIG, reference)
        kinds = [type(result.error) for result in found]
        assert kinds == [type(None), OSError, ImageTypeError, type(None)]
        assert sum(result.model is not None for result in found) == 1


@pytest.mark.parametrize("reference", [None, 0])
@pytest.mark.parametrize("kind", [MemoryError, KeyboardInterrupt])
def test_a_lack_of_memory_ends_the_run(kind: type[BaseException], reference: int | None) -> None:
    """What the next exposure would meet as well, and what a user asks for, comes through."""
    with pytest.raises(kind):
        match_backgrounds(exposures(), CONFIG, reference, [None, raising(kind()), None, None])


def test_a_failed_exposure_has_nothing_but_its_error() -> None:
    """All figures are None for the reference and for failures."""
    found = match_backgrounds([*exposures(2), None], CONFIG, 0)
    assert outcome(found[0]) == [True, None, None, None, None, None]
    assert outcome(found[2])[:5] == [False, None, None, None, None]
    assert isinstance(found[2].error, MissingExposureError)
    assert isinstance(found[2].error, CoreError)


@pytest.mark.parametrize("config", [None, {"bin_size": 12}, "lsst"])
@pytest.mark.parametrize("reference", [None, 0])
def test_what_is_no_config_is_refused(config: Any, reference: int | None) -> None:
    """It ends the run as a ConfigError, rather than fail each exposure by itself."""
    with pytest.raises(ConfigError, match=r"^config = .*MatchConfig"):
        match_backgrounds(exposures(2), config, reference)


def test_why_there_is_no_reference_is_told() -> None:
    """If nothing can be chosen, what failed first is said, and is the cause."""
    broken: list[Any] = [raising(LookupError("no zero point")), -1.0]
    with pytest.raises(NoReferenceError, match=r"All-NaN.*exposure 0: .*no zero point") as caught:
        match_backgrounds(exposures(2), CONFIG, scalers=broken)
    assert isinstance(caught.value.__cause__, ScalerError)
    with pytest.raises(NoReferenceError, match=r"no exposure has a cost$") as plain:
        match_backgrounds([flat(np.full((40, 44), np.nan))], CONFIG)
    assert plain.value.__cause__ is None


def test_an_exposure_for_an_index_is_told_in_a_line() -> None:
    """A reference given as an exposure is refused without all of its pixels."""
    with pytest.raises(NoReferenceError, match="MaskedImage") as caught:
        match_backgrounds(exposures(2), CONFIG, exposures(1)[0])  # type: ignore[arg-type]  # the mistake itself
    assert len(str(caught.value)) < 120


def test_scalers_must_be_one_an_exposure() -> None:
    """Another number of scalers is refused before anything is done."""
    with pytest.raises(ImageError, match="scalers is of length 1: must be of length 4"):
        match_backgrounds(exposures(), CONFIG, scalers=[1.0])


# --- how often, and how much is held


class Counted:
    """A scaler that counts its calls, and knows how many of its exposures live."""

    alive = 0
    most = 0

    def __init__(self, *, broken: bool = False) -> None:
        self.calls = 0
        self.broken = broken

    def __call__(self, exposure: MaskedImage) -> MaskedImage:
        """Return the exposure with twice the light."""
        self.calls += 1
        if self.broken:
            raise LookupError
        Counted.alive += 1
        Counted.most = max(Counted.most, Counted.alive)
        made = replace(exposure, image=exposure.image * np.float32(2))
        weakref.finalize(made, Counted.gone)
        return made

    @staticmethod
    def gone() -> None:
        """Count one less."""
        Counted.alive -= 1


@pytest.fixture
def _nothing_alive() -> None:
    gc.collect()
    Counted.alive = Counted.most = 0


@pytest.mark.usefixtures("_nothing_alive")
def test_a_scaler_is_called_no_more_than_it_must() -> None:
    """With a given reference once; else once for the choice and once for the match, if it works."""
    scalers = [Counted(), Counted(broken=True), Counted(), Counted()]
    match_backgrounds(exposures(), CONFIG, 0, scalers)
    assert [one.calls for one in scalers] == [1, 1, 1, 1]
    match_backgrounds(exposures(), CONFIG, None, scalers)
    assert [one.calls for one in scalers] == [3, 2, 3, 3]


@pytest.mark.usefixtures("_nothing_alive")
@pytest.mark.parametrize("reference", [None, 2])
def test_one_scaled_exposure_is_held_beside_the_reference(reference: int | None) -> None:
    """However many exposures there are, failures among them, two are in memory at most."""
    many = [*exposures(6), *[flat(np.full((40, 44), np.nan))] * 2]
    found = match_backgrounds(many, CONFIG, reference, [Counted() for _ in many])
    assert Counted.most == 2
    assert Counted.alive == 0
    assert [result.error is None for result in found] == [True] * 6 + [False] * 2


def test_arguments_are_never_modified() -> None:
    """Whatever the scalers do, the planes that were given stay as they were."""
    many = exposures()

    def spoil(exposure: MaskedImage) -> MaskedImage:
        exposure.image.fill(1)
        exposure.mask.fill(-1)
        exposure.variance.fill(0)
        return exposure

    before = [(one.image.tobytes(), one.mask.tobytes(), one.variance.tobytes()) for one in many]
    match_backgrounds(many, CONFIG, 0, [2.0, spoil, np.full((40, 44), 3.0), None])
    assert before == [
        (one.image.tobytes(), one.mask.tobytes(), one.variance.tobytes()) for one in many
    ]


# --- warnings


def test_planes_that_no_exposure_has_are_told() -> None:
    """A bad mask plane absent in one file is accepted; absent in all it is warned of, once."""
    names = ("SAT", "NO_DATA", "DETECTD", "DETECTD")
    first, second = exposures(2)
    config = replace(CONFIG, bad_mask_planes=names)
    found = match_backgrounds([replace(first, planes={"SAT": 9}), second], config, 0)
    assert [("DETECTD" in one) for one in found.warnings] == [True]
    assert match_backgrounds([first, second], replace(config, bad_mask_planes=()), 0).warnings == ()
    fine = replace(config, bad_mask_planes=tuple(PLANES))
    assert match_backgrounds([first, second], fine, 0).warnings == ()


def test_the_warnings_of_the_choice_are_those_of_the_run() -> None:
    """LSST's quirks are told in the results; profile survey has none."""
    dark = [flat(one.image - 5000) for one in exposures(2)]
    config = replace(CONFIG, bad_mask_planes=())
    found = match_backgrounds(dark, config)
    assert found.choice is not None
    assert found.warnings == found.choice.warnings
    assert "all levels are negative" in found.warnings[0]
    assert match_backgrounds(dark, replace(config, profile=FitProfile.SURVEY)).warnings == ()
