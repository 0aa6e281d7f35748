"""Seconds and read floors of a match, for each statistic, size and kind of exposure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import core
from core import GridStatistic, MaskedImage, MatchConfig
from ops.bench.clock import Timing, race, read_floor
from ops.bench.planes import GOOD, pair
from ops.bench.report import Row, Section

__all__ = ["STATISTICS", "by_share", "by_size", "matched", "pipeline"]

STATISTICS = tuple(GridStatistic)

_MILLI = 1e3
_NANO = 1e9


@dataclass(frozen=True, slots=True)
class _Goal:
    """What is to be reached, and what LSST's C++ takes, in read floors."""

    reach: float
    lsst: float


_GOALS = {
    "MEAN": _Goal(5, 43),
    "MEANCLIP": _Goal(9, 55),
    "MEDIAN": _Goal(8, 51),
    "selection, one exposure": _Goal(1.5, 1.9),
}


def matched(
    reference: MaskedImage, science: MaskedImage, config: MatchConfig, *, quality: bool = False
) -> object:
    """Match two exposures, all diagnostics and the model's image included.

    Parameters
    ----------
    reference, science : core.MaskedImage
        The exposures.
    config : core.MatchConfig
        Settings.
    quality : bool
        Whether the figures of the sky are wanted too.
    """
    match = core.match_background(reference, science, config, quality=quality)
    return match, match.model.image()


def pipeline(side: int, runs: int) -> Section:
    """Time each statistic, a polynomial, the quality figures, and the selection's statistics.

    Parameters
    ----------
    side : int
        Width and height of the exposures in pixels.
    runs : int
        Runs of each row.
    """
    reference, science = pair(side)
    run = partial(partial, matched, reference, science)
    tasks = {str(name): run(MatchConfig(grid_statistic=name)) for name in STATISTICS}
    tasks["Chebyshev order 8"] = run(MatchConfig(use_polynomial=True, order=_order(side)))
    tasks["MEAN with quality"] = run(MatchConfig(), quality=True)
    both = race(read_floor(reference, science), tasks, runs)
    # that of one exposure is measured against the same floor, of both
    select = partial(core.selection_statistics, science, MatchConfig())
    one = race(read_floor(reference, science), {"selection, one exposure": select}, 2 * runs)
    rows = [_row(name, timing) for name, timing in {**both, **one}.items()]
    rows.insert(-1, _extra(both["MEAN"], both["MEAN with quality"]))
    title = (
        f"A pair of {side} x {side} pixels, bins of 256, Akima, one core: match_background with "
        "all of LSST's diagnostics, and model.image()"
    )
    return Section(title, rows, _notes(both["MEAN"], runs))


def by_size(sides: tuple[int, ...], runs: int) -> Section:
    """Time a match for each size of image.

    Parameters
    ----------
    sides : tuple of int
        Widths and heights in pixels.
    runs : int
        Runs of each row.
    """
    rows = []
    for side in sides:
        timings = _by_statistic(*pair(side), runs)
        values: dict[str, float | str] = {}
        for name, timing in timings.items():
            values[f"{name}, ns / px"] = timing.least * _NANO / side**2
            values[f"{name}, floors"] = timing.ratio
        values["floor, ns / px"] = min(timings["MEAN"].floors) * _NANO / side**2
        rows.append(Row(f"{side} x {side}", values))
    return Section("Cost by size (shortest runs)", rows)


def by_share(side: int, runs: int) -> Section:
    """Time a match for each share of good pixels, and with outliers that nobody has flagged.

    Parameters
    ----------
    side : int
        Width and height in pixels.
    runs : int
        Runs of each row.
    """
    kinds = {f"{share} % good": (share / 100, 0.0) for share in (5, 25, 50, 75, 100)}
    kinds["outliers: 1 %, to 1e30"] = (GOOD, 0.01)
    rows = []
    for name, (share, outliers) in kinds.items():
        timings = _by_statistic(*pair(side, share, outliers), runs)
        rows.append(Row(name, {f"{one}, floors": t.ratio for one, t in timings.items()}))
    return Section(f"Cost by what is masked, {side} x {side} (shortest runs)", rows)


def _by_statistic(reference: MaskedImage, science: MaskedImage, runs: int) -> dict[str, Timing]:
    tasks: dict[str, Callable[[], object]] = {
        str(name): partial(matched, reference, science, MatchConfig(grid_statistic=name))
        for name in STATISTICS
    }
    return race(read_floor(reference, science), tasks, runs)


def _order(side: int) -> int:
    """Return the order 8, or the highest that a small image's bins allow."""
    return min(8, -(-side // MatchConfig().bin_size) - 1)


def _row(name: str, timing: Timing) -> Row:
    values: dict[str, float | str] = {
        "min, ms": timing.least * _MILLI,
        "median, ms": timing.middle * _MILLI,
        "floors (min)": timing.ratio,
        "floors (median)": timing.middle_ratio,
    }
    goal = _GOALS.get(name)
    if goal is None:
        return Row(name, values)
    values |= {"to reach": goal.reach, "LSST's C++": goal.lsst}
    return Row(name, values, timing.ratio <= goal.reach)


def _extra(without: Timing, with_quality: Timing) -> Row:
    """Return what the quality figures cost beyond the match itself."""
    least, middle = with_quality.least - without.least, with_quality.middle - without.middle
    values: dict[str, float | str] = {
        "min, ms": least * _MILLI,
        "median, ms": middle * _MILLI,
        "floors (min)": with_quality.ratio - without.ratio,
        "floors (median)": with_quality.middle_ratio - without.middle_ratio,
    }
    return Row("  of which quality", values)


def _notes(timing: Timing, runs: int) -> list[str]:
    least, most = min(timing.floors) * _MILLI, max(timing.floors) * _MILLI
    return [
        "One read floor: numpy's sum of the six planes, one right before each run;",
        f"of {runs} runs beside MEAN {least:.1f} ms at best and {most:.1f} ms at worst.",
        "A wide span means that the machine had something else to do.",
    ]
