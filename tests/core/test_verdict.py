"""The verdict on a matched warp."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from core import ConfigError
from core.quality import FLAGS, Quality
from core.verdict import Verdict, VerdictLimits, VerdictProfile, judge


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


# -- profile survey --------------------------------------------------------------------------------

LEVEL = Quality(
    tiles=64,
    kappa=1.1,
    sky_chi2=1.0,
    worst_block=3.0,
    worst_x=100.0,
    worst_y=50.0,
    sky_offset=0.0,
    sky_rms=0.0,
    sky_error=0.01,
    coverage=0.8,
    extrapolated_fraction=0.0,
)
USUAL = VerdictLimits()
OPEN = VerdictLimits(math.inf, 0.0, math.inf, 1.0, 0.0, ())


def against(figures: dict[str, Any], limits: VerdictLimits = USUAL) -> tuple[str, ...]:
    """Return why a match with these figures is rejected; the others are those of a level sky."""
    quality = replace(LEVEL, **figures)
    judgement = judge(VerdictProfile.SURVEY, math.nan, math.nan, math.nan, quality, limits)
    assert (judgement.verdict is Verdict.ACCEPT) == (judgement.reasons == ())
    return judgement.reasons


@pytest.mark.parametrize(
    ("figure", "last", "first", "reason"),
    [
        ("sky_chi2", 2.5, 2.51, "sky_chi2 is 2.51, over 2.5 (64 tiles)"),
        ("worst_block", 6.0, 6.1, "worst_block is 6.1, over 6 (around pixel (100, 50))"),
        ("extrapolated_fraction", 0.15, 0.2, "extrapolated_fraction is 0.2, over 0.15"),
        ("coverage", 0.2, 0.19, "coverage is 0.19, under 0.2"),
    ],
)
def test_a_figure_at_its_limit_is_accepted(
    figure: str, last: float, first: float, reason: str
) -> None:
    """A figure may be as far as its limit and no farther; the sentence has both."""
    assert against({figure: last}) == ()
    assert against({figure: first}) == (reason,)


@pytest.mark.parametrize("figure", ["sky_chi2", "worst_block", "extrapolated_fraction"])
def test_what_could_not_be_measured_is_not_accepted(figure: str) -> None:
    """A figure that is not known rejects, unless it has no limit at all."""
    (reason,) = against({figure: math.nan})
    assert reason.startswith(f"{figure} could not be measured")
    if figure != "extrapolated_fraction":
        assert against({figure: math.nan}, OPEN) == ()


def test_without_coverage_nothing_is_accepted() -> None:
    """NaN is under any limit of the coverage."""
    assert len(against({"coverage": math.nan})) == 1


def test_a_place_is_told_where_there_is_one() -> None:
    """The sentence on a block says where it is, or from how many tiles nothing could be said."""
    assert "pixel (100, 50)" in against({"worst_block": 9.0})[0]
    lost = against(dict.fromkeys(("worst_block", "worst_x", "worst_y"), math.nan))
    assert lost == ("worst_block could not be measured (64 tiles)",)


@pytest.mark.parametrize("flag", FLAGS)
def test_flags_reject_if_they_are_among_the_limits(flag: str) -> None:
    """Each flag rejects with a sentence of its own, and is forgiven where the limits leave it."""
    (reason,) = against({"flags": (flag,)})
    assert reason.startswith(f"{flag}: ")
    others = tuple(name for name in FLAGS if name != flag)
    assert against({"flags": (flag,)}, VerdictLimits(flags=others)) == ()


def test_every_reason_is_told() -> None:
    """Whatever is wrong is told, in one order."""
    bad = {"sky_chi2": 9.0, "worst_block": 9.0, "extrapolated_fraction": 0.9, "coverage": 0.0}
    reasons = against({**bad, "flags": FLAGS})
    assert [reason.split()[0].rstrip(":") for reason in reasons] == [*bad, *FLAGS]
    assert against({**bad, "flags": FLAGS}, OPEN) == ()


def test_a_sky_that_nobody_looked_at_is_not_accepted() -> None:
    """Without figures of the sky there is nothing to accept."""
    judgement = judge(VerdictProfile.SURVEY, 0.0, 1.0, 1.0)
    assert judgement.verdict is Verdict.REJECT
    assert judgement.reasons == ("the sky that is left was not measured",)


@pytest.mark.parametrize(
    ("tiles", "limit"), [(0, 13.0), (1, 13.0), (4, 7.0), (64, 2.5), (144, 2.0), (1000, 2.0)]
)
def test_few_tiles_may_scatter_more(tiles: int, limit: float) -> None:
    """The limit of sky_chi2 is 1 + 12 / sqrt(tiles), and 2 at least."""
    assert VerdictLimits().most_chi2(tiles) == pytest.approx(limit)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sky_chi2", -1.0),
        ("sky_chi2", math.nan),
        ("sky_chi2", True),
        ("sky_chi2_spread", "12"),
        ("worst_block", -0.1),
        ("extrapolated_fraction", 1.1),
        ("coverage", -0.1),
        ("coverage", math.inf),
        ("flags", ["edge_step"]),
        ("flags", ("stars",)),
    ],
)
def test_impossible_limits_are_refused(field: str, value: Any) -> None:
    """A limit that means nothing is refused by its name."""
    with pytest.raises(ConfigError, match=field):
        VerdictLimits(**{field: value})
