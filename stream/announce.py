"""Telling the service of warps: arrivals, exact sets, closings."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import schemas
from stream.log.seam import Outgoing, PublisherLog
from stream.log.topics import Topics

if TYPE_CHECKING:  # the service announces too, and reads no file
    from stream.describe import Described

__all__ = ["Announcer", "closings", "folders", "manifests"]

_US = 1_000_000


def manifests(described: Iterable[Described]) -> Iterator[schemas.GroupManifest]:
    """Yield, for each group among the files, the manifest that names exactly their visits."""
    visits: dict[schemas.GroupId, set[int]] = {}
    for one in described:
        visits.setdefault(one.message.group, set()).add(one.message.visit)
    for group, members in visits.items():
        yield schemas.GroupManifest(**group.fields, visits=tuple(sorted(members)))


def closings(described: Iterable[Described]) -> Iterator[schemas.GroupClosed]:
    """Yield, for each group among the files, the message that closes it."""
    for group in dict.fromkeys(one.message.group for one in described):
        yield schemas.GroupClosed(**group.fields)


@dataclass(frozen=True, slots=True)
class Announcer:
    """Publishes events into the input topic, each to the partition that its key belongs on.

    Attributes
    ----------
    log : PublisherLog
        Started.
    topics : Topics
    clock : callable
        Wall time, seconds since 1970.
    source : str
        Who announces, in the headers.
    """

    log: PublisherLog
    topics: Topics
    clock: Callable[[], float]
    source: str = "evensky/announce"

    async def send(self, messages: Sequence[schemas.Message]) -> None:
        """Publish messages; they are durable when it returns."""
        await self.log.publish([self._record(message) for message in messages])

    async def send_over(self, messages: Sequence[schemas.Message], seconds: float) -> None:
        """Publish messages one by one, evenly spread over some seconds."""
        for message in messages:
            await self.send([message])
            await asyncio.sleep(seconds / max(1, len(messages)))

    def _record(self, message: schemas.Message) -> Outgoing:
        time = schemas.time_text(round(self.clock() * _US))
        encoded = schemas.encode(message, id=str(uuid.uuid4()), source=self.source, time=time)
        partition = schemas.partition_of(encoded.key, self.log.partitions)
        return Outgoing(self.topics.warps, partition, encoded.key, encoded.value, encoded.headers)


def folders(described: Iterable[Described]) -> set[Path]:
    """Return the folders of the files."""
    return {one.path.resolve().parent for one in described}
