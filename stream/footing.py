"""A partition's state held against the log that it should belong to, before work goes on.

A log that lost records that nobody has read, a changelog that lost what was written, or another
log under the same name: each would go unseen if an owner simply went on from some offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import schemas
from stream import inbox
from stream.changelog import Restored
from stream.log.seam import Footing, LogRefusedError, Record
from stream.log.topics import Topics

__all__ = ["accepted_losses", "place_to_go_on"]


def accepted_losses(given: Iterable[str]) -> Mapping[int, int]:
    """Return by partition the offset before which input may be lost.

    Parameters
    ----------
    given : iterable of str
        ``PARTITION:OFFSET``; of several for a partition the largest counts.
    """
    pairs = (text.split(":") for text in given)
    return dict(sorted((int(partition), int(offset)) for partition, offset in pairs))


def place_to_go_on(
    topics: Topics, partition: int, restored: Restored, footing: Footing, accepted: int = 0
) -> int:
    """Return the offset of the input where work goes on; refuse a state of another log.

    That is where the state says. A committed offset that is behind the state, or gone, is no
    fault: the state counts. Where input is lost that nobody has read, and that was accepted, it is
    the first record held.

    Parameters
    ----------
    topics : Topics
    partition : int
    restored : Restored
        What the changelog told.
    footing : Footing
        What the log shows where the state would go on.
    accepted : int
        Offset before which input may be lost.

    Raises
    ------
    LogRefusedError
        With what is wrong and what to do.
    """
    for fault in _faults(topics, restored, footing):
        raise LogRefusedError(f"partition {partition}: {fault}, or {footing.anew}")
    at, first = restored.position.next_offset, footing.first
    if first > max(at, accepted):
        raise LogRefusedError(
            f"partition {partition}: the state in {topics.state} goes on at offset {at} of "
            f"{topics.warps}, which begins at {first} by now: retention deleted {first - at} "
            "records before they were read, or the changelog is gone; lengthen the retention, and "
            f"restore what is lost, or go on without it by --accept-loss {partition}:{first}, or "
            f"{footing.anew}"
        )
    return max(at, first)


def _faults(topics: Topics, restored: Restored, footing: Footing) -> Iterator[str]:
    at = restored.position.next_offset
    told = f"the state in {topics.state} goes on at offset {at} of {topics.warps}"
    if restored.empty and footing.written:
        yield (
            f"{topics.state} is empty and {topics.groups} is not: the changelog was emptied or "
            "made anew; restore it"
        )
    if (footing.committed or 0) > at:
        yield (
            f"{told}, which was read to offset {footing.committed}: the changelog was emptied, "
            "made anew or cut off, or the committed offset was moved by hand; restore the "
            "changelog, or move the committed offset back"
        )
    if at > footing.end:
        yield f"{told}, which ends at {footing.end}: it is another log; restore the former one"
    if footing.first < at <= footing.end and not _is_last(restored.position, footing.before):
        yield (
            f"{told}, and the record before that is not the one that was read there: it is "
            "another log, or one that was cut off and written on; restore the former one"
        )


def _is_last(position: schemas.Position, record: Record | None) -> bool:
    """Tell whether a record is the last one that was read."""
    return record is not None and (position.timestamp, position.ce_id) == (
        record.timestamp,
        inbox.event_id(record),
    )
