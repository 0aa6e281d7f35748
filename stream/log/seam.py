"""The narrow seam between the service and whatever log it stands on.

Two logs implement it, `stream.log.embedded` (an SQLite file) and `stream.log.kafka`, and one
contract suite holds both to the same behaviour. The seam is pull-style: assignment changes arrive
with `OwnerLog.poll`, so nothing of the service runs inside a client library's callback.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

__all__ = [
    "Footing",
    "Headers",
    "LogError",
    "LogRefusedError",
    "LogUnavailableError",
    "Outgoing",
    "OwnerLog",
    "PartitionLostError",
    "Places",
    "Poll",
    "PublisherLog",
    "ReaderLog",
    "Record",
    "TopicSpec",
]

Headers = tuple[tuple[str, bytes], ...]

Places = Mapping[tuple[str, int], int]
"""An offset for each of some topics and partitions."""


class LogError(Exception):
    """Whatever a log can raise.

    LogError
    ├── PartitionLostError    drop what is held of the partition; it comes again with a poll
    ├── LogUnavailableError   the broker or file stayed away: exit code 3
    └── LogRefusedError       wrong settings or topics: exit code 2
    """


class PartitionLostError(LogError):
    """The partition may belong to another owner, or the outcome of a commit is unknown.

    Parameters
    ----------
    partition : int
        The partition that was lost.
    why : str
        What happened, for the log.
    """

    def __init__(self, partition: int, why: str) -> None:
        super().__init__(partition, why)
        self.partition = partition
        self.why = why

    def __str__(self) -> str:
        return f"partition {self.partition} was lost: {self.why}"


class LogUnavailableError(LogError):
    """The log could not be reached within its time limit."""


class LogRefusedError(LogError):
    """The log cannot be used as it is: its topics, format or lock say no."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read from a log.

    Attributes
    ----------
    topic, partition, offset
        Where it stands.
    timestamp : int
        When the log appended it, in milliseconds since 1970 (UTC).
    key, value : bytes or None
        As written; a value of None is a tombstone.
    headers : tuple of (str, bytes)
        In the order they were written.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Outgoing(Struct, frozen=True, gc=False):
    """One record to be written; the partition is always explicit."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll brought.

    Attributes
    ----------
    revoked : frozenset of int
        Partitions that are no longer ours. Handled before `assigned`; a partition may be in both.
    assigned : frozenset of int
        Partitions newly ours: paused until `OwnerLog.take` and `OwnerLog.resume`.
    records : mapping of int to sequence of Record
        Input records by partition, in the order of their offsets.
    ends : mapping of int to int
        For each resumed partition of which it is known, the offset behind the last record that
        can be read now; an owner whose position (the offset behind the last record it was given,
        or where it resumed) equals it has caught up. Whatever a log keeps between records, such
        as the marks of transactions, does not count.
    """

    revoked: frozenset[int] = frozenset()
    assigned: frozenset[int] = frozenset()
    records: Mapping[int, Sequence[Record]] = field(default_factory=dict)
    ends: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Footing:
    """What a log shows at the place of its input where an owner would go on.

    Attributes
    ----------
    first, end : int
        Offset of the first record held, and the one behind the last.
    committed : int or None
        Where the log itself notes that reading goes on; None if it notes nothing.
    before : Record or None
        The record right before the place, if it is held.
    written : int
        Offset behind the last summary in the output.
    anew : str
        How an operator begins anew with this kind of log, as half of a sentence.
    """

    first: int
    end: int
    committed: int | None
    before: Record | None
    written: int
    anew: str


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be.

    Attributes
    ----------
    name : str
    partitions : int
    compacted : bool
        Keep the last value of each key instead of a time window.
    config : mapping of str to str
        Kafka's names, for example ``{"retention.ms": "1209600000"}``; the embedded log, which
        keeps everything, ignores it.
    """

    name: str
    partitions: int
    compacted: bool
    config: Mapping[str, str] = field(default_factory=dict)


class OwnerLog(Protocol):
    """The log as the owner of partitions sees it.

    All calls come from one task, except `transact`, which may run concurrently for different
    partitions (never twice at once for one).
    """

    @property
    def partitions(self) -> int:
        """Number of partitions, the same for each of our topics; known after `start`."""
        ...

    @property
    def description(self) -> str:
        """One line for a person: what log this is and where."""
        ...

    async def start(self) -> None:
        """Connect, check the topics, join.

        Raises
        ------
        LogRefusedError
            A topic is missing or would lose data, or another service owns the file.
        LogUnavailableError
            Nothing answers.
        """
        ...

    async def poll(self, max_records: int, wait: float) -> Poll:
        """Bring records of the resumed partitions and changes of assignment.

        Returns after `wait` seconds at most; must be called steadily even when everything is
        paused, because it is what keeps the membership alive.
        """
        ...

    async def take(self, partition: int) -> int | None:
        """Fence every earlier owner of the partition and prove that it is ours.

        Once for each assignment. After it no transaction of an earlier owner can commit and the
        changelog's end holds all that was ever committed.

        Returns
        -------
        int or None
            Where the changelog ends. If that is where `transact` last said that it ends, nobody
            has written since. None where nobody else can own it anyhow.

        Raises
        ------
        PartitionLostError
            The proof was refused or the assignment changed meanwhile.
        """
        ...

    def changelog(self, partition: int) -> AsyncIterator[Record]:
        """Yield every committed record of the state topic of this partition, to its end.

        Older values of a key may or may not have been compacted away; tombstones are yielded.
        """
        ...

    async def footing(self, partition: int, offset: int) -> Footing:
        """Look at the input where it would go on from `offset`.

        Raises
        ------
        PartitionLostError
            It is no longer ours, and so not ours to judge either.
        """
        ...

    async def resume(self, partition: int, offset: int) -> None:
        """Deliver input records of the partition from `offset` on (with the next polls).

        Raises
        ------
        LogRefusedError
            `offset` is below what the log still holds or beyond its end.
        """
        ...

    def pause(self, partitions: frozenset[int]) -> None:
        """Stop delivering records of these partitions; the position is kept."""
        ...

    def unpause(self, partitions: frozenset[int]) -> None:
        """Go on after `pause`, from the kept position."""
        ...

    async def transact(
        self, partition: int, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> int | None:
        """Write all records, and the input position if given, or nothing at all.

        Parameters
        ----------
        partition : int
            The owned partition; every record's partition must equal it.
        records : iterable of Outgoing
            Gone through once, in the caller's thread and piece by piece while earlier ones are
            written, so that the first is on its way before the last is made. What it raises is
            raised, and nothing is written.
        next_offset : int, optional
            Offset of the next input record to be read.

        Returns
        -------
        int or None
            Where the changelog ends now, as in `take`.

        Raises
        ------
        PartitionLostError
            Fenced, or the outcome is unknown. Nothing held in memory may be trusted any more.
            Cancelling the call has the same consequence: the partition comes again with a poll.
        LogRefusedError
            The log will never take these records, or another service claims our place.
        """
        ...

    async def close(self) -> None:
        """Leave cleanly; may be called twice and after a failed start."""
        ...


class PublisherLog(Protocol):
    """The log as an upstream producer sees it: durable when the call returns."""

    @property
    def partitions(self) -> int:
        """Number of partitions of the topics; known after `start`."""
        ...

    async def start(self) -> None:
        """Connect; `LogUnavailableError` if nothing answers, `LogRefusedError` if unusable."""
        ...

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append records; all are durable when it returns."""
        ...

    async def close(self) -> None:
        """Disconnect; may be called twice."""
        ...


