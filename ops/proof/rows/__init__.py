"""The rows: one module each, ``rowNN.py``, with a `ops.proof.row.Row` named ``ROW``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ops.proof.row import Row

__all__ = ["TITLES", "WAITING", "rows"]

TITLES: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "SIGKILL loop",
        2: "killed at each hook",
        3: "zombie that wakes up",
        4: "a member joins between send and commit",
        5: "brokers killed in open transactions",
        6: "commit answers dropped or late",
        7: "rebalance storm",
        8: "every event 1 to 5 times, shuffled; replay from the beginning",
        9: "any order, the same bytes",
        10: "replay at any speed",
        11: "poison",
        12: "a worker is killed",
        13: "slow store",
        14: "lag of the event loop",
        15: "restore of 500,000 members",
        16: "disk full, files damaged",
        17: "offsets and changelog gone",
        18: "rolling update and back",
        19: "SIGTERM during a long job",
        20: "soak",
        21: "simulation of the pure core",
        22: "clocks that jump and disagree",
        23: "floor of speed",
    }
)
"""All rows, so that one that nobody wrote is missed."""

WAITING: Final[Mapping[int, str]] = MappingProxyType({})
"""Why a row that there must be cannot be run yet."""


def rows() -> dict[int, Row]:
    """Return the rows that can be run, by number."""
    names = sorted(one.name for one in pkgutil.iter_modules(__path__) if one.name[:3] == "row")
    found: list[Row] = [importlib.import_module(f"{__name__}.{name}").ROW for name in names]
    return {row.number: row for row in found}
