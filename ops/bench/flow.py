"""How fast events come in and revisions go out, and whether the event loop keeps its hours."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import core
import schemas
from ops.bench.bare import bare_pattern
from ops.bench.night import night
from ops.bench.places import Place, Rig, announce
from ops.bench.planes import pair
from ops.bench.report import Row, Section
from stream import fits, jobs
from stream.pool import WorkerPool

__all__ = ["flow"]

_MS = 1e3
_MEMBERS = 10
_PARTITIONS = 4
_EVENTS_A_SECOND = 10_000
_PUBLISH_MS = 250
_LAG_MS = 50
_WORKERS = 2
_SIDE = 600


@dataclass(frozen=True, slots=True)
class _Found:
    """What the rounds of one place have shown."""

    rates: list[float]
    bare: list[float]
    published: list[float]
    lags: list[float]


def flow(places: list[Place], events: int, rounds: int) -> Section:
    """Measure a service on each place.

    Parameters
    ----------
    places : list of Place
    events : int
        Arrivals of each round.
    rounds : int
        Each with a new log.
    """
    rows = [
        row
        for place in places
        for row in _rows(place, asyncio.run(_measured(place, events, rounds)))
    ]
    notes = [
        f"{events} arrivals in {_PARTITIONS} partitions, {_MEMBERS} a group; {rounds} rounds.",
        "Bare: as large transactions of 300 B a record, with offsets, by one producer.",
        "Publishing: the transaction of a revision of 10 models, while events come in.",
        f"Lag: {_WORKERS} workers match without a pause, and events come in.",
    ]
    return Section("Events in, revisions out", rows, notes)


async def _measured(place: Place, events: int, rounds: int) -> _Found:
    found = _Found([], [], [], [])
    for _ in range(rounds):
        if place.bootstrap is not None:
            found.bare.append(await bare_pattern(place, events))
        rig = Rig(await place.made(_PARTITIONS))
        found.rates.append(await rig.run(await announce(rig.settings, _arrivals(events)), 0))
        await _publishing(place, events // 10, found.published)
        async with _busy():
            await _lagging(place, events, found.lags)
    return found


def _arrivals(events: int) -> Iterator[schemas.Message]:
    return night(events // _MEMBERS, _MEMBERS)


async def _publishing(place: Place, events: int, seconds: list[float]) -> None:
    rig = Rig(await place.made(_PARTITIONS))
    groups = max(1, events // _MEMBERS)
    sent = await announce(rig.settings, night(groups, _MEMBERS, manifests=True))
    await rig.run(sent, groups)
    seconds.extend(rig.published)


async def _lagging(place: Place, events: int, lags: list[float]) -> None:
    rig = Rig(await place.made(_PARTITIONS))
    await rig.run(await announce(rig.settings, _arrivals(events)), 0)
    lags.extend(rig.lags)


@contextlib.asynccontextmanager
async def _busy() -> AsyncIterator[None]:
    """Have all workers match without a pause."""
    pool = WorkerPool(_WORKERS, 600.0, 2**31)
    await pool.start()
    reference, science = (
        jobs.WarpInput(visit, str(visit), fits.encode(one, {}))
        for visit, one in enumerate(pair(_SIDE))
    )
    config, limits = core.MatchConfig(bin_size=64), fits.DecodeLimits()

    async def work() -> None:
        while True:
            await pool.run(jobs.match, reference, science, config, limits)

    hands = [asyncio.create_task(work()) for _ in range(_WORKERS)]
    try:
        yield
    finally:
        for hand in hands:
            hand.cancel()
        await asyncio.wait(hands)
        await pool.close(0)


def _rows(place: Place, found: _Found) -> list[Row]:
    rate = statistics.median(found.rates)
    values: dict[str, float | str] = {"median": rate, "to reach": _EVENTS_A_SECOND}
    if found.bare:
        values["over bare"] = rate / statistics.median(found.bare)
    half, most = _percentiles(found.published)
    lag = _percentiles(found.lags)
    return [
        Row(f"{place.name}: ingest, events / s", values, rate >= _EVENTS_A_SECOND),
        Row(
            f"{place.name}: publish, ms",
            {"median": half * _MS, "p99": most * _MS, "to reach": _PUBLISH_MS},
            most * _MS < _PUBLISH_MS,
        ),
        Row(
            f"{place.name}: loop lag, ms",
            {"median": lag[0] * _MS, "p99": lag[1] * _MS, "to reach": _LAG_MS},
            lag[1] * _MS < _LAG_MS,
        ),
    ]


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
