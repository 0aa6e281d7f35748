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

_STIRRING: Final = (groups.Outcome.REPLACED, groups.Outcome.WITHDRAWN)


class Batch:
    """Folds records into a partition's state and remembers what must be written with them.

    Parameters
    ----------
    state : Partition
        Changed by `take`: whoever cannot commit the batch must drop it.
    partitions : int
        Number of partitions of the input topic.
    state_format : int
        The format of the state that is written.

    Attributes
    ----------
    puts : dict of bytes to bytes or None
        Changelog records by key; of several values of a key only the last is written.
    dead : list of (Record, Dead)
        Records for the dead letters.
    frozen : list of (str, Frozen)
        Revisions that became due, by group key, in order.
    stirred : set of str
        Groups of which a frozen member may have been withdrawn or replaced.
    touched : dict of str to None
        Groups to which anything has happened, in order.
    outcomes, late : Counter
        For the operators.
    ticked : bool
        Whether a clock tick was among the records.
    """

    def __init__(
        self,
        state: groups.Partition,
        partitions: int,
        state_format: int = schemas.STATE_FORMAT,
    ) -> None:
        self._state = state
        self._partitions = partitions
        self._format = state_format
        self.puts: dict[bytes, bytes | None] = {}
        self.dead: list[tuple[Record, inbox.Dead]] = []
        self.frozen: list[tuple[str, groups.Frozen]] = []
        self.stirred: set[str] = set()
        self.touched: dict[str, None] = {}
        self.outcomes: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self.ticked = False

    def take(self, record: Record) -> None:
        """Let time pass to the record, then let it happen; a dead record moves the clock too."""
        self._note_all(self._state.advance(record.timestamp))
        read = inbox.read(record, self._state.clock, self._partitions)
        match read:
            case inbox.Dead():
                self._bury(record, read)
            case inbox.Tick():
                self.ticked = True
                self.outcomes["tick"] += 1
            case inbox.GroupEvent() if (dead := self._unfit(read)) is not None:
                self._bury(record, dead)
            case inbox.GroupEvent():
                self._feed(record, read)

    def position_after(self, last: Record) -> schemas.Position:
        """Tell where to go on behind the last record of the batch."""
        return schemas.Position(
            next_offset=last.offset + 1,
            timestamp=last.timestamp,
            ce_id=inbox.event_id(last),
            clock=self._state.clock,
            partitions=self._partitions,
            state_format=self._format,
        )

    def _bury(self, record: Record, dead: inbox.Dead) -> None:
        self.dead.append((record, dead))
        self.outcomes["dead"] += 1

    def _unfit(self, read: inbox.GroupEvent) -> inbox.Dead | None:
        """Refuse what the state cannot hold."""
        if self._format < inbox.least_format(read.event):
            sentence = (
                f"this service writes its state in format {self._format}, which cannot remember "
                "this; raise state_format, and replay it"
            )
            return _dead(schemas.DeadReason.UNSUPPORTED_TYPE, sentence)
        return self._overflow(read)

    def _overflow(self, read: inbox.GroupEvent) -> inbox.Dead | None:
        """Refuse one visit more than a summary can name: its revision could not be published."""
        group = self._state.groups.get(read.group)
        if group is None or len(group.members) < schemas.MAX_VISITS:
            return None
        if group.header.seal is not groups.Seal.LIVE:
            return None  # the seal says it, and a reopening would cure that
        if not isinstance(read.event, groups.Arrived | groups.Withdrawn):
            return None
        if read.event.visit in group.members:
            return None
        sentence = f"the group {read.group} has {schemas.MAX_VISITS} visits, which is the most"
        return _dead(schemas.DeadReason.TOO_LARGE, sentence)

    def _feed(self, record: Record, read: inbox.GroupEvent) -> None:
        transition = self._state.feed(read.group, read.event)
        self._note(read.group, transition)
        if transition.outcome is groups.Outcome.REFUSED:
            header = self._state.groups[read.group].header
            self._bury(record, _dead(schemas.DeadReason.SEALED, _of_seal(read, header)))
            return
        self.outcomes[str(transition.outcome)] += 1
        if transition.late:
            self.late[_LATE[transition.outcome]] += 1
        if transition.outcome in _STIRRING:
            self.stirred.add(read.group)

    def _note_all(self, fired: Iterable[tuple[str, groups.Transition]]) -> None:
        for group, transition in fired:
            self._note(group, transition)

    def _note(self, group: str, transition: groups.Transition) -> None:
        self.puts.update(puts(group, transition, self._format))
        if transition.header is not None or transition.members:
            self.touched[group] = None
        self.frozen.extend((group, frozen) for frozen in transition.frozen)


def _dead(reason: schemas.DeadReason, sentence: str) -> inbox.Dead:
    return inbox.Dead(schemas.SchemaError(reason, sentence), "group")


def _of_seal(read: inbox.GroupEvent, header: groups.Header) -> str:
    """Say why a group takes no event, and what can be done about it."""
    since = schemas.time_text(1000 * (header.sealed_at or 0))
    if isinstance(read.event, groups.Reopened) or header.seal is groups.Seal.FORGOTTEN:
        return (
            f"the group {read.group} was sealed at {since}, too long ago to be reopened; "
            "announce its warps under another campaign"
        )
    return (
        f"the group {read.group} is sealed since {since}; to let it take this, "
        f"run `evensky reopen {read.group}`, then replay this"
    )
