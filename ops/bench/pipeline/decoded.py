"""How often a warp is decoded, by the service's own count."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import schemas
from ops.bench.pipeline.serving import Served, serving
from ops.bench.pipeline.warps import Stock, manifest
from ops.bench.report import Row, Section
from stream.spool.place import laid_bytes

__all__ = ["counted", "decodes"]

_FIRST: Final = 1001
_CHANGES: Final = 2
_LATE: Final = 2
_SHARE: Final = 5
_NOT_COUNTED: Final = "not counted"


def decodes(side: int, warps: int) -> Section:
    """Count decodes within the spool, beyond it, and for a late visit.

    Parameters
    ----------
    side : int
        Width and height, pixels.
    warps : int
        In a group; a fifth of them fit into the smaller spool.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = Stock.pair(folder / "warps", side, "gzip2")
        rows = [
            _measured(folder / "within", stock, side, 2 * warps, warps, _within),
            _measured(folder / "beyond", stock, side, max(2, warps // _SHARE), warps, _beyond),
            _measured(folder / "late", stock, side, max(2, warps // _SHARE), warps, _late),
        ]
    notes = [
        f"Groups of {warps} warps of {side} x {side} pixels; by `evensky_decodes_total{{cause}}`.",
        "Reference changing: manifests name another, and another again, when all is published.",
    ]
    return Section("How often a warp is decoded", rows, notes)


def _measured(  # noqa: PLR0913, PLR0917 - one case of three
    folder: Path,
    stock: Stock,
    side: int,
    room: int,
    warps: int,
    run: Callable[[Served, Stock, int], tuple[str, int, float]],
) -> Row:
    """Run a case with a spool that has room for so many warps."""
    # a bit more than so many, since the headers' size is a guess
    spool = round((room + 0.5) * laid_bytes((side, side)))
    words = ("--workers", "2", "--max-warp-side-px", str(side), "--spool-bytes", str(spool))
    policy = ("--update-quiet-s", "0.2", "--update-max-s", "1")
    with serving(folder, *words, *policy) as served:
        name, of, goal = run(served, stock, warps)
        before = served.notes("mark")
        del before
        return counted(name, served.decodes(), of, goal)


def counted(name: str, causes: Mapping[str, int], of: int, goal: float) -> Row:
    """Return a row: decodes over warps, or how many if they are of one warp, and why.

    Parameters
    ----------
    name : str
    causes : mapping of str to int
        Decodes by cause; empty if nothing counts them.
    of : int
        Warps.
    goal : float
        What is to be reached, decodes a warp.
    """
    if not causes:
        return Row(name, {"decodes": _NOT_COUNTED, "to reach": goal})
    total = sum(causes.values()) / of
    words = ", ".join(f"{cause} {count}" for cause, count in sorted(causes.items()))
    return Row(name, {"decodes": total, "to reach": goal, "by cause": words}, total <= goal)
