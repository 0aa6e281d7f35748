"""The verdict on a matched warp."""

from __future__ import annotations

import math

import pytest

from core.verdict import Verdict, VerdictProfile, judge


@pytest.mark.parametrize(
    ("fit_rms", "matched_mse", "diff_im_var"),
    [(0.0, 1.1, 1.0), (1.0, 0.5, 1.0), (0.2, 0.0, 4.0)],
)
def test_lsst_rule_accepts_up_to_its_limits(
    fit_rms: float, matched_mse: float, diff_im_var: float
) -> None:
    """A ratio of 1.1 and an rms of one count are still good."""
    judgement = judge(VerdictProfile.LSST2017, fit_rms, matched_mse, diff_im_var)
    assert judgement.verdict is Verdict.ACCEPT
    assert judgement.reasons == ()


@pytest.mark.parametrize(
    ("fit_rms", "matched_mse", "diff_im_var", "words"),
    [
        (0.1, 1.2, 1.0, ["matched_mse"]),
        (1.1, 1.0, 1.0, ["fit_rms"]),
        (2.0, 9.0, 1.0, ["matched_mse", "fit_rms"]),
        (math.nan, 1.0, 1.0, ["fit_rms"]),
        (0.1, math.nan, 1.0, ["matched_mse"]),
        (0.1, 1.0, math.nan, ["matched_mse"]),
        (0.1, 1.0, 0.0, ["matched_mse"]),
        (0.1, math.inf, 1.0, ["matched_mse"]),
        (0.1, math.inf, math.inf, ["matched_mse"]),
    ],
)
def test_lsst_rule_names_every_reason(
    fit_rms: float, matched_mse: float, diff_im_var: float, words: list[str]
) -> None:
    """Each limit that is broken, or cannot be judged, is named once."""
    judgement = judge(VerdictProfile.LSST2017, fit_rms, matched_mse, diff_im_var)
    assert judgement.verdict is Verdict.REJECT
    assert len(judgement.reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, judgement.reasons, strict=True))


def test_no_profile_judges_nothing() -> None:
    """Without a rule there is neither praise nor blame."""
    assert judge(VerdictProfile.NONE, math.nan, math.nan, math.nan).verdict is Verdict.NONE
