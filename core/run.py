"""A run: every exposure of a group matched to one of them (MATCHING.md section 1).

One failure never stops the others, and beside the reference one scaled exposure is held at a time.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from core.background import Background
from core.config import MatchConfig, require_config
from core.errors import NoReferenceError
from core.image import MaskedImage, whole_number
from core.matching import Match, match_background
from core.reference import ReferenceChoice, choose_reference, measure_exposures
from core.scaling import ScaledExposures, Scaler

__all__ = ["MatchResult", "MatchResults", "match_backgrounds"]


@dataclass(frozen=True, slots=True)
class MatchResult:
    """What became of one exposure of a run (MATCHING.md section 1).

    Parameters
    ----------
    is_reference : bool
        Whether the others were matched to this one.
    model, fit_rms, matched_mse, diff_im_var : optional
        As in `Match`, fit_rms in image units, the last two in their square; None for the
        reference, where LSST has a fit_rms of 0, and for a failure.
    error : Exception or None
        Why this exposure failed: a `CoreError`, unless something was met that nobody foresaw.
    """

    is_reference: bool
    model: Background | None = None
    fit_rms: float | None = None
    matched_mse: float | None = None
    diff_im_var: float | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class MatchResults(Sequence[MatchResult]):
    """Results of a run, one an exposure and in their order (MATCHING.md section 1).

    Parameters
    ----------
    results : tuple of MatchResult
        The results.
    choice : ReferenceChoice or None
        How the reference was chosen; None if it was given.
    warnings : tuple of str
        Sentences on what is odd about the run, those of `choice` among them.
    """

    results: tuple[MatchResult, ...]
    choice: ReferenceChoice | None
    warnings: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> MatchResult: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[MatchResult, ...]: ...

    def __getitem__(self, index: int | slice) -> MatchResult | tuple[MatchResult, ...]:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)


def match_backgrounds(
    exposures: Sequence[MaskedImage | None],
    config: MatchConfig,
    reference: int | None = None,
    scalers: Sequence[Scaler | None] | None = None,
    reference_scaler: Scaler | None = None,
) -> MatchResults:
    """Match every exposure to one of them; one failure never stops the others.

    The matches are those of MATCHING.md section 1, the choice that of sections 9 and 14.

    Parameters
    ----------
    exposures : sequence of MaskedImage or None
        None is an exposure that could not be had. A sequence may read its exposures when they are
        asked for: each is asked for once for the choice and once for its match, and not kept.
    config : MatchConfig
        Settings.
    reference : int, optional
        Index of the reference, from 0; chosen as by `core.select_reference` if not given.
    scalers : sequence of Scaler or None, optional
        One an exposure, as for `core.scaled`. A scaler is applied once for the choice and once for
        the match, since keeping what it made would take the memory of all exposures; one that
        failed in the choice is not tried again.
    reference_scaler : Scaler, optional
        Scaler of a reference that is given, in the stead of its entry in `scalers`. A reference
        that is chosen was chosen as scaled by its entry, and this is not used, with a warning.

    Returns
    -------
    results : MatchResults
        One an exposure, in order.

    Raises
    ------
    NoExposuresError
        If there is nothing to choose from (a `ValueError` and a `RuntimeError`).
    NoReferenceError
        If none can be the reference, or the given one does not exist or cannot be scaled; what
        failed, or failed first, is then the cause (a `ValueError`).
    ConfigError
        If `config` is none (a `ValueError`).
    ImageError
        If there are not as many scalers as exposures (a `ValueError`).
    """
    require_config(config)
    given = ScaledExposures(exposures, scalers)
    measured = measure_exposures(given, config) if reference is None else ()
    failed = {place: one for place, one in enumerate(measured) if isinstance(one, Exception)}
    choice = choose_reference(measured, config) if reference is None else None
    index = choice.index if choice is not None else reference
    chosen = _reference(given, index, None if choice is not None else reference_scaler)
    results = tuple(
        MatchResult(is_reference=True)
        if place == index
        else _result(failed.get(place) or _match(chosen, given, place, config))
        for place in range(len(given))
    )
    warnings = tuple(_warnings(given, config, choice, unused=reference_scaler is not None))
    return MatchResults(results, choice, warnings)


def _reference(exposures: ScaledExposures, index: int | None, scaler: Scaler | None) -> MaskedImage:
    place = whole_number(index)
    if place is None or not 0 <= place < len(exposures):
        shown = reprlib.repr(index)  # it may be an exposure, with all its pixels
        raise NoReferenceError(f"index {shown} is not one of {len(exposures)} exposures")
    try:
        return exposures.scaled(place, scaler)
    except MemoryError:
        raise
    except Exception as error:
        raise NoReferenceError(f"exposure {place} cannot be had: {error}") from error


def _match(
    reference: MaskedImage, exposures: ScaledExposures, place: int, config: MatchConfig
) -> Match | Exception:
    return exposures.attempt(place, lambda science: match_background(reference, science, config))


def _result(match: Match | Exception) -> MatchResult:
    if isinstance(match, Exception):
        return MatchResult(is_reference=False, error=match)
    return MatchResult(
        is_reference=False,
        model=match.model,
        fit_rms=match.fit_rms,
        matched_mse=match.matched_mse,
        diff_im_var=match.diff_im_var,
    )


def _warnings(
    exposures: ScaledExposures, config: MatchConfig, choice: ReferenceChoice | None, *, unused: bool
) -> Iterator[str]:
    for name in dict.fromkeys(config.bad_mask_planes):
        if exposures.planes.isdisjoint({name}):
            yield f"no exposure has the mask plane {name} of bad_mask_planes: it masks nothing"
    if choice is not None:
        yield from choice.warnings
        if unused:
            yield "reference_scaler was not used: the reference was chosen, by its own scaler"
