"""Records that are noted while they pass into a transaction, where they are made on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stream.log.seam import Outgoing

__all__ = ["noting"]


def noting(seen: list[Outgoing], topic: str, records: Iterable[Outgoing]) -> Iterator[Outgoing]:
    """Yield records as they come, and note those of one topic."""
    for one in records:
        if one.topic == topic:
            seen.append(one)
        yield one
