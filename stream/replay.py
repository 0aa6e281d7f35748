"""Putting dead letters' records back on the input, where that can do any good.

A replayed record has the key, headers and value that it had, so it is the same event: version and
time are the event's own, and a group that has seen it already is not changed by seeing it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import schemas
from core import groups
from stream import inbox
from stream.letters import Found, Place
from stream.log.seam import LogRefusedError, Outgoing, PublisherLog, Record
from stream.standing import Standing

__all__ = ["MOST_TOLD", "Fate", "Judge", "Refusal", "Renewing", "Replayer", "Report", "judge"]

MOST_TOLD: Final = 1000
"""Refused letters that a report names one by one; all are counted."""

_BATCH_RECORDS: Final = 500
_BATCH_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record is not put back.

    Attributes
    ----------
    why : str
        What stands against it.
    advice : str
        What to do instead.
    """

    why: str
    advice: str

    def __str__(self) -> str:
        return f"{self.why}; {self.advice}"


Fate = Outgoing | Refusal
_Chosen = tuple[Place, schemas.DeadReason, Outgoing]


def judge(
    letter: schemas.DeadLetter, topic: str, partitions: int, standing: Standing | None = None
) -> Fate:
    """Return the record to be put on the input for a letter, or why it would do no good.

    Parameters
    ----------
    letter : schemas.DeadLetter
    topic : str
        The input.
    partitions : int
        Of the input.
    standing : Standing, optional
        Where the group stands, if that was looked up.

    Returns
    -------
    Outgoing or Refusal
        The record as it was, on the partition that its key belongs to.
    """
    remedy = schemas.REMEDIES[letter.reason]
    if letter.topic != topic:
        return Refusal(
            f"it is about a record of {letter.topic}, and the input here is {topic}",
            "give the --topic-prefix of the log that it came from",
        )
    if remedy.cure is schemas.Cure.NEVER:
        return Refusal(f"it would only come back as {letter.reason}", remedy.advice)
    if not letter.whole or letter.value is None:
        return Refusal(
            "only a part of the record was kept, with its size and checksum",
            "let the producer send the event anew",
        )
    return _read_again(letter, letter.value, partitions, standing or Standing())


def _read_again(
    letter: schemas.DeadLetter, value: bytes, partitions: int, standing: Standing
) -> Fate:
    """Read a record as the service will: whatever its letter says, it must not come back."""
    key = letter.key or b""
    home = schemas.partition_of(key, partitions)
    record = Record(
        letter.topic, home, letter.offset, letter.timestamp, letter.key, value, letter.headers
    )
    read = inbox.read(record, 0, partitions)
    if isinstance(read, inbox.Dead):
        reason = read.error.reason
        why = f"it would come back as {reason}: {read.error}"
        return Refusal(why, schemas.REMEDIES[reason].advice)
    stopped = _stopped(read, standing) if isinstance(read, inbox.GroupEvent) else None
    return stopped or Outgoing(letter.topic, home, letter.key, value, letter.headers)


def _stopped(read: inbox.GroupEvent, standing: Standing) -> Refusal | None:
    """Return what the group, as it stands, or its state's format has against an event."""
    header, position = standing.header, standing.position
    if position is not None and position.state_format < inbox.least_format(read.event):
        return Refusal(
            f"it would come back as {schemas.DeadReason.UNSUPPORTED_TYPE}: the service still "
            f"writes its state in format {position.state_format}",
            "raise the service's state_format, and replay it after that",
        )
    if header is None or header.sealed_at is None or isinstance(read.event, _TAKEN_WHEN_SEALED):
        return None
    since = schemas.time_text(1000 * header.sealed_at)
    why = f"the group {read.group} is sealed since {since}"
    if isinstance(read.event, groups.Reopened) or header.forgotten:
        return Refusal(f"{why}, too long to be reopened", "announce it under another campaign")
    return Refusal(why, f"run `evensky reopen {read.group}`, and replay it after that")


_TAKEN_WHEN_SEALED: Final = (groups.Sealed, groups.Suspected)


