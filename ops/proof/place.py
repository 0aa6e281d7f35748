"""Where a log is, as options say it, and what stands in it as any consumer reads it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import schemas
from stream.configure import load_settings
from stream.log.kafka_topics import create_topics
from stream.log.seam import Outgoing, Places, Record
from stream.log.topics import Topics
from stream.settings import Settings
from stream.wiring import kafka_settings, our_topics, publisher_log, reader_log

__all__ = ["Place", "Tail", "messages"]

T = TypeVar("T")

_BATCH = 500
_CHUNK = 20_000


@dataclass(frozen=True)
class Place:
    """A log, and whatever else a service on it needs to be told.

    Attributes
    ----------
    options : tuple of str
        Options that every command takes: where the log is.
    service : tuple of str
        Options that `evensky run` takes besides.
    """

    options: tuple[str, ...]
    service: tuple[str, ...] = ()

    @classmethod
    def file(cls, path: Path, *service: str) -> Self:
        """Return an embedded log."""
        return cls(("--log", str(path)), service)

    @classmethod
    def kafka(cls, bootstrap: str, folder: Path, partitions: int = 4, *service: str) -> Self:
        """Make topics of its own on a broker, for warps that lie in a folder."""
        name = f"proof-{uuid.uuid4().hex[:8]}"
        options = ("--bootstrap-servers", bootstrap, "--topic-prefix", name)
        place = cls(options, ("--app", name, "--allow", str(folder), *service))
        settings = place.settings
        specs = our_topics(settings).specs(partitions)
        asyncio.run(create_topics(kafka_settings(settings), specs))
        return place

    @property
    def settings(self) -> Settings:
        """The settings of whoever publishes there or reads."""
        return load_settings(_given(self.options), environment={})

    @property
    def service_settings(self) -> Settings:
        """The settings of its service."""
        given = _given((*self.options, *self.service))
        return load_settings(given, environment={})

    @property
    def topics(self) -> Topics:
        """The topics' names."""
        return our_topics(self.settings)

    def records(self, topic: str) -> list[Record]:
        """Return what stands in one of our topics, such as ``models``."""
        return list(self.each(topic))

    def each(self, topic: str) -> Iterator[Record]:
        """Yield what stands in one of our topics, some thousand records in memory at once."""
        tail = Tail(self, topic)
        while records := tail.more(_CHUNK):
            yield from records

    def publish(self, records: Sequence[Outgoing]) -> None:
        """Append records to the input, durably, in their order."""

        async def send() -> None:
            log = publisher_log(self.settings)
            await log.start()
            try:
                for start in range(0, len(records), _BATCH):
                    await log.publish(records[start : start + _BATCH])
            finally:
                await log.close()

        asyncio.run(send())


def _given(words: Sequence[str]) -> Mapping[str, object]:
    """Return options, each with one value, as settings; folders may be named several times."""
    names = [word.removeprefix("--").replace("-", "_") for word in words[::2]]
    given: dict[str, object] = dict(zip(names, words[1::2], strict=True))
    allowed = [value for name, value in zip(names, words[1::2], strict=True) if name == "allow"]
    return given | ({"allow": allowed} if allowed else {})


class Tail:
    """What comes into a topic, read on from where the last look ended.

    Parameters
    ----------
    place : Place
    topic : str
        Such as ``groups``.
    """

    def __init__(self, place: Place, topic: str) -> None:
        self._settings = place.settings
        self._topic: str = getattr(our_topics(self._settings), topic)
        self._next: dict[tuple[str, int], int] = {}

    def more(self, most: int | None = None) -> list[Record]:
        """Return the records that no look has returned yet, or the first so many of them."""
        if not self._settings.brokers and not self._settings.log.exists():
            return []
        return asyncio.run(self._more(dict(self._next), most))

    async def _more(self, starts: Places, most: int | None) -> list[Record]:
        records: list[Record] = []
        log = reader_log(self._settings)
        await log.start()
        try:
            async with aclosing(log.read([self._topic], follow=False, starts=starts)) as found:
                async for record in found:
                    records.append(record)
                    if len(records) == most:
                        break
        finally:
            await log.close()
        for one in records:
            self._next[one.topic, one.partition] = one.offset + 1
        return records


def messages(records: Iterable[Record], kind: type[T]) -> Iterator[T]:
    """Decode records that must all be of one kind."""
    for record in records:
        message = schemas.decode(record.key, record.headers, record.value)[1]
        if not isinstance(message, kind):
            raise TypeError(f"{record.topic} [{record.partition}] {record.offset}: {message!r}")
        yield message
