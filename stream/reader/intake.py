"""A record in, perhaps a whole revision out: everything of the reader but its reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import schemas
from stream.log.seam import Places, Record
from stream.log.topics import Topics
from stream.reader.gathering import Gathering, Held, Shelf, Summary
from stream.reader.positions import Progress

__all__ = ["BadRecord", "Intake"]

M = TypeVar("M", schemas.BackgroundModel, schemas.GroupMatched)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record of ours that cannot be read.

    Attributes
    ----------
    record : Record
    error : SchemaError
        What is wrong with it.
    """

    record: Record
    error: schemas.SchemaError

    def __str__(self) -> str:
        one = self.record
        return f"{one.topic} [{one.partition}] {one.offset} cannot be read: {self.error}"


class Intake:
    """Takes records of models and summaries in.

    Records of a partition of a topic come in their order; whether one comes twice does not matter,
    nor how partitions and topics are mixed.

    Parameters
    ----------
    topics : Topics
    shelf : Shelf
        Holds the models that stand before `models_at`, and no summary.
    models_at : sequence of int
        For each partition, the first offset of the models that the shelf does not have.
    progress : Progress
        Of the summaries.
    on_bad : callable
        Is told of each record that cannot be read.
    """

    def __init__(
        self,
        topics: Topics,
        shelf: Shelf,
        models_at: Sequence[int],
        progress: Progress,
        on_bad: Callable[[BadRecord], object],
    ) -> None:
        self._topics = topics
        self._gathering = Gathering(shelf)
        self._models_at = list(models_at)
        self._progress = progress
        self._on_bad = on_bad

    @property
    def models_at(self) -> tuple[int, ...]:
        """For each partition, the offset behind the last model that was taken in."""
        return tuple(self._models_at)

    @property
    def starts(self) -> Places:
        """Where to read on in both topics."""
        models, groups = enumerate(self._models_at), enumerate(self._progress.starts)
        return {(self._topics.models, p): at for p, at in models} | {
            (self._topics.groups, p): at for p, at in groups
        }

    def take(self, record: Record) -> schemas.GroupMatched | None:
        """Take a record in; return the summary of the revision that became whole with it.

        At most one does, and its models are on the shelf until the next record is taken.
        """
        if not self._wants(record):
            return None
        try:
            value = self._taken(record)
        except schemas.SchemaError as error:
            self._on_bad(BadRecord(record, error))
            return None
        return None if value is None else schemas.decode_value(value, schemas.GroupMatched)

    def _wants(self, record: Record) -> bool:
        if record.topic == self._topics.groups:
            return self._progress.wants(record.partition, record.offset)
        if record.offset < self._models_at[record.partition]:
            return False
        self._models_at[record.partition] = record.offset + 1
        return True

    def _taken(self, record: Record) -> bytes | None:
        if record.topic == self._topics.groups:
            return self._summary(record)
        return self._model(record)

    def _model(self, record: Record) -> bytes | None:
        if record.value is None:
            group, visit = schemas.parse_model_key(_text(record))
            self._gathering.no_model(group.key, visit)
            return None
        model = _message(record, record.value, schemas.BackgroundModel)
        held = Held(model.revision, model.model_id)
        return self._gathering.model(model.group.key, model.visit, held, record.value)

    def _summary(self, record: Record) -> bytes | None:
        if record.value is None:
            self._gathering.no_summary(schemas.GroupId.parse(_text(record)).key)
            return None
        found = _message(record, record.value, schemas.GroupMatched)
        named = {one.visit: one.model_id for one in found.members if one.model_id is not None}
        place = record.partition, record.offset
        summary = Summary(found.revision, named, record.value, *place)
        return self._gathering.summary(found.group.key, summary)


def _text(record: Record) -> str:
    try:
        return (record.key or b"").decode()
    except UnicodeDecodeError:
        text = f"the key must be UTF-8 text, not {record.key!r:.80}"
        raise schemas.SchemaError(schemas.DeadReason.BAD_IDENTITY, text) from None


def _message(record: Record, value: bytes, kind: type[M]) -> M:
    _, message = schemas.decode(record.key, record.headers, value)
    if isinstance(message, kind):
        return message
    text = f"a {message.ce_type} has no place in {record.topic}, which is for {kind.ce_type}"
    raise schemas.SchemaError(schemas.DeadReason.UNKNOWN_TYPE, text)
