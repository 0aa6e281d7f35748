"""The records of a transaction in pieces: the first is on its way before the last is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from time import monotonic
from typing import Final

from stream.log.seam import Outgoing
from stream.log.topics import Topics, refuse_strays

__all__ = ["in_pieces"]

_AT_A_TIME_S: Final = 0.001


async def in_pieces(
    records: Iterable[Outgoing], topics: Topics, partitions: Collection[int]
) -> AsyncGenerator[Sequence[Outgoing], None]:
    """Yield records in pieces that each took a millisecond to make; the loop turns in between.

    Parameters
    ----------
    records : iterable of Outgoing
        A sequence is one piece, since nothing of it is made any more.
    topics : Topics
    partitions : collection of int

    Raises
    ------
    ValueError
        As `refuse_strays`, before the piece with the stray record.
    """
    if isinstance(records, Sequence):
        refuse_strays(records, topics, partitions)
        yield records
        return
    piece: list[Outgoing] = []
    since = monotonic()
    for one in records:
        piece.append(one)
        if monotonic() - since > _AT_A_TIME_S:
            refuse_strays(piece, topics, partitions)
            yield piece
            await asyncio.sleep(0)
            piece, since = [], monotonic()
    refuse_strays(piece, topics, partitions)
    yield piece
