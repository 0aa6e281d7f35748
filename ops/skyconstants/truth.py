"""The tables of planted skies, in markdown, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import numpy as np

from core.config import GridStatistic, MatchConfig
from core.skyconstants import SkyConstants
from ops.skyconstants.constants import Fit, Found, formula, simulate
from ops.skyconstants.cores import on_all_cores
from ops.skyconstants.leftovers import LEFTOVERS, found, qualities, rejected, share_left
from ops.skyconstants.pulls import WAYS, pulls
from ops.skyconstants.stars import Field, expose, see

__all__ = ["report"]

_STATISTICS: Final = (GridStatistic.MEAN, GridStatistic.MEANCLIP, GridStatistic.MEDIAN)
_GRIDS: Final = {"Chebyshev 0": (5, 40), "Chebyshev 2": (6, 8), "Chebyshev 4": (6, 4)}
"""Bins a side and how many times as many seeds: a polynomial has few numbers to tell."""
_FIELDS: Final = {
    f"{stars} stars, seeing {ratio}": Field(stars=stars, ratio=ratio)
    for stars in (5, 30, 120)
    for ratio in (1.0, 1.2, 1.4, 1.7)
}
_FAULTS: Final = {
    "a third of the area in gaps": Field(stars=30, ratio=1.4, gaps=0.33),
    "two thirds in gaps": Field(stars=30, ratio=1.4, gaps=0.66),
    "DETECTED missing": Field(stars=30, ratio=1.4, detected=False),
    "DETECTED missing, equal seeing": Field(stars=30, detected=False),
}
_ALARMS: Final = {
    "AKIMA_SPLINE": MatchConfig(bin_size=16),
    "AKIMA_SPLINE, MEDIAN": MatchConfig(bin_size=16, grid_statistic=GridStatistic.MEDIAN),
    "AKIMA_SPLINE, MEANCLIP": MatchConfig(bin_size=16, grid_statistic=GridStatistic.MEANCLIP),
    "Chebyshev 2": MatchConfig(bin_size=16, use_polynomial=True, order=2),
    "Chebyshev 6": MatchConfig(bin_size=16, use_polynomial=True, order=6),
}
_ORDERS: Final = {
    5: (0, 1, 2, 3, 4),
    9: (1, 2, 4, 6, 8),
    13: (4, 8, 10, 12),
    17: (0, 2, 5, 8, 11, 14),
    24: (2, 8, 13, 16, 20),
}
"""Orders that are looked at, by bins a side."""
_HEIGHTS: Final = (1, 2, 5, 10, 20, 50)


def report(share: float = 1.0) -> Iterator[str]:
    """Yield all tables, with a share of the seeds that they should have."""
    stars = _some(30, share)
    tables = [
        partial(_pulls, _some(240, share)),
        partial(_polynomials, _some(250, share)),
        partial(_of_stars, "Stars in two seeings", _FIELDS, stars),
        partial(_of_stars, "Gaps, and sources that are not masked", _FAULTS, stars),
        partial(_false_alarms, _some(1000, share)),
        *(partial(_leftovers, side, _some(40, share)) for side in (16, 8)),
    ]
    for lines in on_all_cores(_made, tables):
        yield from lines


def _made(table: Callable[[], Iterable[str]]) -> list[str]:
    return list(table())


def _some(seeds: int, share: float) -> int:
    return max(2, round(seeds * share))


def _table(title: str, words: str, head: Iterable[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """Yield a section with a table."""
    names = list(head)
    yield from (f"## {title}", "", words, "", _line(names))
    yield _line(["---", *["--:"] * (len(names) - 1)])
    for row in rows:
        yield _line(row)
    yield ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _pulls(seeds: int) -> Iterator[str]:
    def rows() -> Iterator[list[str]]:
        for name, way in WAYS.items():
            for statistic in _STATISTICS:
                side, times = _GRIDS.get(name, (12, 1))
                white = pulls(way, statistic, "white", seeds=times * seeds, side=side, bin_size=16)
                warped = pulls(way, statistic, "warped", seeds=times * seeds, side=6, bin_size=64)
                figures = (white.chi2, white.sky_chi2, warped.chi2, warped.sky_chi2, warped.kappa)
                yield [f"{name}, {statistic.value}", *(f"{figure:.3f}" for figure in figures)]

    words = (
        "Model against the planted sky, chi2 a degree of freedom, and the median sky_chi2 of the "
        "same matches: white noise (bins of 16 pixels), and noise warped by Lanczos-3 and half a "
        "pixel (bins of 64, errors times kappa)."
    )
    head = ("fit", "white: model", "sky_chi2", "warped: model", "sky_chi2", "kappa")
    return _table("Pulls", words, head, rows())


def _polynomials(seeds: int) -> Iterator[str]:
    def rows() -> Iterator[list[str]]:
        for side, orders in _ORDERS.items():
            wanted = [Fit(order, statistic) for order in orders for statistic in _STATISTICS]
            simulated = simulate(side, range(seeds), wanted)
            for order in orders:
                cells = [f"order {order}, {side} x {side} bins"]
                for statistic in _STATISTICS:
                    fit = Fit(order, statistic)
                    cells += _compared(simulated[fit], formula(fit, side))
                yield cells

    words = (
        f"c and c33 of {seeds} matches of white noise, over those that are worked out: what is "
        "left in a tile, and in 3 x 3 of them. The simulation itself is good to 2 %. Where it "
        "differs much, the bins hardly determine the polynomial."
    )
    head = ["fit"]
    for statistic in _STATISTICS:
        head += [f"{statistic.value}: c", "c33"]
    return _table("Constants of polynomials", words, head, rows())


def _compared(simulated: Found, worked_out: SkyConstants) -> list[str]:
    correlation = float(np.median(simulated.correlation))
    tile, window = float(np.median(simulated.median)), float(np.mean(simulated.window))
    return [
        f"{tile / correlation / worked_out.tile:.2f}",
        f"{window / correlation / worked_out.window:.2f}",
    ]


def _of_stars(title: str, fields: Mapping[str, Field], seeds: int) -> Iterator[str]:
    def rows() -> Iterator[list[str]]:
        for name, field in fields.items():
            cells, coverage = [name], 0.0
            exposures = [expose(field, seed) for seed in range(seeds)]
            for statistic in _STATISTICS:
                config = MatchConfig(bin_size=64, grid_statistic=statistic)
                seen = [see(pair, config) for pair in exposures]
                bias = np.array([one.bias for one in seen]) * 1000
                cells.append(f"{bias.mean():+.1f} ± {bias.std() / np.sqrt(seeds):.1f}")
                chi2 = np.median([one.quality.sky_chi2 for one in seen])
                accepted = np.mean([not rejected(one.quality) for one in seen])
                cells.append(f"{chi2:.2f}, {accepted:.0%}")
                coverage = float(np.mean([one.quality.coverage for one in seen]))
            yield [*cells, f"{coverage:.2f}"]

    words = (
        "Bias of the model's level in thousandths of a pixel's noise (AKIMA_SPLINE, bins of 64 on "
        "384 x 384 pixels; the error of the level by noise alone is 2.6 of them at full coverage), "
        "and sky_chi2 with the share that profile survey accepts. Stars for each 64 x 64 pixels; "
        "seeing of one exposure over the other's 3.5 pixels."
    )
    head = ["field"]
    for statistic in _STATISTICS:
        head += [f"{statistic.value}: bias", "chi2, accepted"]
    return _table(title, words, [*head, "coverage"], rows())


def _false_alarms(seeds: int) -> Iterator[str]:
    def rows() -> Iterator[list[str]]:
        for name, config in _ALARMS.items():
            for side, warped in ((16, False), (8, False), (8, True)):
                judged = qualities(config, None, 0.0, side=side, seeds=seeds, warped=warped)
                share, reasons = found(judged)
                chi2s = [quality.sky_chi2 for quality in judged]
                worst = [quality.worst_block for quality in judged]
                yield [
                    f"{name}, {side} x {side} bins, {'warped' if warped else 'white'}",
                    f"{np.median(chi2s):.2f}",
                    f"{np.quantile(chi2s, 0.999):.2f}",
                    f"{np.quantile(worst, 0.999):.2f}",
                    f"{reasons['edge_step'] / seeds:.2%}",
                    f"{share:.2%}",
                ]

    words = f"Noise alone, {seeds} matches a row: what profile survey rejects of it."
    head = ("noise", "chi2, median", "99.9 %", "worst_block, 99.9 %", "edge_step", "rejected")
    return _table("False alarms", words, head, rows())


def _leftovers(side: int, seeds: int) -> Iterator[str]:
    config = MatchConfig(bin_size=32)

    def rows() -> Iterator[list[str]]:
        for name, shape in LEFTOVERS.items():
            left = share_left(config, shape, side=side, seeds=seeds)
            cells = [name, f"{left:.1%}"]
            for height in _HEIGHTS:
                judged = qualities(config, shape, height, side=side, seeds=seeds)
                share, reasons = found(judged)
                cells.append(f"{share:.0%} {_most_often(reasons)}".strip())
            yield cells

    words = (
        f"Share of {seeds} matches on {side} x {side} bins (AKIMA_SPLINE, MEAN) that profile "
        "survey rejects, and for which figure most often. Heights are those of the planted sky in "
        "errors of a bin's mean; 'left' is the share of it, in rms, that the model does not follow."
    )
    head = ("planted", "left", *(f"{height}" for height in _HEIGHTS))
    return _table(f"Leftovers, {side} x {side} bins", words, head, rows())


def _most_often(reasons: Mapping[str, int]) -> str:
    return max(reasons, key=lambda name: reasons[name]) if reasons else ""
