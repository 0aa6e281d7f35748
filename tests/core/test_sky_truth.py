"""Planted skies, over 200 seeds and more: pulls of the model, chi2 of good matches, verdicts.

The whole tables are printed by ``python -m ops.skyconstants truth``.
"""

from __future__ import annotations

import numpy as np
import pytest

from core import GridStatistic, MatchConfig
from core.quality import Quality
from ops.skyconstants.leftovers import LEFTOVERS, found, qualities, rejected
from ops.skyconstants.pulls import WAYS, pulls

MEAN, MEDIAN, MEANCLIP = GridStatistic.MEAN, GridStatistic.MEDIAN, GridStatistic.MEANCLIP
EVERY_WAY = [(name, MEAN) for name in WAYS]
OTHERS = [
    (name, statistic)
    for name in ("AKIMA_SPLINE", "Chebyshev 2")
    for statistic in (MEDIAN, MEANCLIP)
]

SIZES = {"Chebyshev 0": (5, 3000), "Chebyshev 2": (6, 2000), "Chebyshev 4": (6, 800)}
"""Bins a side and seeds: of a polynomial each match tells a few numbers only."""
LOOSE = {"Chebyshev 0": 0.05}
"""What is added to the bounds: 3000 numbers have a chi2 that is good to 2.6 %."""


@pytest.mark.parametrize(("name", "statistic"), [*EVERY_WAY, *OTHERS])
def test_white_noise(name: str, statistic: GridStatistic) -> None:
    """Under white noise chi2 of the model is 1 a degree of freedom, and so is the sky's.

    The error of MEANCLIP, by LSST's formula, lacks what clipping takes from the variance: 5 %.
    """
    side, seeds = SIZES.get(name, (12, 240))
    told = pulls(WAYS[name], statistic, "white", seeds=seeds, side=side, bin_size=16, judged=400)
    low, high = (1.0, 1.1) if statistic == MEANCLIP else (0.95, 1.05)
    loose = LOOSE.get(name, 0.0)
    assert low - loose < told.chi2 < high + loose
    assert 0.95 < told.sky_chi2 < 1.05


@pytest.mark.parametrize(
    ("name", "statistic"),
    [
        ("AKIMA_SPLINE", MEAN),
        ("AKIMA_SPLINE", MEANCLIP),
        ("LINEAR", MEDIAN),
        ("Chebyshev 2", MEAN),
    ],
)
def test_correlated_noise(name: str, statistic: GridStatistic) -> None:
    """Under noise that a warp has correlated, kappa makes the errors what they should be."""
    told = pulls(WAYS[name], statistic, "warped", seeds=200, side=6, bin_size=64)
    assert 1.2 < told.kappa < 1.3
    assert 0.9 < told.chi2 < 1.15
    assert 0.9 < told.sky_chi2 < 1.1


@pytest.fixture(scope="module")
def good() -> list[Quality]:
    """Judge 300 matches of noise alone on 16 x 16 bins."""
    return qualities(MatchConfig(bin_size=16), None, 0.0, side=16, seeds=300)


def test_good_matches_are_accepted(good: list[Quality]) -> None:
    """Of 300 matches of noise none is rejected, and none is near the limits."""
    assert found(good)[0] == 0.0
    assert max(quality.sky_chi2 for quality in good) < 1.8
    assert np.quantile([quality.worst_block for quality in good], 0.99) < 5


@pytest.mark.parametrize(
    ("name", "height", "figure"),
    [
        ("wave of 3 bins", 5, "sky_chi2"),
        ("wave of 6 bins", 30, "sky_chi2"),
        ("bump, sigma 0.5 bin", 150, "worst_block"),
        ("step on a cell edge", 12, "edge_step"),
        ("step a quarter bin off", 12, "edge_step"),
        ("step through the centres", 15, "worst_block"),
    ],
)
def test_leftovers_are_found(name: str, height: float, figure: str) -> None:
    """Leftovers of some errors of a bin are found, by the figure that is there for them."""
    config = MatchConfig(bin_size=32)
    judged = qualities(config, LEFTOVERS[name], height, side=16, seeds=8)
    assert [figure in rejected(quality) for quality in judged] == [True] * 8
