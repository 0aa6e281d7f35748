"""One group as the log tells of it, gathered from its rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

import schemas
from core import groups
from stream.audit.facts import Metric, Model, Raw, Role, Row, Summary
from stream.audit.reading import Line
from stream.audit.report import Place
from stream.audit.terms import Terms
from stream.changelog import fold
from stream.log.seam import Record
from stream.log.topics import Topics

__all__ = ["Case", "Placed", "gather"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """What a record says, where it stands, and the log's stamp in ms."""

    said: T
    place: Place
    timestamp: int


@dataclass(slots=True)
class Case:
    """A group.

    Attributes
    ----------
    key : str
        Its key; of an input record that names no group, whatever it has.
    home : int
        The partition that it belongs to.
    line : Line
        What is known of that.
    gapless : bool
        The log keeps everything that was published.
    before, after : Group or None
        The state, as it was read first and at the end; None if it cannot be read.
    places : dict of bytes to Place
        Newest state record of each key.
    strays : list of Place
        Records of other partitions than they belong to.
    summaries, models, metrics : list of Placed
    rest : iterator of Row
        Dead letters and input.
    """

    key: str
    home: int
    line: Line
    gapless: bool
    before: groups.Group | None = None
    after: groups.Group | None = None
    places: dict[bytes, Place] = field(default_factory=dict)
    strays: list[Place] = field(default_factory=list)
    summaries: list[Placed[Summary]] = field(default_factory=list)
    models: list[Placed[Model]] = field(default_factory=list)
    metrics: list[Placed[Metric]] = field(default_factory=list)
    rest: Iterator[Row] = field(default_factory=lambda: iter(()))

    @property
    def known(self) -> bool:
        """Whether the state or a reader knows of the group."""
        return bool(self.places or self.summaries or self.models or self.metrics)

    @property
    def settled(self) -> int:
        """Newest revision whose publication must be seen."""
        return 0 if self.before is None else self.before.header.published

    @property
    def newest(self) -> int:
        """Newest revision whose publication may be seen."""
        return 0 if self.after is None else self.after.header.published


async def gather(key: bytes, rows: Iterator[Row], lines: dict[int, Line], terms: Terms) -> Case:
    """Gather a group from its rows, up to its input.

    Parameters
    ----------
    key : bytes
    rows : iterator of Row
        In the order of the spool.
    lines : dict of int to Line
    terms : Terms
    """
    partitions = next(iter(lines.values())).before.position.partitions
    home = schemas.partition_of(key, partitions)
    case = Case(key.decode(errors="replace"), home, lines[home], terms.gapless)
    states: dict[Role, list[Record]] = {Role.STATE: [], Role.STATE_LATER: []}
    for row in rows:
        if row.role >= Role.LETTER:
            case.rest = chain([row], rows)
            break
        _take(case, states, row, terms.topics)
    await _restore(case, states)
    return case


def _take(case: Case, states: dict[Role, list[Record]], row: Row, topics: Topics) -> None:
    if row.role in states:
        raw = schemas.unpack_state(row.data, Raw)
        place = Place(topics.state, row.partition, row.offset)
        states[row.role].append(Record(*_at(place), row.timestamp, raw.key, raw.value, raw.headers))
        if row.role is Role.STATE:
            case.places[raw.key or b""] = place
    elif row.role is Role.SUMMARY:
        place = Place(topics.groups, row.partition, row.offset)
        case.summaries.append(Placed(schemas.unpack_state(row.data, Summary), place, row.timestamp))
    elif row.role is Role.MODEL:
        place = Place(topics.models, row.partition, row.offset)
        case.models.append(Placed(schemas.unpack_state(row.data, Model), place, row.timestamp))
    else:
        place = Place(topics.metrics, row.partition, row.offset)
        case.metrics.append(Placed(schemas.unpack_state(row.data, Metric), place, row.timestamp))
    if row.partition != case.home:
        case.strays.append(place)


def _at(place: Place) -> tuple[str, int, int]:
    return place.topic, place.partition, place.offset


async def _restore(case: Case, states: dict[Role, list[Record]]) -> None:
    """Read the state back by the service's own code, as it was first, and as it was later."""
    first, later = states[Role.STATE], states[Role.STATE_LATER]
    case.before = await _restored(case.key, first)
    later_too = [*first, *later]
    case.after = await _restored(case.key, later_too) if later else case.before


async def _restored(key: str, records: Iterable[Record]) -> groups.Group | None:
    async def each() -> AsyncIterator[Record]:
        for record in records:
            yield record

    state = groups.Partition(lambda _: groups.Policy())
    try:
        await fold(each(), state)
    except schemas.StateError:
        return None
    group = state.groups.get(key) or groups.Group()
    groups.mark(group)
    return group