class Judge:
    """Judges letters, and looks up where a group stands for those of which that decides.

    Parameters
    ----------
    topic : str
        The input.
    partitions : int
        Of the input.
    standing_of : callable, optional
        Returns where a group stands, from its key.
    """

    def __init__(
        self,
        topic: str,
        partitions: int,
        standing_of: Callable[[str], Awaitable[Standing]] | None = None,
    ) -> None:
        self._topic = topic
        self._partitions = partitions
        self._standing_of = standing_of

    async def __call__(self, letter: schemas.DeadLetter) -> Fate:
        """Return the record to be put on the input for a letter, or why it would do no good."""
        fate = judge(letter, self._topic, self._partitions)
        if isinstance(fate, Refusal) or letter.reason not in _HANG_ON_THE_GROUP:
            return fate
        if self._standing_of is None:
            return fate
        standing = await self._standing_of((letter.key or b"").decode())
        return judge(letter, self._topic, self._partitions, standing)


_HANG_ON_THE_GROUP: Final = (schemas.DeadReason.SEALED, schemas.DeadReason.UNSUPPORTED_TYPE)


@dataclass(slots=True)
class Report:
    """What became of the letters that were chosen.

    Attributes
    ----------
    replayed, refused : Counter
        Letters by their reasons.
    refusals : list of (Place, DeadReason, Refusal)
        The first `MOST_TOLD` of those that were refused.
    """

    replayed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    refusals: list[tuple[Place, schemas.DeadReason, Refusal]] = field(default_factory=list)


class Replayer:
    """Takes letters one by one and publishes their records in batches, in the same order.

    Parameters
    ----------
    publish : callable
        Appends records; they are durable when it returns.
    judge : Judge

    Attributes
    ----------
    report : Report
        Of what was published so far.
    """

    def __init__(
        self, publish: Callable[[Sequence[Outgoing]], Awaitable[None]], judge: Judge
    ) -> None:
        self._publish = publish
        self._judge = judge
        self._batch: list[_Chosen] = []
        self._bytes = 0
        self.report = Report()

    async def take(self, found: Found) -> None:
        """Take a letter; its record may wait for others."""
        reason = found.letter.reason
        fate = await self._judge(found.letter)
        if isinstance(fate, Refusal):
            self._refuse(found.place, reason, fate)
            return
        self._batch.append((found.place, reason, fate))
        self._bytes += len(fate.value or b"")
        if len(self._batch) >= _BATCH_RECORDS or self._bytes >= _BATCH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Publish what waits; if that is refused, one by one, so that one holds back no other."""
        batch, self._batch, self._bytes = self._batch, [], 0
        if not batch:
            return
        try:
            await self._send(batch)
        except LogRefusedError:
            for one in batch:
                await self._try(one)

    async def _try(self, one: _Chosen) -> None:
        try:
            await self._send([one])
        except LogRefusedError as error:
            place, reason, _ = one
            advice = "let the producer send the event anew, or mend the log"
            self._refuse(place, reason, Refusal(f"the log does not take it: {error}", advice))

    async def _send(self, batch: Sequence[_Chosen]) -> None:
        await self._publish([record for _, _, record in batch])
        self.report.replayed.update(reason for _, reason, _ in batch)

    def _refuse(self, place: Place, reason: schemas.DeadReason, refusal: Refusal) -> None:
        self.report.refused[reason] += 1
        if len(self.report.refusals) < MOST_TOLD:
            self.report.refusals.append((place, reason, refusal))


class Renewing:
    """A publisher that can go on after a refusal; to be used in `async with`.

    Kafka's idempotent producers number what they send, and what was refused leaves a gap: aiokafka
    0.14 then fails for good (OutOfOrderSequenceNumber). So a refusal ends a connection.

    Parameters
    ----------
    make : callable
        Returns a publisher that is not started.
    """

    def __init__(self, make: Callable[[], PublisherLog]) -> None:
        self._make = make
        self._log = make()

    async def __aenter__(self) -> Self:
        await self._log.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._log.close()

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append records; they are durable when it returns, and `LogRefusedError` may be raised."""
        try:
            await self._log.publish(records)
        except LogRefusedError:
            await self._log.close()
            self._log = self._make()
            await self._log.start()
            raise
