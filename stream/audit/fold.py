"""The input of one group folded anew, by the very code of the service.

Groups do not know of each other, and time is one number: a group can be folded alone, if each of
its records is taken at the largest stamp that its partition had so far. Timers that were due in
between fire first, at the same stream time as in the service.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import schemas
from core import groups
from stream.audit.facts import Letter, Raw, Row
from stream.audit.reading import Stand
from stream.changelog import policy_within
from stream.ingest import Batch
from stream.log.seam import Record

__all__ = ["Fold"]

_RELEASE: Final = frozenset(
    reason for reason, remedy in schemas.REMEDIES.items() if remedy.cure is schemas.Cure.RELEASE
)
"""Reasons that a later release may not have: what an earlier one put aside stays put aside."""


@dataclass(slots=True)
class Fold:
    """One group of one partition.

    Attributes
    ----------
    group : str
    policy_for : callable
    position : Position
        Of its partition, for the format of the state and the number of partitions.
    topic : str
        The input.
    partition : int
    frozen : dict of int to Frozen
        All revisions so far.
    published : bool
        Take each revision as published at once. So it must be where the state has forgotten the
        group, which waits for publishing; all else that is folded does not look at it.
    digests : dict of int to set of str
        What was announced of each visit that was heard of; a withdrawal has an empty digest.
    last : int
        Offset of the last record that was taken.
    """

    group: str
    policy_for: Callable[[str], groups.Policy]
    position: schemas.Position
    topic: str
    partition: int
    published: bool
    frozen: dict[int, groups.Frozen] = field(default_factory=dict)
    digests: defaultdict[int, set[str]] = field(default_factory=partial(defaultdict, set))
    last: int = -1
    _state: groups.Partition = field(init=False)

    def __post_init__(self) -> None:
        self._state = groups.Partition(
            lambda key: policy_within(self.policy_for(key), self.position.state_format)
        )

    @property
    def now(self) -> groups.Group:
        """The group as it stands; to be read only."""
        return self._state.groups.get(self.group) or groups.Group()

    def take(
        self, row: Row, letters: Sequence[Letter], *, whole: bool
    ) -> schemas.DeadReason | None:
        """Let a record happen; return why it is dead, if it is.

        Parameters
        ----------
        row : Row
            Of the input.
        letters : sequence of Letter
            The dead letters that are about it.
        whole : bool
            The group's first record is held. Else whatever the group's own history put aside is
            known from letters alone.
        """
        raw = schemas.unpack_state(row.data, Raw)
        record = Record(
            self.topic, row.partition, row.offset, raw.clock, raw.key, raw.value, raw.headers
        )
        self.last = row.offset
        for letter in letters:
            if letter.reason in _RELEASE or (letter.stage == "group" and not whole):
                self.advance(raw.clock)
                return schemas.DeadReason(letter.reason)
        batch = Batch(self._state, self.position.partitions, self.position.state_format)
        batch.take(record)
        self._note(batch.frozen)
        self._announce(batch.puts)
        return next((dead.error.reason for _, dead in batch.dead), None)

    def advance_to(self, stand: Stand) -> None:
        """Let time pass to where the service had come, if other groups' records brought it."""
        if stand.last is not None and stand.last > self.last:
            self.advance(stand.clock)

    def advance(self, clock: int) -> None:
        """Let time pass."""
        for _, transition in self._state.advance(clock):
            self._note((self.group, frozen) for frozen in transition.frozen)

    def _note(self, frozen: Iterable[tuple[str, groups.Frozen]]) -> None:
        for group, one in frozen:
            self.frozen[one.revision] = one
            if self.published:
                self._state.feed(group, groups.Published(one.at, one.revision, None))

    def _announce(self, puts: Mapping[bytes, bytes | None]) -> None:
        for key, value in puts.items():
            if value is not None and schemas.parse_state_key(key).kind is schemas.StateKind.MEMBER:
                member = schemas.unpack_state(value, groups.Member)
                self.digests[member.visit].add(member.digest)
