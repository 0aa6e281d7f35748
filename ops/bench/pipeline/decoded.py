"""How often a warp is decoded, by the service's own count."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
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
    within, beyond = _words(side, 2 * warps), _words(side, max(2, warps // _SHARE))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = Stock.pair(folder / "warps", side, "gzip2")
        with serving(folder / "within", *within) as served:
            rows = [_within(served, stock, warps)]
        with serving(folder / "beyond", *beyond) as served:
            rows += [_beyond(served, stock, warps), _late(served, stock, warps)]
    notes = [
        f"Groups of {warps} warps of {side} x {side} pixels; by `evensky_decodes_total{{cause}}`.",
        "Reference changing: warps come as they are worked off, to a named reference; when all is",
        "published, manifests name another, and another again.",
    ]
    return Section("How often a warp is decoded", rows, notes)


def _words(side: int, room: int) -> tuple[str, ...]:
    """Return what a service is told whose spool has room for so many warps."""
    # a bit more than so many, since the headers' size is a guess
    spool = round((room + 0.5) * laid_bytes((side, side)))
    pixels = ("--max-warp-side-px", str(side), "--spool-bytes", str(spool))
    return ("--workers", "2", *pixels, "--update-quiet-s", "0.2", "--update-max-s", "1")


def _within(served: Served, stock: Stock, warps: int) -> Row:
    _publish(served, [stock.made(_FIRST + n) for n in range(warps)], stock.folder)
    return counted("a group within the spool", served.decodes(), warps, 1.0)


def _beyond(served: Served, stock: Stock, warps: int) -> Row:
    """Name a reference, have warps come as they are worked off, and name another twice."""
    arrivals = [stock.made(_FIRST + n) for n in range(warps)]
    served.announce([manifest(arrivals, arrivals[0].visit)], stock.folder)
    for count, one in enumerate(arrivals, 1):
        served.announce([one])
        served.until(partial(_measured, served, count))
    served.until_published(1)
    for change in range(1, _CHANGES + 1):
        served.announce([manifest(arrivals, arrivals[change].visit, change)])
        served.until_published(1 + change)
    name = f"a group {_SHARE} times the spool, the reference changing twice"
    return counted(name, served.decodes(), warps, 1.0 + _CHANGES)


def _measured(served: Served, count: int) -> bool:
    done = [one for one in served.notes("job") if one["job"] == "measure"]
    return len(done) >= count


def _late(served: Served, stock: Stock, warps: int) -> Row:
    """Match a late visit when another group has taken the place of the first."""
    first, second = (
        [stock.made(_FIRST * patch + n, patch) for n in range(warps)] for patch in (2, 3)
    )
    for arrivals in (first, second):
        _publish(served, arrivals, stock.folder)
    before = served.decodes()
    late = stock.made(_FIRST * 2 + warps, 2)
    _publish(served, [late], stock.folder, manifest([*first, late], version=1))
    name = "a late visit after its reference left the spool"
    return counted(name, served.decodes() - before, 1, 2.0)


def _publish(
    served: Served,
    arrivals: Sequence[schemas.WarpArrived],
    folder: Path,
    exact: schemas.GroupManifest | None = None,
) -> None:
    """Announce warps and their group's exact set, these by default, and wait for its revision."""
    count = len(served.notes("published"))
    served.announce([exact or manifest(arrivals), *arrivals], folder)
    served.until_published(count + 1)


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
