"""Where groups stand, as the state tells it to whoever does not own them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import schemas
from core import groups
from stream.log.seam import LogRefusedError, ReaderLog

__all__ = ["PartitionStanding", "Standing", "Standings", "read_partition"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One group.

    Attributes
    ----------
    header : Header or None
        None of a group that nobody has heard of.
    position : Position or None
        Of its partition; None before the first event.
    """

    header: groups.Header | None = None
    position: schemas.Position | None = None


@dataclass(slots=True)
class PartitionStanding:
    """Some groups of one partition."""

    headers: dict[str, groups.Header] = field(default_factory=dict)
    position: schemas.Position | None = None


async def read_partition(
    log: ReaderLog,
    topic: str,
    partition: int,
    wanted: Callable[[str, groups.Header], bool],
) -> PartitionStanding:
    """Read the state of a partition to its end; what is not wanted takes no memory.

    Parameters
    ----------
    log : ReaderLog
        Started.
    topic : str
        The state.
    partition : int
    wanted : callable
        Tells from a group's key and header whether to keep that.

    Raises
    ------
    LogRefusedError
        There is no state, or it was written by a newer version.
    """
    ends = await log.ends([topic])
    others = {place: end for place, end in ends.items() if place[1] != partition}
    found = PartitionStanding()
    async with aclosing(log.read([topic], follow=False, starts=others)) as records:
        async for record in records:
            try:
                _take(found, record.key or b"", record.value, wanted)
            except schemas.StateError as error:
                raise LogRefusedError(f"the state cannot be read: {error}") from error
    return found


def _take(
    found: PartitionStanding,
    key: bytes,
    value: bytes | None,
    wanted: Callable[[str, groups.Header], bool],
) -> None:
    place = schemas.parse_state_key(key)
    if value is None:
        return
    if place.kind is schemas.StateKind.POSITION:
        found.position = schemas.unpack_position(value)
    if place.kind is schemas.StateKind.HEADER:
        header = schemas.unpack_state(value, groups.Header)
        if wanted(place.group, header):
            found.headers[place.group] = header
        else:
            found.headers.pop(place.group, None)


class Standings:
    """The sealed groups of a log, read partition by partition when one is asked for.

    Parameters
    ----------
    log : ReaderLog
        Started.
    topic : str
        The state.
    """

    def __init__(self, log: ReaderLog, topic: str) -> None:
        self._log = log
        self._topic = topic
        self._read: dict[int, PartitionStanding] = {}

    async def of(self, group: str) -> Standing:
        """Return where a group stands; the header is None unless it is sealed."""
        partition = schemas.partition_of(group.encode(), self._log.partitions)
        if partition not in self._read:
            self._read[partition] = await read_partition(
                self._log, self._topic, partition, _is_sealed
            )
        read = self._read[partition]
        return Standing(read.headers.get(group), read.position)


def _is_sealed(_: str, header: groups.Header) -> bool:
    return header.seal is not groups.Seal.LIVE
