"""What tests of the fetcher have in common."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from stream.faults import StoreAwayError, WarpError, WarpFault
from stream.fetch import Fetcher, FetchLimits, Hooks, Want

CONTENT = b"SIMPLE  =                    T" * 100
SHA = hashlib.sha256(CONTENT).hexdigest()
QUICK = FetchLimits(
    max_bytes=10_000,
    in_flight_bytes=10_000,
    chunk_bytes=1000,
    stall_s=5.0,
    missing_grace_s=0.0,
    pause_s=0.01,
    longest_pause_s=0.02,
    away_s=0.02,
    longest_away_s=0.1,
)


def quick(**limits: Any) -> FetchLimits:
    """Return limits that nobody has to wait for, but for some."""
    return replace(QUICK, **limits)


def over(root: Path, hooks: Hooks | None = None, **limits: Any) -> Fetcher:
    """Return a fetcher that may read a folder, and lands files beside it."""
    return Fetcher([root], root.parent / "landing", quick(**limits), hooks)


async def fetched(
    fetcher: Fetcher, uri: str, checksum: str | None = None, size: int | None = None
) -> bytes:
    """Return the content of a file, however long its storage is away; a fault is raised."""
    want = Want(uri, checksum, size)
    while True:
        try:
            async with fetcher.hold(want) as (held,):
                if isinstance(held, WarpError):
                    raise held
                assert isinstance(held, str)
                return await asyncio.to_thread(Path(held).read_bytes)
        except StoreAwayError as error:
            away = error
        await fetcher.available(away)


async def fault(fetcher: Fetcher, uri: str, **facts: Any) -> WarpFault:
    """Return the fault that a fetch ends with."""
    try:
        await fetched(fetcher, uri, **facts)
    except WarpError as error:
        return error.reason
    raise AssertionError(f"{uri} was read")


async def trouble(fetcher: Fetcher, *wants: Want) -> StoreAwayError:
    """Return what a storage does instead of giving files."""
    try:
        async with fetcher.hold(*wants) as held:
            raise AssertionError(f"it gave {held}")
    except StoreAwayError as error:
        return error
