"""The reader, plainly: all that was read is kept, and looked through again each time."""

from __future__ import annotations

from collections.abc import Mapping

import schemas
from stream.log.seam import Record
from stream.reader.gathering import Held, Seen, Summary
from tests.stream.reader.history import TOPICS

__all__ = ["PlainShelf", "Twin"]


class Twin:
    """Keeps every record, and asks of everything anew which revision is whole."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.told: list[tuple[str, int]] = []

    def take(self, record: Record) -> tuple[str, int] | None:
        """Take a record in; return group and revision of what is whole now and was not told."""
        if any(_place(one) == _place(record) for one in self.records):
            return None
        self.records.append(record)
        for group in {key for key in map(self._group, self.records) if key}:
            summary = self._summary(group)
            if summary is None or (group, summary.revision) in self.told:
                continue
            named = {one.visit: one.model_id for one in summary.members if one.model_id}
            if all(self._held(group, visit) == name for visit, name in named.items()):
                self.told.append((group, summary.revision))
                return self.told[-1]
        return None

    def _group(self, record: Record) -> str | None:
        message = _message(record)
        return message.group.key if isinstance(message, schemas.GroupMatched) else None

    def _summary(self, group: str) -> schemas.GroupMatched | None:
        """Return the newest summary, unless it was taken back."""
        newest, buried = None, False
        for record in self.records:
            message = _message(record)
            if record.topic != TOPICS.groups or record.key != group.encode():
                continue
            if record.value is None:
                buried = True
            elif isinstance(message, schemas.GroupMatched) and (
                newest is None or message.revision > newest.revision
            ):
                newest, buried = message, False
        return None if buried else newest

    def _held(self, group: str, visit: int) -> str | None:
        newest = None
        for record in self.records:
            message = _message(record)
            if record.topic != TOPICS.models or record.key != f"{group}/{visit}".encode():
                continue
            if isinstance(message, schemas.BackgroundModel):
                newest = message
            elif record.value is None:
                newest = None
        return None if newest is None else newest.model_id


def _place(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


_READ: dict[tuple[object, ...], schemas.Message | None] = {}


def _message(record: Record) -> schemas.Message | None:
    """Decode a record, each only once: that is slow enough."""
    name = record.key, record.headers, record.value
    if name not in _READ:
        try:
            _READ[name] = schemas.decode(record.key, record.headers, record.value)[1]
        except schemas.SchemaError:
            _READ[name] = None
    return _READ[name]


class PlainShelf:
    """A shelf of dicts (`stream.reader.gathering.Shelf`)."""

    def __init__(self) -> None:
        self.models: dict[tuple[str, int], tuple[Held, bytes]] = {}
        self.groups: dict[str, Seen] = {}
        self.waits: dict[str, Summary] = {}

    def held(self, group: str, visit: int) -> Held | None:
        """Return the model held of a visit."""
        found = self.models.get((group, visit))
        return found and found[0]

    def held_ids(self, group: str) -> Mapping[int, str]:
        """Return the model_ids held of a group."""
        return {at[1]: one.model_id for at, (one, _) in self.models.items() if at[0] == group}

    def hold(self, group: str, visit: int, held: Held, value: bytes) -> None:
        """Hold a model."""
        self.models[group, visit] = held, value

    def let_go(self, group: str, visit: int) -> None:
        """Hold no model of this visit."""
        self.models.pop((group, visit), None)

    def seen(self, group: str) -> Seen | None:
        """Return how far a group has come."""
        return self.groups.get(group)

    def named(self, group: str, visit: int) -> str | None:
        """Return what the waiting summary names."""
        return self.waits[group].named.get(visit) if group in self.waits else None

    def wait(self, group: str, summary: Summary, missing: int) -> None:
        """Keep a summary waiting."""
        self.waits[group] = summary
        self.groups[group] = Seen(summary.revision, missing)

    def count(self, group: str, missing: int) -> None:
        """Note anew how many models are missing."""
        self.groups[group] = Seen(self.groups[group].revision, missing)

    def settle(self, group: str, revision: int) -> bytes | None:
        """Note that a revision is settled."""
        self.groups[group] = Seen(revision, None)
        waiting = self.waits.pop(group, None)
        return None if waiting is None else waiting.value

    def waiting(self) -> list[tuple[int, int]]:
        """Return the places of the summaries that wait."""
        return [(one.partition, one.offset) for one in self.waits.values()]
