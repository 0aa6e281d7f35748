"""A log in a few lists, as a slow plain twin of the real ones: what they should hold, in words."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from stream.log.seam import Footing, Outgoing, PartitionLostError, Poll, Record
from stream.log.topics import Topics

__all__ = ["PlainLog"]


@dataclass
class PlainLog:
    """All sides of a log at once, in memory.

    `before` may wait, or raise, before a transaction is written; `after` once it was.
    """

    topics: Topics = field(default_factory=Topics)
    partitions: int = 1
    clock: Callable[[], int] = lambda: 0
    before: Callable[[Sequence[Outgoing]], object] = lambda _: None
    after: Callable[[Sequence[Outgoing]], object] = lambda _: None
    description: str = "lists"

    def __post_init__(self) -> None:
        self.kept: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.order: list[Record] = []
        self.committed: dict[int, int] = {}
        self.positions: dict[int, int] = {}
        self.paused: frozenset[int] = frozenset()
        self.taken: set[int] = set()
        self.told = False
        self.stamp = 0
        self.begins: dict[int, int] = {}

    def append(self, records: Sequence[Outgoing]) -> None:
        """Append records, all with one stamp that never goes back."""
        if records:
            self.stamp = max(self.stamp, self.clock())
        for one in records:
            kept = self.kept[one.topic, one.partition]
            place = (one.topic, one.partition, len(kept), self.stamp)
            kept.append(Record(*place, one.key, one.value, one.headers))
            self.order.append(kept[-1])

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append what upstream says."""
        self.append(records)

    async def start(self) -> None:
        """Be there."""

    async def close(self) -> None:
        """Be there still."""

    async def poll(self, max_records: int, wait: float) -> Poll:
        """Assign everything, then deliver."""
        if not self.told:
            self.told = True
            return Poll(assigned=frozenset(range(self.partitions)))
        found = {}
        for partition, position in self.positions.items():
            records = self.kept[self.topics.warps, partition][position : position + max_records]
            if records and partition not in self.paused:
                found[partition] = records
                self.positions[partition] += len(records)
        await asyncio.sleep(0 if found else wait)
        ends = {p: len(self.kept[self.topics.warps, p]) for p in self.positions}
        return Poll(records=found, ends=ends)

    async def take(self, partition: int) -> int:
        """Fence nobody."""
        self.taken.add(partition)
        return len(self.kept[self.topics.state, partition])

    async def changelog(self, partition: int) -> AsyncIterator[Record]:
        """Yield the state."""
        for record in list(self.kept[self.topics.state, partition]):
            yield record

    async def footing(self, partition: int, offset: int) -> Footing:
        """Show what is kept."""
        kept, first = self.kept[self.topics.warps, partition], self.begins.get(partition, 0)
        before = kept[offset - 1] if first < offset <= len(kept) else None
        written = len(self.kept[self.topics.groups, partition])
        committed = self.committed.get(partition)
        return Footing(first, len(kept), committed, before, written, "begin anew in a list")

    async def resume(self, partition: int, offset: int) -> None:
        """Deliver from an offset on."""
        self.positions[partition] = offset
        self.unpause(frozenset({partition}))

    def pause(self, partitions: frozenset[int]) -> None:
        """Deliver none of these."""
        self.paused |= partitions

    def unpause(self, partitions: frozenset[int]) -> None:
        """Deliver these again."""
        self.paused -= partitions

    async def transact(
        self, partition: int, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> int:
        """Write at once."""
        if partition not in self.taken:
            raise PartitionLostError(partition, "it was not taken")
        made = list(records)
        waiting = self.before(made)
        if asyncio.isfuture(waiting) or asyncio.iscoroutine(waiting):
            await waiting
        self.append(made)
        if next_offset is not None:
            self.committed[partition] = next_offset
        self.after(made)
        return len(self.kept[self.topics.state, partition])
