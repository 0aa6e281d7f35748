"""A night of 500 distinct warps of full size, which a server makes of a few on their way.

``python -m ops.bench night``: does it run through, with a spool smaller than a group, and without
memory growing?
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import schemas
from ops.bench.pipeline.serving import Memory, Note, Served, serving
from ops.bench.pipeline.warps import Stock, manifest
from ops.bench.report import Row, Section
from ops.store.rewriting import rewriting
from ops.store.server import BUCKET, found_at
from stream.spool.place import laid_bytes

__all__ = ["Found", "Night", "busy", "long_night", "section"]

_FIRST: Final = 100_000
_MB: Final = 1e6
_GROWTH: Final = 1.1
_BUSY: Final = 0.95
_WORKERS: Final = 2


@dataclass(frozen=True, slots=True)
class Night:
    """How long a night is.

    Attributes
    ----------
    side : int
        Width and height of a warp, pixels.
    groups, warps : int
        How many groups, and warps in each.
    room : int
        Warps that the spool has room for.
    """

    side: int
    groups: int
    warps: int
    room: int

    @property
    def total(self) -> int:
        """Warps of all groups."""
        return self.groups * self.warps


@dataclass(frozen=True, slots=True)
class Found:
    """What a night has shown.

    Attributes
    ----------
    seconds, processor_s : float
        From the first arrival to the last publication, and the processor time meanwhile.
    memory : Memory
    decodes : mapping of str to int
        By cause.
    distinct, matched, reused : int
        Warps of different checksums, those that were matched or made a reference, and results that
        were found instead of computed.
    busy : float
        Share of the workers' time that they spent on jobs, from the first job to the last.
    """

    seconds: float
    processor_s: float
    memory: Memory
    decodes: Mapping[str, int]
    distinct: int
    matched: int
    reused: int
    busy: float


def long_night(night: Night) -> Section:
    """Run a night.

    Parameters
    ----------
    night : Night
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = Stock.pair(folder / "warps", night.side, "gzip2")
        with rewriting(stock.files) as address:
            arrivals = list(_arrivals(stock, night))
            with found_at(address), serving(folder / "service", *_words(night)) as served:
                return section(night, _found(served, arrivals, night))


def section(night: Night, found: Found) -> Section:
    """Return the table of a night."""
    memory = found.memory
    half = memory.at[len(memory.at) // 2] if memory.at else 0.0
    early = max((b for a, b in zip(memory.at, memory.private, strict=True) if a < half), default=1)
    late = max((b for a, b in zip(memory.at, memory.private, strict=True) if a >= half), default=0)
    causes = ", ".join(f"{cause} {count}" for cause, count in sorted(found.decodes.items()))
    many = night.total
    rows = [
        Row("seconds", {"found": found.seconds}),
        Row("seconds a warp", {"found": found.seconds / many}),
        Row("processor time a warp, s", {"found": found.processor_s / many}),
        Row("distinct checksums", {"found": str(found.distinct)}, found.distinct == many),
        Row("matched, or references", {"found": str(found.matched)}, found.matched == many),
        Row("results reused", {"found": str(found.reused)}, found.reused == 0),
        Row("decodes a warp", {"found": sum(found.decodes.values()) / many}),
        Row("decodes by cause", {"found": causes or "not counted"}),
        Row("spool, peak, MB", {"found": max(memory.spool, default=0) / _MB}),
        Row("pool busy", {"found": found.busy, "to reach": _BUSY}, found.busy >= _BUSY),
        Row("memory, peak, MB", {"found": memory.peak / _MB}),
        Row("second half's peak over the first's", {"found": late / early}, late / early < _GROWTH),
        Row("slope of the second half, kB / s", {"found": memory.slope(half) / 1e3}),
    ]
    size = f"{night.groups} groups of {night.warps} warps of {night.side} x {night.side}"
    notes = ["Memory: of all processes, shared pages once, without files in memory."]
    return Section(f"A night of {size}, a spool for {night.room}, from S3", rows, notes)


def _arrivals(stock: Stock, night: Night) -> Iterator[schemas.WarpArrived]:
    """Yield the arrivals visit by visit over all groups, as a survey observes."""
    for visit in range(night.warps):
        for group in range(night.groups):
            number = _FIRST + visit * night.groups + group
            yield stock.elsewhere(number, group + 1, BUCKET)


def _words(night: Night) -> tuple[str, ...]:
    side = (night.side, night.side)
    spool = str(round((night.room + 0.5) * laid_bytes(side)))
    pixels = ("--max-warp-side-px", str(night.side), "--spool-bytes", spool)
    return ("--workers", str(_WORKERS), *pixels, "--allow", f"s3://{BUCKET}")


def _found(served: Served, arrivals: list[schemas.WarpArrived], night: Night) -> Found:
    groups: dict[int, list[schemas.WarpArrived]] = {}
    for one in arrivals:
        groups.setdefault(one.patch, []).append(one)
    before, began = served.processor_s(), time.monotonic()
    with served.watched() as memory:
        served.announce([*map(manifest, groups.values()), *arrivals])
        last = served.until_published(night.groups)
    jobs = [one for one in served.notes("job") if one["job"] == "match" and one["fault"] is None]
    matched = {visit for one in jobs for visit in one["visits"]}
    return Found(
        last["ended"] - began,
        served.processor_s() - before,
        memory,
        served.decodes(),
        len({one.checksum for one in arrivals}),
        len(matched),
        len(served.notes("reused")),
        busy(served.notes("job"), _WORKERS),
    )


def busy(jobs: Sequence[Note], workers: int) -> float:
    """Return the share of the workers' time from the first job to the last that was spent on jobs.

    Parameters
    ----------
    jobs : sequence of dict
        What was noted of each.
    workers : int
    """
    span = max(one["left"] for one in jobs) - min(one["began"] for one in jobs)
    worked = sum(one["left"] - one["began"] for one in jobs)
    return float(worked / (workers * span))
