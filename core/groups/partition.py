"""The groups of one partition of the log, its clock and its timers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.groups.changed import replace
from core.groups.events import Event, TimerFired
from core.groups.freeze import mark
from core.groups.policy import Policy
from core.groups.step import apply, next_timer, step
from core.groups.timers import Timers
from core.groups.values import Expected, Frozen, Group, Header, Member, Outcome, Transition

__all__ = ["Partition"]


class Partition:
    """The fold of one partition: for each record first `advance`, then `feed`.

    Reading it back: the `load_*` calls, of one record's values in the order of the changelog, of
    different records in any; then `restored` once.

    Parameters
    ----------
    policy_for : callable
        Gives the policy of a group from its key. It should remember what it gave: it is asked at
        each event.

    Attributes
    ----------
    clock : int
        Stream time: the largest timestamp of the records so far, ms. Only `advance` moves it.
    groups : dict of str to Group
        By group key; to be read only.
    """

    def __init__(self, policy_for: Callable[[str], Policy]) -> None:
        self.clock = 0
        self.groups: dict[str, Group] = {}
        self._policy_for = policy_for
        self._timers = Timers()

    def advance(self, at: int) -> Iterator[tuple[str, Transition]]:
        """Fire the timers due at or before a record's timestamp, then set the clock to it.

        Every record advances the clock, whatever it is. The iterator must be exhausted before the
        record is fed; each transition has been applied when it is yielded, so that many timers
        can be committed in several pieces.

        Parameters
        ----------
        at : int
            The record's timestamp, ms. An earlier one than the clock counts as the clock.

        Yields
        ------
        tuple of (str, Transition)
            In the order of (due, group key).
        """
        until = max(self.clock, at)
        while (first := self._timers.pop(until)) is not None:
            due, key = first
            self.clock = max(self.clock, due)
            yield key, self._step(key, TimerFired(self.clock))
        self.clock = until

    def feed(self, key: str, event: Event) -> Transition:
        """Apply an event to its group and return what it changes.

        The event is taken to happen at the clock, whatever its `at`: for a record `advance` has
        set the clock, and what comes from inside does not move it.
        """
        if event.at != self.clock:
            event = replace(event, at=self.clock)
        return self._step(key, event)

    def next_due(self) -> int | None:
        """Return when the next timer is due, ms; None if none is."""
        return self._timers.next_due()

    def timers(self) -> dict[str, int]:
        """Return a copy of all timers, by group key, in ms."""
        return self._timers.due()

    def load_clock(self, at: int) -> None:
        """Set the clock to what was committed."""
        self.clock = max(self.clock, at)

    def load_header(self, key: str, header: Header) -> None:
        """Put a header that was read back."""
        self._load(key, Transition(Outcome.TICK, header=header))

    def load_member(self, key: str, member: Member) -> None:
        """Put a member that was read back; most of what a state holds are members."""
        self._group(key).members[member.visit] = member

    def load_expected(self, key: str, expected: Expected) -> None:
        """Put an expected set that was read back."""
        self._load(key, Transition(Outcome.TICK, expected=expected))

    def load_frozen(self, key: str, frozen: Frozen) -> None:
        """Put a frozen revision that was read back."""
        self._load(key, Transition(Outcome.TICK, frozen=(frozen,)))

    def load_released(self, key: str, revision: int) -> None:
        """Forget a frozen revision whose tombstone was read back."""
        self._load(key, Transition(Outcome.TICK, released=(revision,)))

    def load_forgotten(self, key: str, visit: int) -> None:
        """Forget a member whose tombstone was read back."""
        self._load(key, Transition(Outcome.TICK, forgotten=(visit,)))

    def load_forgotten_set(self, key: str) -> None:
        """Forget the expected set whose tombstone was read back."""
        self._group(key).expected = None

    def restored(self) -> None:
        """Mark members with what waits in line; rebuild the timers: what is due fires next.

        A changelog may have lost a tombstone whose record it still shows: what a header says is
        forgotten is.
        """
        self._timers = Timers()
        for key, group in self.groups.items():
            if group.header.forgotten:
                group.members.clear()
                group.expected = None
            mark(group)
            self._timers.arm(key, next_timer(group, self._policy_for(key)))

    def _load(self, key: str, put: Transition) -> None:
        apply(self._group(key), put)

    def _group(self, key: str) -> Group:
        """Return a group, a new one if it was not there."""
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group()
        return group

    def _step(self, key: str, event: Event) -> Transition:
        known, policy = self.groups.get(key), self._policy_for(key)
        group = Group() if known is None else known
        transition = step(group, event, policy)
        if transition.header is None and not transition.members:
            return transition
        if known is None:
            self.groups[key] = group
        apply(group, transition)
        if transition.header is not None:  # on which all timers hang
            self._timers.arm(key, next_timer(group, policy))
        return transition
