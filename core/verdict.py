"""Whether a coadder should use a matched warp (MATCHING.md section 13)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.errors import ConfigError
from core.quality import FLAGS, Quality

__all__ = ["Judgement", "Verdict", "VerdictLimits", "VerdictProfile", "judge"]

MAX_MSE_RATIO: Final = 1.1
MAX_FIT_RMS: Final = 1.0

_FLAGS: Final = {
    "edge_step": "the sky has a step along a line, which no smooth model follows",
    "sources_unmasked": "sources are not masked in both exposures, so that the fit takes them "
    "for sky",
}


class Verdict(StrEnum):
    """What a coadder should do with a warp (MATCHING.md section 13)."""

    ACCEPT = "accept"
    REJECT = "reject"
    NONE = "none"


class VerdictProfile(StrEnum):
    """A named rule (MATCHING.md section 13).

    ``survey`` judges the sky that is left; ``lsst2017`` is the rule of LSST's old coadder, which
    hardly sees it; ``none`` judges nothing.
    """

    SURVEY = "survey"
    LSST2017 = "lsst2017"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and, for a rejection, each reason as a sentence (MATCHING.md section 13)."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerdictLimits:
    """The limits of profile ``survey`` (MATCHING.md section 13); a warp at a limit is accepted.

    Parameters
    ----------
    sky_chi2, sky_chi2_spread : float
        sky_chi2 may be max(sky_chi2, 1 + sky_chi2_spread / sqrt(tiles)): that of few tiles
        scatters. Infinite: whatever it is, known or not.
    worst_block : float
        The largest departure of 3 x 3 tiles, in its errors. Infinite: whatever it is.
    extrapolated_fraction : float
        The largest share of the pixels in bins without a value, 0 - 1.
    coverage : float
        The smallest share of good pixels, 0 - 1.
    flags : tuple of str
        The flags that reject.

    Raises
    ------
    ConfigError
        For an impossible limit or unknown flag, naming the field (a `ValueError`).
    """

    sky_chi2: float = 2.0
    sky_chi2_spread: float = 12.0
    worst_block: float = 6.0
    extrapolated_fraction: float = 0.15
    coverage: float = 0.2
    flags: tuple[str, ...] = FLAGS

    def __post_init__(self) -> None:
        for name in ("sky_chi2", "sky_chi2_spread", "worst_block"):
            self._require_number(name, math.inf)
        for name in ("extrapolated_fraction", "coverage"):
            self._require_number(name, 1.0)
        names = self.flags
        if not isinstance(names, tuple) or not all(name in FLAGS for name in names):
            raise ConfigError("flags", names, f"a tuple of some of {', '.join(FLAGS)}")

    def most_chi2(self, tiles: int) -> float:
        """Return how large sky_chi2 may be.

        Parameters
        ----------
        tiles : int
            Tiles that counted.

        Returns
        -------
        limit : float
            That of one tile if there is none.
        """
        return max(self.sky_chi2, 1.0 + self.sky_chi2_spread / math.sqrt(max(tiles, 1)))

    def _require_number(self, name: str, most: float) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0.0 <= value <= most:
            expected = "0 - 1" if math.isfinite(most) else "at least 0"
            raise ConfigError(name, value, f"a number, {expected}")


_SURVEY: Final = VerdictLimits()


def judge(  # noqa: PLR0913, PLR0917 - figures of a match, each by itself as LSST gives them
    profile: VerdictProfile,
    fit_rms: float,
    matched_mse: float,
    diff_im_var: float,
    quality: Quality | None = None,
    limits: VerdictLimits = _SURVEY,
) -> Judgement:
    """Judge a matched warp that is not the reference (MATCHING.md section 13).

    Parameters
    ----------
    profile : VerdictProfile
        The rule. ``lsst2017`` looks at the three figures that follow, ``survey`` at `quality`.
    fit_rms : float
        Root mean square of grid minus model, image units.
    matched_mse : float
        Mean square of the difference after matching, image units squared.
    diff_im_var : float
        Clipped mean of the difference's variance plane, image units squared.
    quality : Quality, optional
        The sky that is left.
    limits : VerdictLimits, optional
        Limits of ``survey``.

    Returns
    -------
    judgement : Judgement
        NaN in a figure rejects, as does a quality that is not there: what cannot be known is not
        accepted. In ``survey`` this means a grid of four bins at least along either axis.

    Notes
    -----
    LSST's rule: matched_mse / diff_im_var finite and at most 1.1, and fit_rms at most 1 count. A
    variance below 0 makes the quotient so too, which by the letter of the rule passes.
    """
    match profile:
        case VerdictProfile.NONE:
            return Judgement(Verdict.NONE)
        case VerdictProfile.LSST2017:
            reasons = tuple(_against_lsst(fit_rms, matched_mse, diff_im_var))
        case VerdictProfile.SURVEY:
            reasons = tuple(_against_survey(quality, limits))
    return Judgement(Verdict.REJECT if reasons else Verdict.ACCEPT, reasons)


def _against_lsst(fit_rms: float, matched_mse: float, diff_im_var: float) -> Iterator[str]:
    ratio = matched_mse / diff_im_var if diff_im_var else math.inf
    if not (math.isfinite(ratio) and ratio <= MAX_MSE_RATIO):
        yield f"matched_mse / diff_im_var is {ratio:.4g}, over {MAX_MSE_RATIO}"
    if not fit_rms <= MAX_FIT_RMS:
        yield f"fit_rms is {fit_rms:.4g}, over {MAX_FIT_RMS:g} count"


def _against_survey(quality: Quality | None, limits: VerdictLimits) -> Iterator[str]:
    if quality is None:
        yield "the sky that is left was not measured"
        return
    tiles = f"{quality.tiles} tiles"
    yield from _over("sky_chi2", quality.sky_chi2, limits.most_chi2(quality.tiles), tiles)
    where = f"around pixel ({quality.worst_x:.0f}, {quality.worst_y:.0f})"
    known = math.isfinite(quality.worst_x)
    yield from _over(
        "worst_block", quality.worst_block, limits.worst_block, where if known else tiles
    )
    share = quality.extrapolated_fraction
    yield from _over("extrapolated_fraction", share, limits.extrapolated_fraction)
    if not quality.coverage >= limits.coverage:
        yield f"coverage is {quality.coverage:.4g}, under {limits.coverage:g}"
    for flag in quality.flags:
        if flag in limits.flags:
            yield f"{flag}: {_FLAGS[flag]}"


def _over(name: str, figure: float, limit: float, context: str = "") -> Iterator[str]:
    """Say that a figure is over its limit, or is not known although there is one."""
    context = f" ({context})" if context else ""
    if math.isnan(figure) and limit < math.inf:
        yield f"{name} could not be measured{context}"
    elif figure > limit:
        yield f"{name} is {figure:.4g}, over {limit:.4g}{context}"
