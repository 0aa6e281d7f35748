"""Whether a coadder should use a matched warp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["Judgement", "Verdict", "VerdictProfile", "judge"]

MAX_MSE_RATIO: Final = 1.1
MAX_FIT_RMS: Final = 1.0


class Verdict(StrEnum):
    """What a coadder should do with a warp."""

    ACCEPT = "accept"
    REJECT = "reject"
    NONE = "none"


class VerdictProfile(StrEnum):
    """A named rule.

    ``lsst2017`` is the rule of LSST's old coadder; ``none`` judges nothing.
    """

    LSST2017 = "lsst2017"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and, for a rejection, each reason for it as a sentence."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


def judge(
    profile: VerdictProfile, fit_rms: float, matched_mse: float, diff_im_var: float
) -> Judgement:
    """Judge a matched warp that is not the reference.

    Parameters
    ----------
    profile : VerdictProfile
    fit_rms : float
        Root mean square of grid minus model, image units.
    matched_mse : float
        Mean square of the difference after matching, image units squared.
    diff_im_var : float
        Clipped mean of the difference's variance plane, image units squared.

    Returns
    -------
    Judgement
        NaN in a figure rejects: what cannot be known is not accepted.

    Notes
    -----
    LSST's rule: matched_mse / diff_im_var finite and at most 1.1, and fit_rms at most 1 count.
    """
    if profile is VerdictProfile.NONE:
        return Judgement(Verdict.NONE)
    ratio = matched_mse / diff_im_var if diff_im_var else math.inf
    reasons = tuple(
        sentence
        for holds, sentence in (
            (
                math.isfinite(ratio) and ratio <= MAX_MSE_RATIO,
                f"matched_mse / diff_im_var is {ratio:.4g}, over {MAX_MSE_RATIO}",
            ),
            (fit_rms <= MAX_FIT_RMS, f"fit_rms is {fit_rms:.4g}, over {MAX_FIT_RMS:g} count"),
        )
        if not holds
    )
    return Judgement(Verdict.REJECT if reasons else Verdict.ACCEPT, reasons)
