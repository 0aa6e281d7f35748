"""The table of `core.skytable`, written from simulations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

import numpy as np

from core.config import GridStatistic
from ops.skyconstants.constants import SIDES, Fit, Found, simulate, splines
from ops.skyconstants.cores import on_all_cores

__all__ = ["module", "rows", "seeds_of"]

_COLUMNS: Final = (GridStatistic.MEAN, GridStatistic.MEANCLIP, GridStatistic.MEDIAN)
_HEAD: Final = '''"""Constants of the sky for noise alone, of splines: see `core.skyconstants`.

Written by ``python -m ops.skyconstants table``. Columns: style; cells a side; then c, c33 and
kappa^2 of MEAN, of MEANCLIP and of MEDIAN. c and c33 are known to 1 - 2 %, c of four tiles or
fewer to 4 %; there is no c33 on fewer than four cells a side.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TABLE"]

TABLE: Final = """\\
'''


def seeds_of(side: int) -> int:
    """Return how many matches on so many cells a side make c good to some per cent."""
    return max(250, min(3000, 40_000 // (side - 1) ** 2))


def rows(side: int, found: Mapping[Fit, Found]) -> dict[str, str]:
    """Return a row for each style on so many cells a side."""
    names = dict.fromkeys(str(fit.name) for fit in found)
    return {name: _row(name, side, found) for name in names}


def module(sides: Iterable[int] = SIDES, share: float = 1.0) -> str:
    """Simulate everything, with a share of the seeds, and return the module."""
    tables = list(on_all_cores(partial(_of_side, share), sides))
    names = dict.fromkeys(name for table in tables for name in table)
    lines = [table[name] for name in names for table in tables if name in table]
    return _HEAD + "\n".join(lines) + '\n"""\n'


def _of_side(share: float, side: int) -> dict[str, str]:
    seeds = max(2, round(share * seeds_of(side)))
    return rows(side, simulate(side, range(seeds), splines(side)))


def _row(name: str, side: int, found: Mapping[Fit, Found]) -> str:
    by_name = {(str(fit.name), fit.statistic): of_fit for fit, of_fit in found.items()}
    cells = [f"{name:<15} {side:>3}"]
    for statistic in _COLUMNS:
        figures = by_name[name, statistic]
        window = float(np.mean(figures.window))
        c, kappa2 = float(np.median(figures.median)), float(np.median(figures.correlation))
        cells.append(f"{c:6.3f} {window:7.3f} {kappa2:6.3f}")
    return "  ".join(cells)
