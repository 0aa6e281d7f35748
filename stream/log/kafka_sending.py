"""How records are handed to a Kafka producer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stream.log.seam import Outgoing

__all__ = ["Sending", "seen"]


def seen(done: asyncio.Future[Any]) -> None:
    """Look at an error that was told otherwise, or is of no interest; asyncio wants all seen."""
    if not done.cancelled():
        done.exception()


@dataclass(slots=True)
class Sending:
    """What is handed to a producer, in batches of its own size.

    Parameters
    ----------
    producer : AIOKafkaProducer

    Attributes
    ----------
    batches : list of Future
        Done when what was handed over is written.
    counts : Counter
        Records by topic.
    """

    producer: Any
    batches: list[asyncio.Future[Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _open: dict[tuple[str, int], Any] = field(default_factory=dict)

    async def add(self, records: Sequence[Outgoing]) -> None:
        """Take in records; of each place those of full batches are on their way."""
        for one in records:
            place = one.topic, one.partition
            batch = self._open.get(place)
            if batch is None or not _took(batch, one):
                if batch is not None:
                    self.batches.append(await _send_batch(self.producer, batch, place))
                batch = self._open[place] = self.producer.create_batch()
                _took(batch, one)  # as the first it is taken whatever its size
            self.counts[one.topic] += 1

    async def end(self) -> None:
        """Send what waits for more."""
        for place, batch in self._open.items():
            self.batches.append(await _send_batch(self.producer, batch, place))
        self._open.clear()


def _took(batch: Any, one: Outgoing) -> bool:
    """Put a record into a batch, if it has room: a third of the work that `send` makes of it."""
    headers = list(one.headers)
    return batch.append(timestamp=None, key=one.key, value=one.value, headers=headers) is not None


async def _send_batch(producer: Any, batch: Any, place: tuple[str, int]) -> asyncio.Future[Any]:
    topic, partition = place
    batch.close()
    future: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
    future.add_done_callback(seen)  # when one fails the others' errors are of no interest
    return future