class ReaderLog(Protocol):
    """The log as a consumer outside any group sees it: committed records only."""

    @property
    def partitions(self) -> int:
        """Number of partitions of the topics; known after `start`."""
        ...

    async def start(self) -> None:
        """Connect; `LogUnavailableError` if nothing answers, `LogRefusedError` if unusable."""
        ...

    async def ends(self, topics: Sequence[str]) -> Places:
        """Return the offset behind the last record that can be read now, for every partition.

        Raises
        ------
        LogRefusedError
            A topic is missing.
        """
        ...

    async def begins(self, topics: Sequence[str]) -> Places:
        """Return the offset before which nothing is held any more, for every partition.

        0 where no record was ever deleted by age; what compaction took does not count.

        Raises
        ------
        LogRefusedError
            A topic is missing.
        """
        ...

    def read(
        self,
        topics: Sequence[str],
        *,
        follow: bool,
        from_end: bool = False,
        starts: Places | None = None,
    ) -> AsyncGenerator[Record, None]:
        """Yield records of the topics, each partition in order.

        Parameters
        ----------
        topics : sequence of str
        follow : bool
            Wait for more at the end; otherwise stop at the ends that were found at the start.
        from_end : bool
            Start with what is appended after the iterator's first step.
        starts : mapping, optional
            Offsets to start at, where it has any; what the log no longer holds is passed over.

        Raises
        ------
        LogRefusedError
            A topic is missing, or ends before the offset to start at: it is another log.
        """
        ...

    async def close(self) -> None:
        """Disconnect; may be called twice."""
        ...
