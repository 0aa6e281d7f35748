"""Reading a log for an audit, also while its service runs.

The topics of a transaction become visible one by one, so nothing is compared with what was read
at about the same time. The order of reading makes bounds: the state first, then what was
published, then what came into the state meanwhile, and the input last. So

* what the first state says is published, or dead, must be there;
* what is there must be published, or dead, by the second state;
* all that either state has read of the input is in the input that is read.

What is between the bounds is in flight, and no violation.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import schemas
from stream.audit.facts import (
    Role,
    Row,
    UnreadableError,
    group_of_key,
    of_input,
    of_letter,
    of_metric,
    of_model,
    of_state,
    of_summary,
)
from stream.audit.report import Findings, Horizon, Place, Violation
from stream.audit.spool import Spool
from stream.audit.terms import Terms
from stream.log.seam import LogRefusedError, Places, ReaderLog, Record
from stream.log.starts import passing_over

__all__ = ["Line", "Reading", "Stand"]

_AHEAD: Final = "state_ahead"

_Read = Callable[[Record], Row]


@dataclass(slots=True)
class Stand:
    """How far the service had come with a partition when its state was read.

    Attributes
    ----------
    position : Position
    last : int or None
        Offset of the last input record below it; None before any.
    clock : int
        Largest stamp of the input up to it, ms.
    """

    position: schemas.Position
    last: int | None = None
    clock: int = 0


@dataclass(slots=True)
class Line:
    """What is known of one partition.

    Attributes
    ----------
    before, after : Stand
        By the state that was read first, and by the one that was read after what was published.
    begins : dict of str to int
        First offset that is kept, by topic.
    since : dict of str to int
        Stamp of the first record, ms, by topic.
    clock : int
        Largest stamp of the input so far, ms.
    next : int
        Offset behind the last record of the input.
    """

    before: Stand
    after: Stand
    begins: dict[str, int] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    clock: int = 0
    next: int = 0

    def horizon(self, topic: str) -> float:
        """Return the stamp, ms, up to which records of a topic may have been deleted by age."""
        if self.begins[topic] == 0:
            return -math.inf
        return self.since.get(topic, math.inf)


class Reading:
    """One reading of a log into a spool.

    Parameters
    ----------
    log : ReaderLog
        Started.
    terms : Terms
    spool : Spool
    findings : Findings

    Attributes
    ----------
    lines : dict of int to Line
        By partition.
    """

    def __init__(self, log: ReaderLog, terms: Terms, spool: Spool, findings: Findings) -> None:
        self.log, self.topics, self.spool, self.findings = log, terms.topics, spool, findings
        self._settle_s, self._gapless, group = terms.settle_s, terms.gapless, terms.group
        self._only = None if group is None else group.encode()
        nothing = schemas.Position(next_offset=0, partitions=log.partitions)
        home = None if group is None else schemas.partition_of(group.encode(), log.partitions)
        wanted = range(log.partitions) if home is None else [home]
        self.lines = {one: Line(Stand(nothing), Stand(nothing)) for one in wanted}
        self._next: dict[tuple[str, int], int] = {}

    async def read(self) -> None:
        """Read everything, in the order that makes bounds."""
        topics = self.topics
        begins = await self.log.begins(topics.names)
        for (topic, number), offset in begins.items():
            if number in self.lines:
                self.lines[number].begins[topic] = offset
        await self._pass([topics.state], self._state)
        for line in self.lines.values():
            line.after = Stand(line.before.position)
        await asyncio.sleep(self._settle_s)
        published = [topics.groups, topics.models, topics.metrics, topics.dead_letters]
        await self._pass(published, self._published)
        await asyncio.sleep(self._settle_s)
        await self._pass([topics.state], self._state_later)
        await self._pass([topics.warps], self._input)
        await self._hold_ends()

    async def _pass(self, topics: Sequence[str], take: Callable[[Record], None]) -> None:
        starts = await self._starts(topics)
        async with aclosing(self.log.read(topics, follow=False, starts=starts)) as records:
            async for record in records:
                if record.partition in self.lines:
                    self._next[record.topic, record.partition] = record.offset + 1
                    line = self.lines[record.partition]
                    line.since.setdefault(record.topic, record.timestamp)
                    self.findings.checked[f"records of {record.topic}"] += 1
                    take(record)

    async def _starts(self, topics: Sequence[str]) -> Places:
        """Start behind what was read, and pass over partitions that nobody asked for."""
        known = {place: offset for place, offset in self._next.items() if place[0] in topics}
        if len(self.lines) == self.log.partitions:
            return known
        return known | passing_over(await self.log.ends(topics), self.lines)

    # -- the state ---------------------------------------------------------------------------------

    def _state(self, record: Record) -> None:
        line = self.lines[record.partition]
        self._keep_state(record, Role.STATE, line.before)

    def _state_later(self, record: Record) -> None:
        line = self.lines[record.partition]
        self._keep_state(record, Role.STATE_LATER, line.after)

    def _keep_state(self, record: Record, role: Role, stand: Stand) -> None:
        if record.key != schemas.POSITION_KEY:
            self._keep(record, partial(of_state, role=role), "state_unreadable")
            return
        try:
            stand.position = schemas.unpack_state(record.value or b"", schemas.Position)
        except schemas.StateError as error:
            self._refuse(record, "state_unreadable", str(error))
        self._refuse_other(stand.position)

    def _refuse_other(self, position: schemas.Position) -> None:
        """Refuse a state that another version wrote, or for another number of partitions."""
        if position.state_format > schemas.STATE_FORMAT:
            raise LogRefusedError(
                f"the state has format {position.state_format} and this version reads up to "
                f"{schemas.STATE_FORMAT}: audit it with the version that wrote it"
            )
        if position.partitions != self.log.partitions:
            raise LogRefusedError(
                f"the state was written for {position.partitions} partitions and the log has "
                f"{self.log.partitions}: the same keys are elsewhere now; restore the former number"
            )

    # -- what was published ------------------------------------------------------------------------

    def _published(self, record: Record) -> None:
        topics = self.topics
        readers: dict[str, _Read] = {
            topics.groups: of_summary,
            topics.models: of_model,
            topics.metrics: of_metric,
            topics.dead_letters: partial(of_letter, topic=topics.warps),
        }
        self._keep(record, readers[record.topic], "unreadable")

    def _keep(self, record: Record, read: _Read, otherwise: str) -> None:
        try:
            row = read(record)
        except (UnreadableError, schemas.SchemaError) as error:
            self._refuse(record, otherwise, str(error))
            return
        if self._only in {None, row.group}:
            self.spool.put(row)

    def _refuse(self, record: Record, kind: str, why: str) -> None:
        place = Place(record.topic, record.partition, record.offset)
        self.findings.add(Violation(kind, f"the record cannot be read: {why}", place=place))

    # -- the input ---------------------------------------------------------------------------------

    def _input(self, record: Record) -> None:
        line = self.lines[record.partition]
        self._hold_gapless(record, line)
        line.next = record.offset + 1
        line.clock = max(line.clock, record.timestamp)
        for stand in (line.before, line.after):
            if record.offset < stand.position.next_offset:
                stand.last, stand.clock = record.offset, line.clock
                self._hold_position(record, stand)
        if self._only in {None, group_of_key(record.key)}:
            self.spool.put(of_input(record, line.clock))

    def _hold_gapless(self, record: Record, line: Line) -> None:
        if not self._gapless or record.offset == line.next:
            return
        place = Place(record.topic, record.partition, line.next)
        lost = record.offset - line.next
        self.findings.add(
            Violation(
                "input_missing", f"{lost} records before {record.offset} are gone", place=place
            )
        )

    def _hold_position(self, record: Record, stand: Stand) -> None:
        """Hold that the last record that was read is the one that the state knows."""
        position = stand.position
        if record.offset != position.next_offset - 1 or position.timestamp is None:
            return
        if record.timestamp != position.timestamp:
            place = Place(record.topic, record.partition, record.offset)
            what = f"the state knows it with the stamp {position.timestamp}"
            self.findings.add(Violation("position_wrong", what, place=place))

    async def _hold_ends(self) -> None:
        """Hold that the last records that were read are there, unless they are too old."""
        topic = self.topics.warps
        ends = await self.log.ends([topic])
        for number, line in self.lines.items():
            self._hold_read(number, line)
            last = line.after.position.next_offset - 1
            if line.begins[topic] <= last != line.after.last and last >= 0:
                place = Place(topic, number, last)
                what = f"the state has read up to it, and the input ends at {ends[topic, number]}"
                kind = _AHEAD if ends[topic, number] <= last else "input_missing"
                self.findings.add(Violation(kind, what, place=place))

    def _hold_read(self, number: int, line: Line) -> None:
        """Hold that nothing was deleted by age before it was read."""
        topic, position = self.topics.warps, line.after.position
        if 0 < position.next_offset < line.begins[topic]:
            place = Place(topic, number, position.next_offset)
            what = f"the state has read up to it, and the input begins at {line.begins[topic]}"
            self.findings.add(Violation("input_unread", what, place=place))

    # -- what was not there to be read -------------------------------------------------------------

    def horizon(self) -> tuple[Horizon, ...]:
        """Return the partitions whose beginning is gone, of topics that forget by age."""
        topics = (self.topics.warps, self.topics.metrics, self.topics.dead_letters)
        return tuple(
            Horizon(topic, number, line.begins[topic], line.since.get(topic))
            for topic in topics
            for number, line in self.lines.items()
            if line.begins[topic] > 0
        )
