"""What the state of a partition costs: to read back, to hold, and for each event."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import psutil

import schemas
from core import groups
from ops.bench.night import arrived, group_id, member, state
from ops.bench.places import Place, chunks, owning
from ops.bench.report import Row, Section
from stream.changelog import restore
from stream.collector import uncollected
from stream.ingest import Batch
from stream.log.seam import Record
from stream.outbox import Outbox
from stream.settings import Settings
from stream.wiring import our_topics

__all__ = ["growth", "restores"]

_MEMBERS: Final = 100
_RESTORE_S: Final = 15.0
_AT_SIZE: Final = 500_000
_MEMBER_BYTES: Final = 1000
_FLAT: Final = 1.5
_MICRO: Final = 1e6
_NOW_MS: Final = 1_790_000_000_000
_POLICY: Final = groups.Policy(quiet_ms=None, deadline_ms=10**12)


def restores(places: list[Place], members: int) -> Section:
    """Time reading a partition back, and tell the memory that it takes.

    Parameters
    ----------
    places : list of Place
    members : int
        Of the partition, all measured and published.
    """
    rows = []
    for place in places:
        context = multiprocessing.get_context("spawn")  # with a heap that nobody has used yet
        settings = asyncio.run(_filled(place, members))
        with ProcessPoolExecutor(1, context) as child:
            seconds, size = child.submit(_restored, settings).result()
        scaled = seconds * _AT_SIZE / members
        took: dict[str, float | str] = {"measured": seconds, "to reach": _RESTORE_S}
        rows.append(Row(f"{place.name}: restore, s", took, scaled <= _RESTORE_S))
        held: dict[str, float | str] = {"measured": size / members, "to reach": _MEMBER_BYTES}
        rows.append(Row(f"{place.name}: memory a member, B", held, size / members <= _MEMBER_BYTES))
    notes = [f"{members} members in one partition, {_MEMBERS} a group; to reach at {_AT_SIZE}."]
    return Section("The state of a partition", rows, notes)


async def _filled(place: Place, members: int) -> Settings:
    """Make a log with the state of so many members."""
    settings = await place.made()
    outbox = Outbox(our_topics(settings), 0, "bench")
    position = schemas.Position(next_offset=0, partitions=1, clock=_NOW_MS)
    async with owning(settings) as log:
        for chunk in chunks(outbox.state(state(max(1, members // _MEMBERS), _MEMBERS))):
            await log.transact(0, chunk)
        await log.transact(0, [outbox.position(position)])
    return settings


def _restored(settings: Settings) -> tuple[float, float]:
    """Read a partition back; return the seconds that it took, and the bytes that it takes."""
    return asyncio.run(_restore(settings))


async def _restore(settings: Settings) -> tuple[float, float]:
    async with owning(settings) as log:
        before = _resident()
        began = time.perf_counter()
        with uncollected():
            restored = await restore(log.changelog(0), lambda _: _POLICY, 1)
        seconds = time.perf_counter() - began
        size = _resident() - before
        assert restored.records  # noqa: S101 - and it is alive until here
    return seconds, size


def _resident() -> int:
    gc.collect()
    size: int = psutil.Process().memory_info().rss
    return size


# -- growth ----------------------------------------------------------------------------------------


def growth(members: int, open_groups: int, runs: int) -> Section:
    """Compare what an event costs in small and in large groups, among few and among many.

    Parameters
    ----------
    members, open_groups : int
        The largest; the smallest are a hundredth and a thousandth of them.
    runs : int
        Of each row; the shortest counts.
    """
    few = max(1, open_groups // 1000)
    rows = [
        _compared("members a group", [max(1, members // 100), members], runs, lambda m: (20, m)),
        _compared("open groups", [few, open_groups], runs, lambda g: (g, 1)),
    ]
    notes = ["Processor time of an arrival, from its bytes to the bytes of the changelog."]
    return Section("Cost of an event", rows, notes)


def _compared(
    name: str, sizes: list[int], runs: int, shape: Callable[[int], tuple[int, int]]
) -> Row:
    small, large = (_cost(*shape(size), runs) for size in sizes)
    values: dict[str, float | str] = {
        "small, us": small * _MICRO,
        "large, us": large * _MICRO,
        "ratio": large / small,
        "to reach": _FLAT,
    }
    return Row(f"{sizes[0]} to {sizes[1]} {name}", values, large / small <= _FLAT)


def _cost(groups_: int, members: int, runs: int) -> float:
    """Return the processor seconds of an arrival among so many groups of so many members."""
    loaded = _loaded(groups_, members)
    best = float("inf")
    for run in range(runs):
        records = list(_records(groups_, 10_000 * (run + 1)))
        began = time.process_time()
        batch = Batch(loaded, 1)
        for record in records:
            batch.take(record)
        best = min(best, (time.process_time() - began) / len(records))
        assert not batch.dead  # noqa: S101 - or something else was measured
    return best


def _loaded(groups_: int, members: int) -> groups.Partition:
    loaded = groups.Partition(lambda _: _POLICY)
    header = groups.Header(
        opened_at=_NOW_MS, heard=members, present=members, changed=members, last_arrival=_NOW_MS
    )
    for number in range(groups_):
        key = group_id(number).key
        loaded.load_header(key, header)
        for visit in range(members):
            loaded.load_member(key, member(number, visit))
    loaded.load_clock(_NOW_MS)
    loaded.restored()
    return loaded


def _records(groups_: int, first: int) -> Iterable[Record]:
    """Yield a thousand arrivals of new visits, spread over the groups."""
    for number in range(1000):
        group = number * 7919 % groups_
        encoded = schemas.encode(
            arrived(group, first + number),
            id=str(number),
            source="bench",
            time="2026-11-23T00:00:00Z",
        )
        yield Record("warps", 0, number, _NOW_MS, encoded.key, encoded.value, encoded.headers)
