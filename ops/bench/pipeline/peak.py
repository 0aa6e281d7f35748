"""The most memory that all processes of the service have, by the size of the group."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ops.bench.pipeline.serving import Memory, serving
from ops.bench.pipeline.warps import Stock, manifest, path_of
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
        Warps of a group: the largest is compared with the smallest, and with as many warps in all
        in groups of the smallest size.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = Stock.pair(folder / "warps", side, "gzip2")
        few, many = min(sizes), max(sizes)
        found = {
            f"N = {few}": _memory(folder / "one", stock, few, 1),
            f"N = {few}, {many // few} groups": _memory(folder / "few", stock, few, many // few),
            f"N = {many}": _memory(folder / "many", stock, many, 1),
        }
    return told(side, found)


def told(side: int, found: Mapping[str, Memory]) -> Section:
    """Return the table of what was found; the last is compared with each of the others."""
    rows = []
    for name, memory in found.items():
        spool = max(memory.spool, default=0)
        values: dict[str, float | str] = {"peak, MB": memory.peak / _MB, "spool, MB": spool / _MB}
        rows.append(Row(name, values))
    *others, last = found
    for other in others:
        ratio = found[last].peak / found[other].peak
        reached: dict[str, float | str] = {"ratio": ratio, "to reach": _TO_REACH}
        rows.append(Row(f"{last} over {other}", reached, ratio <= _TO_REACH))
    notes = [
        f"Warps of {side} x {side} pixels, GZIP_2, two workers; groups one after the other.",
        "Shared pages once, files of the spool apart. A peak is the most of ten samples a second:",
        "of one group of ten there are few, of as many warps in groups of ten as many as of the",
        "large group.",
    ]
    return Section("Peak of memory of all processes", rows, notes)


def _memory(folder: Path, stock: Stock, size: int, groups: int) -> Memory:
    """Have groups published one after the other, and return what all processes had meanwhile."""
    with serving(folder, "--workers", "2") as served, served.watched() as memory:
        for group in range(1, groups + 1):
            first = _FIRST + group * size
            arrivals = [stock.made(number, group) for number in range(first, first + size)]
            served.announce([manifest(arrivals), *arrivals], stock.folder)
            served.until_published(group)
            for one in arrivals:
                path_of(one).unlink()
    return memory
