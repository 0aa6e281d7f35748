"""One group as the log tells of it: what it waits for, and why.

All is read from the changelog and from what was published, so it is the same whether the service
runs or not.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import schemas
from core import groups
from core.groups.rules import Standing
from core.groups.table import COMPLETION, UPDATING
from stream.changelog import Restored, restore
from stream.letters import Found, read_letters
from stream.log.seam import LogRefusedError, Places, ReaderLog, Record
from stream.log.starts import passing_over
from stream.log.topics import Topics

__all__ = ["Changes", "Situation", "Unknown", "find", "look"]

_NEAREST: Final = 5
_MOST_UNREAD: Final = 100_000
_MOST_LETTERS: Final = 100


@dataclass(frozen=True, slots=True)
class Unknown:
    """No group has this name, or several have.

    Attributes
    ----------
    asked : str
    several : bool
        Whether each of `names` fits.
    names : tuple of str
        Keys of groups that fit, or come near.
    """

    asked: str
    several: bool
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """Visits in which a group differs from its newest frozen revision, ascending."""

    arrived: tuple[int, ...]
    replaced: tuple[int, ...]
    gone: tuple[int, ...]


@dataclass(slots=True)
class Situation:
    """What the log tells of a group.

    Attributes
    ----------
    key : str
    partition : int
    group : Group
        As the changelog has it.
    policy : Policy
    clock : int
        Stream time of its partition, ms.
    unread : int or None
        Events for it that the service has not read; None if we may not look.
    lag : int or None
        All input records of its partition that it has not read.
    summaries : list of GroupMatched
        Of its revisions, as many as are kept, ascending.
    letters : list of Found
        The newest dead letters that name it.
    letters_total : int
    """

    key: str
    partition: int
    group: groups.Group
    policy: groups.Policy
    clock: int
    unread: int | None = None
    lag: int | None = None
    summaries: list[schemas.GroupMatched] = field(default_factory=list)
    letters: list[Found] = field(default_factory=list)
    letters_total: int = 0

    @property
    def rules(self) -> Mapping[groups.Trigger, int | None]:
        """When each rule that now applies fires, ms of stream time; None while it does not hold."""
        standing = Standing(self.group.header, self.group.expected, self.policy)
        rules = UPDATING if self.group.header.opened_at is None else COMPLETION
        return {rule.trigger: rule.due(standing) for rule in rules}

    @property
    def next_rule(self) -> tuple[groups.Trigger, int] | None:
        """The rule that will fire first, unless something comes, and when."""
        known = [(trigger, due) for trigger, due in self.rules.items() if due is not None]
        return min(known, key=lambda pair: pair[1], default=None)

    @property
    def missing(self) -> tuple[int, ...]:
        """Visits of the expected set that were never heard of."""
        expected = self.group.expected
        visits = () if expected is None else expected.visits
        return tuple(visit for visit in visits if visit not in self.group.members)

    @property
    def changes(self) -> Changes:
        """What the next revision would hold otherwise than the newest frozen one."""
        return Changes(
            tuple(v for v, m in self._members() if m.frozen is None and self._holds(m)),
            tuple(
                v
                for v, m in self._members()
                if m.frozen is not None and m.frozen != m.digest and self._holds(m)
            ),
            tuple(v for v, m in self._members() if m.frozen is not None and not self._holds(m)),
        )

    def _members(self) -> Iterator[tuple[int, groups.Member]]:
        return iter(sorted(self.group.members.items()))

    def _holds(self, member: groups.Member) -> bool:
        expected = self.group.expected
        named = expected is None or member.visit in expected.visits
        return named and not member.withdrawn

    @property
    def suspects(self) -> Mapping[int, groups.Suspicion]:
        """Visits on which a job killed its process."""
        return {v: m.suspicion for v, m in self._members() if m.suspicion is not None}

    @property
    def newest(self) -> schemas.GroupMatched | None:
        """The newest summary."""
        return self.summaries[-1] if self.summaries else None


async def find(log: ReaderLog, topics: Topics, text: str) -> str | Unknown:
    """Find the group that is meant.

    Parameters
    ----------
    log : ReaderLog
        Started.
    topics : Topics
    text : str
        A group's key, or some of its parts in a row, such as ``tract/patch/band``.

    Returns
    -------
    str or Unknown
        The key, or what comes near.
    """
    asked = text.strip("/")
    fit: list[str] = []
    near: list[tuple[tuple[int, int], str]] = []
    async for key in _keys(log, topics, asked):
        if key == asked:
            return key
        if _has(key, asked):
            fit = heapq.nsmallest(_NEAREST, {*fit, key})
        near = heapq.nlargest(_NEAREST, {*near, (_nearness(key, asked), key)})
    if len(fit) == 1:
        return fit[0]
    return Unknown(asked, bool(fit), tuple(fit or [key for _, key in near]))


async def _keys(log: ReaderLog, topics: Topics, asked: str) -> AsyncIterator[str]:
    """Yield the keys of groups, that of the group's own partition first, if it has one."""
    partitions = range(log.partitions)
    home = schemas.partition_of(asked.encode(), log.partitions)
    for part in ([home], [one for one in partitions if one != home]):
        if not part:
            return
        starts = await _only(log, topics.state, part)
        async with aclosing(log.read([topics.state], follow=False, starts=starts)) as records:
            async for record in records:
                key = _state_key(record)
                if key is not None and key.kind is schemas.StateKind.HEADER:
                    yield key.group


