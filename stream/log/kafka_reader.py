"""The log on Kafka as a consumer outside any group sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from stream.log.kafka_link import translated
from stream.log.kafka_read import begins, ends, read
from stream.log.kafka_settings import KafkaSettings
from stream.log.kafka_topics import count_partitions
from stream.log.rights import Operation
from stream.log.seam import Places, Record
from stream.log.topics import Topics

__all__ = ["KafkaReader"]


class KafkaReader:
    """A consumer outside any group (`stream.log.seam.ReaderLog`).

    Parameters
    ----------
    settings : KafkaSettings
    topics : Topics
    """

    def __init__(self, settings: KafkaSettings, topics: Topics) -> None:
        self._settings = settings
        self._topics = topics
        self._partitions = 0

    @property
    def partitions(self) -> int:
        """Number of partitions of each topic."""
        return self._partitions

    async def start(self) -> None:
        """Look whether the topics are there, by one that whoever reads may see."""
        with translated(self._settings):
            found = await count_partitions(self._settings, [self._topics.groups])
            self._partitions = found[self._topics.groups]

    async def ends(self, topics: Sequence[str]) -> Places:
        """Return the last stable offsets."""
        with translated(self._settings):
            return await ends(self._settings, await self._every(topics))

    async def begins(self, topics: Sequence[str]) -> Places:
        """Return the log start offsets."""
        with translated(self._settings):
            return await begins(self._settings, await self._every(topics))

    async def _every(self, topics: Sequence[str]) -> list[tuple[str, int]]:
        counts = await count_partitions(self._settings, topics, Operation.READ)
        return [(topic, one) for topic, count in counts.items() for one in range(count)]

    async def read(
        self,
        topics: Sequence[str],
        *,
        follow: bool,
        from_end: bool = False,
        starts: Places | None = None,
    ) -> AsyncGenerator[Record, None]:
        """Yield committed records, each partition in order."""
        with translated(self._settings):
            wanted = {at: (starts or {}).get(at, 0) for at in await self._every(topics)}
            found = read(self._settings, wanted, follow=follow, tail=0 if from_end else None)
            async with aclosing(found):
                async for record in found:
                    yield record

    async def close(self) -> None:
        """Do nothing: each `read` has a connection of its own and closes it."""
