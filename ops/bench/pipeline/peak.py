"""The most memory that all processes of the service have, by the size of the group."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ops.bench.pipeline.serving import Memory, serving
from ops.bench.pipeline.warps import Stock, manifest
from ops.bench.report import Row, Section

__all__ = ["peaks", "told"]

_TO_REACH: Final = 1.1
_FIRST: Final = 100_000
_MB: Final = 1e6


def peaks(side: int, sizes: Sequence[int]) -> Section:
    """Measure the peak for groups of several sizes, each with a service of its own.

    Parameters
    ----------
    side : int
        Width and height of the warps, pixels.
    sizes : sequence of int
        Warps of a group; the largest is compared with the smallest.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = Stock.pair(folder / "warps", side, "gzip2")
        found = {size: _memory(folder / f"{size}", stock, size) for size in sizes}
    return told(side, found)


def told(side: int, found: dict[int, Memory]) -> Section:
    """Return the table of what was found, by the size of the group."""
    rows = []
    for size, memory in found.items():
        spool = max(memory.spool, default=0)
        values: dict[str, float | str] = {"peak, MB": memory.peak / _MB, "spool, MB": spool / _MB}
        rows.append(Row(f"N = {size}", values))
    ratio = found[max(found)].peak / found[min(found)].peak
    name = f"N = {max(found)} over N = {min(found)}"
    rows.append(Row(name, {"ratio": ratio, "to reach": _TO_REACH}, ratio <= _TO_REACH))
    notes = [
        f"Warps of {side} x {side} pixels, GZIP_2, two workers.",
        "Shared pages once, files of the spool apart.",
    ]
    return Section("Peak of memory of all processes", rows, notes)


def _memory(folder: Path, stock: Stock, size: int) -> Memory:
    arrivals = [stock.made(number) for number in range(_FIRST, _FIRST + size)]
    with serving(folder, "--workers", "2") as served, served.watched() as memory:
        served.announce([manifest(arrivals), *arrivals], stock.folder)
        served.until_published(1)
    return memory