async def _only(
    log: ReaderLog, topic: str, partitions: Sequence[int], starts: Places | None = None
) -> Places:
    """Return starts by which only some partitions are read."""
    return {**(starts or {}), **passing_over(await log.ends([topic]), partitions)}


def _state_key(record: Record) -> schemas.StateKey | None:
    try:
        return schemas.parse_state_key(record.key or b"")
    except schemas.StateError:
        return None


def _has(key: str, asked: str) -> bool:
    """Tell whether some parts of a key, in a row, are those that were asked for."""
    return f"/{asked}/" in f"/{key}/"


def _nearness(key: str, asked: str) -> tuple[int, int]:
    """Count equal parts, from behind; of as many the smaller distance of numbers is nearer."""
    pairs = list(zip(reversed(key.split("/")), reversed(asked.split("/")), strict=False))
    numbers = [(int(a), int(b)) for a, b in pairs if a.isdecimal() and b.isdecimal()]
    return sum(a == b for a, b in pairs), -sum(abs(a - b) for a, b in numbers)


async def look(log: ReaderLog, topics: Topics, key: str, policy: groups.Policy) -> Situation:
    """Read what the log tells of a group.

    Parameters
    ----------
    log : ReaderLog
        Started.
    topics : Topics
    key : str
        Of a group that is there.
    policy : Policy

    Raises
    ------
    LogRefusedError
        The state cannot be read.
    """
    home = schemas.partition_of(key.encode(), log.partitions)
    found = await _restored(log, topics, key, home)
    group = found.state.groups.get(key) or groups.Group()
    situation = Situation(key, home, group, policy, found.position.clock)
    await _summaries(log, topics, situation)
    await _letters(log, topics, situation)
    await _unread(log, topics, situation, found.position.next_offset)
    return situation


async def _restored(log: ReaderLog, topics: Topics, key: str, home: int) -> Restored:
    """Read the group's part of the changelog back, by the service's own code."""
    policy = groups.Policy()  # whose timers nobody looks at
    starts = await _only(log, topics.state, [home])

    async def ours() -> AsyncIterator[Record]:
        async with aclosing(log.read([topics.state], follow=False, starts=starts)) as records:
            async for record in records:
                found = _state_key(record)
                if found is not None and found.group in {key, ""}:
                    yield record

    return await restore(ours(), lambda _: policy, log.partitions)


async def _summaries(log: ReaderLog, topics: Topics, situation: Situation) -> None:
    starts = await _only(log, topics.groups, [situation.partition])
    key = situation.key.encode()
    async with aclosing(log.read([topics.groups], follow=False, starts=starts)) as records:
        async for record in records:
            if record.key == key and record.value is not None:
                situation.summaries.append(schemas.decode_value(record.value, schemas.GroupMatched))


async def _letters(log: ReaderLog, topics: Topics, situation: Situation) -> None:
    key = situation.key.encode()
    async with aclosing(read_letters(log, topics.dead_letters)) as letters:
        async for one in letters:
            if isinstance(one, Found) and one.letter.key == key:
                situation.letters_total += 1
                situation.letters = [*situation.letters, one][-_MOST_LETTERS:]


async def _unread(log: ReaderLog, topics: Topics, situation: Situation, position: int) -> None:
    """Count what waits in the input; who may not read it does not learn that."""
    place, key = (topics.warps, situation.partition), situation.key.encode()
    try:
        starts = await _only(log, topics.warps, [situation.partition], {place: position})
        lag = unread = 0
        async with aclosing(log.read([topics.warps], follow=False, starts=starts)) as records:
            async for record in records:
                lag, unread = lag + 1, unread + (record.key == key)
                if lag >= _MOST_UNREAD:
                    break
    except LogRefusedError:
        return
    situation.lag, situation.unread = lag, unread
