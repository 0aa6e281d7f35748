"""The changes of one ingest transaction, folded from a run of input records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import schemas
from core import groups
from stream import inbox
from stream.changelog import puts
from stream.log.seam import Record

__all__ = ["Batch"]

_LATE: Final = {
    groups.Outcome.ACCEPTED: "update",
    groups.Outcome.REPLACED: "replaced",
    groups.Outcome.WITHDRAWN: "withdrawn",
}


class Batch:
    """Folds records into a partition's state and remembers what must be written with them.

    Parameters
    ----------
    state : Partition
        Changed by `take`: whoever cannot commit the batch must drop it.
    partitions : int
        Number of partitions of the input topic.

    Attributes
    ----------
    puts : dict of bytes to bytes or None
        Changelog records by key; of several values of a key only the last is written.
    dead : list of (Record, Dead)
        Records for the dead letters.
    frozen : list of (str, Frozen)
        Revisions that became due, by group key, in order.
    outcomes, late : Counter
        For the operators.
    ticked : bool
        Whether a clock tick was among the records.
    """

    def __init__(self, state: groups.Partition, partitions: int) -> None:
        self._state = state
        self._partitions = partitions
        self.puts: dict[bytes, bytes | None] = {}
        self.dead: list[tuple[Record, inbox.Dead]] = []
        self.frozen: list[tuple[str, groups.Frozen]] = []
        self.outcomes: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self.ticked = False

    def take(self, record: Record) -> None:
        """Let time pass to the record, then let it happen; a dead record moves the clock too."""
        self._note_all(self._state.advance(record.timestamp))
        read = inbox.read(record, self._state.clock, self._partitions)
        match read:
            case inbox.Dead():
                self.dead.append((record, read))
                self.outcomes["dead"] += 1
            case inbox.Tick():
                self.ticked = True
                self.outcomes["tick"] += 1
            case inbox.GroupEvent() if (full := self._overflow(read)) is not None:
                self.dead.append((record, full))
                self.outcomes["dead"] += 1
            case inbox.GroupEvent():
                self._feed(read)

    def position_after(self, last: Record) -> schemas.Position:
        """Tell where to go on behind the last record of the batch."""
        return schemas.Position(
            next_offset=last.offset + 1,
            timestamp=last.timestamp,
            ce_id=inbox.event_id(last),
            clock=self._state.clock,
            partitions=self._partitions,
        )

    def _overflow(self, read: inbox.GroupEvent) -> inbox.Dead | None:
        """Refuse one visit more than a summary can name: its revision could not be published."""
        group = self._state.groups.get(read.group)
        if not isinstance(read.event, groups.Arrived | groups.Withdrawn) or group is None:
            return None
        if read.event.visit in group.members or len(group.members) < schemas.MAX_VISITS:
            return None
        sentence = f"the group {read.group} has {schemas.MAX_VISITS} visits, which is the most"
        return inbox.Dead(schemas.SchemaError(schemas.DeadReason.TOO_LARGE, sentence), "group")

    def _feed(self, read: inbox.GroupEvent) -> None:
        transition = self._state.feed(read.group, read.event)
        self.outcomes[str(transition.outcome)] += 1
        if transition.late:
            self.late[_LATE[transition.outcome]] += 1
        self._note(read.group, transition)

    def _note_all(self, fired: Iterable[tuple[str, groups.Transition]]) -> None:
        for group, transition in fired:
            self._note(group, transition)

    def _note(self, group: str, transition: groups.Transition) -> None:
        self.puts.update(puts(group, transition))
        self.frozen.extend((group, frozen) for frozen in transition.frozen)
