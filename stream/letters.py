"""Dead letters as they stand in their topic: read one by one, and chosen."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Self

import schemas
from stream.log.seam import ReaderLog, Record

__all__ = ["Choice", "Found", "Place", "Unreadable", "read_letters"]

_PLACE: Final = re.compile(r"(?:([A-Za-z0-9._-]{1,249}):)?(\d{1,10}):(\d{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands, as people say it: ``PARTITION:OFFSET`` or ``TOPIC:PARTITION:OFFSET``.

    Attributes
    ----------
    topic : str or None
        None is the topic of the dead letters.
    partition, offset : int
    """

    topic: str | None
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a place.

        Raises
        ------
        ValueError
            It is none.
        """
        found = _PLACE.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{text!r} is no position: PARTITION:OFFSET of a dead letter, for example 3:17, "
                "or TOPIC:PARTITION:OFFSET of the record that it is about"
            )
        return cls(found[1], int(found[2]), int(found[3]))

    def __str__(self) -> str:
        place = f"{self.partition}:{self.offset}"
        return place if self.topic is None else f"{self.topic}:{place}"


@dataclass(frozen=True, slots=True)
class Found:
    """A dead letter, and where it stands.

    Attributes
    ----------
    topic : str
        The topic of the dead letters.
    place : Place
        In that topic.
    written : int
        When the log appended it, in milliseconds since 1970 (UTC).
    letter : schemas.DeadLetter
    """

    topic: str
    place: Place
    written: int
    letter: schemas.DeadLetter

    @property
    def about(self) -> Place:
        """Where the record stands that the letter is about."""
        return Place(self.letter.topic, self.letter.partition, self.letter.offset)

    def stands_at(self, place: Place) -> bool:
        """Tell whether a place means this letter, or the record that it is about."""
        if place.topic in {None, self.topic}:
            return Place(None, place.partition, place.offset) == self.place
        return place == self.about


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record among the dead letters that is none, or one of a later version."""

    place: Place
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters are meant; each condition that is given must hold.

    Attributes
    ----------
    reasons : frozenset of DeadReason
        One of these; empty is any.
    partitions : frozenset of int
        In one of these, of the dead letters and of the input alike; empty is any.
    since, until : int or None
        Appended to the dead letters at or after, and before, milliseconds since 1970 (UTC).
    places : frozenset of Place
        At one of these; empty is anywhere.
    """

    reasons: frozenset[schemas.DeadReason] = frozenset()
    partitions: frozenset[int] = frozenset()
    since: int | None = None
    until: int | None = None
    places: frozenset[Place] = frozenset()

    def takes(self, found: Found) -> bool:
        """Tell whether a letter is meant."""
        return (
            (not self.reasons or found.letter.reason in self.reasons)
            and (not self.partitions or found.place.partition in self.partitions)
            and (self.since is None or found.written >= self.since)
            and (self.until is None or found.written < self.until)
            and (not self.places or any(map(found.stands_at, self.places)))
        )


async def read_letters(log: ReaderLog, topic: str) -> AsyncGenerator[Found | Unreadable, None]:
    """Yield what stands in the topic of the dead letters now; one letter at a time is in memory.

    Parameters
    ----------
    log : ReaderLog
        Started.
    topic : str
    """
    # closed with this one, or its connection would outlive who stops early
    async with aclosing(log.read([topic], follow=False)) as records:
        async for record in records:
            yield _read(record)


def _read(record: Record) -> Found | Unreadable:
    place = Place(None, record.partition, record.offset)
    try:
        _, message = schemas.decode(record.key, record.headers, record.value)
    except schemas.SchemaError as error:
        return Unreadable(place, str(error))
    if not isinstance(message, schemas.DeadLetter):
        return Unreadable(place, f"{message.ce_type} is no dead letter")
    return Found(record.topic, place, record.timestamp, message)
