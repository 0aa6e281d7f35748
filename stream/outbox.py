"""Records as they are written: every one to the partition that it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import schemas
from stream import inbox
from stream.log.seam import Outgoing, Record
from stream.log.topics import Topics
from stream.revision import Unfolding

__all__ = ["Outbox"]

_US = 1_000_000


class Outbox:
    """Makes the outgoing records of one partition.

    Parameters
    ----------
    topics : Topics
    partition : int
    source : str
        Who writes, in the headers.
    """

    def __init__(self, topics: Topics, partition: int, source: str) -> None:
        self._topics = topics
        self._partition = partition
        self._source = source

    def state(self, puts: Iterable[tuple[bytes, bytes | None]]) -> Iterator[Outgoing]:
        """Yield changelog records."""
        for key, value in puts:
            yield Outgoing(self._topics.state, self._partition, key, value)

    def position(self, position: schemas.Position) -> Outgoing:
        """Return the changelog's record of the position."""
        value = schemas.pack_position(position)
        return Outgoing(self._topics.state, self._partition, schemas.POSITION_KEY, value)

    def letter(self, record: Record, dead: inbox.Dead, now: float) -> Outgoing:
        """Return the dead letter of a record."""
        letter = schemas.DeadLetter.of(record, dead.error, dead.stage)
        name = f"{record.topic}/{record.partition}/{record.offset}"
        return self._message(self._topics.dead_letters, letter, name, _text(now))

    def tick(self, due: int, now: float) -> Outgoing:
        """Return a record that moves the partition's clock."""
        tick = schemas.ClockTick(partition=self._partition)
        name = f"tick/{self._partition}/{due}/{round(now * _US)}"
        return self._message(self._topics.warps, tick, name, _text(now))

    def revision(self, unfolding: Unfolding, now: float) -> Iterator[Outgoing]:
        """Yield the models, the summary and the metrics of a revision, each when it is made."""
        case, time = unfolding.case, _text(now)
        name = f"{case.group.key}@{case.frozen.revision}"
        topic, partition = self._topics.models, self._partition
        headers = schemas.headers_of(schemas.BackgroundModel, self._source, time)
        for one in unfolding.told():
            named = headers(f"{name}/{one.model.visit}")
            yield Outgoing(topic, partition, one.model.routing_key, one.value, named)
        revision = unfolding.revision
        yield self._message(self._topics.groups, revision.summary, name, time)
        topic, key = self._topics.metrics, revision.metric.routing_key
        headers = schemas.headers_of(schemas.BackgroundMetric, self._source, time)
        for one in revision.told:
            named = headers(f"{name}/metric/{one.model.visit}")
            yield Outgoing(topic, partition, key, one.measure, named)
        yield self._message(topic, revision.metric, f"{name}/metric/group", time)

    def _message(self, topic: str, message: schemas.Message, name: str, time: str) -> Outgoing:
        encoded = schemas.encode(message, id=name, source=self._source, time=time)
        return Outgoing(topic, self._partition, encoded.key, encoded.value, encoded.headers)


def _text(now: float) -> str:
    return schemas.time_text(round(now * _US))
