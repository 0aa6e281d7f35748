"""Which partitions we hold, and since which assignment: bookkeeping without any broker.

A partition that is assigned, lost and assigned again is another *holding* of it. An error that
comes from an earlier holding says nothing about the present one, and must not end it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar

from stream.log.seam import PartitionLostError

__all__ = ["Backoff", "Contact", "Holding", "Holdings", "Replacements", "Status", "Strikes"]

P = TypeVar("P")

_MOMENT_S = 2.0


class Status(Enum):
    """How far a holding has come; no record is touched unless it is ACTIVE."""

    FENCING = auto()
    RESTORING = auto()
    ACTIVE = auto()
    LOST = auto()


@dataclass(eq=False)
class Holding(Generic[P]):
    """One partition, for the time of one assignment.

    Attributes
    ----------
    partition : int
    epoch : int
        Number of the assignment, counted over all partitions.
    status : Status
    writer : object
        What writes for it, once it was fenced.
    position : int
        Offset behind the last input record that was delivered.
    since : int or None
        Stamp of the last fetch when delivery began or went on; an end seen before says nothing.
    paused : bool
    state_end : int or None
        Where the changelog ends, once it was fenced.
    """

    partition: int
    epoch: int
    status: Status = Status.FENCING
    writer: P | None = None
    position: int = 0
    since: int | None = None
    paused: bool = False
    state_end: int | None = None


@dataclass
class Holdings(Generic[P]):
    """All holdings, and what changed since it was last asked for.

    Attributes
    ----------
    drop : callable
        Gets the writer of each holding that ends.
    epoch : int
        Number of the last change of assignment.
    """

    drop: Callable[[P], None]
    epoch: int = 0
    _held: dict[int, Holding[P]] = field(default_factory=dict)
    _revoked: set[int] = field(default_factory=set)
    _assigned: set[int] = field(default_factory=set)

    def assign(self, partitions: Iterable[int]) -> None:
        """Begin holding partitions, under a new epoch."""
        self.epoch += 1
        for partition in partitions:
            self._end(partition)
            self._held[partition] = Holding(partition, self.epoch)
            self._assigned.add(partition)

    def revoke(self) -> None:
        """End all holdings, as each rebalance does."""
        self.epoch += 1
        for partition in list(self._held):
            self._end(partition)

    def holds(self, holding: Holding[P]) -> bool:
        """Whether this is still the present holding of its partition."""
        return self._held.get(holding.partition) is holding

    def lose(self, holding: Holding[P]) -> bool:
        """End one holding; say whether it was still the present one of its partition."""
        present = self.holds(holding)
        if present:
            self._end(holding.partition)
        return present

    def _end(self, partition: int) -> None:
        holding = self._held.pop(partition, None)
        if holding is None:
            return
        holding.status = Status.LOST
        self._assigned.discard(partition)
        self._revoked.add(partition)
        if holding.writer is not None:
            self.drop(holding.writer)

    def get(self, partition: int, *statuses: Status) -> Holding[P]:
        """Return the present holding, if it is in one of the states.

        Raises
        ------
        PartitionLostError
            There is none, or it is not so far.
        """
        holding = self._held.get(partition)
        if holding is None:
            raise PartitionLostError(partition, "it is not assigned to us")
        if holding.status not in statuses:
            raise PartitionLostError(partition, f"it was assigned anew, {holding.status.name}")
        return holding

    def active(self) -> Iterator[Holding[P]]:
        """Yield the holdings whose records are delivered."""
        return (one for one in list(self._held.values()) if one.status is Status.ACTIVE)

    def changes(self) -> tuple[frozenset[int], frozenset[int]]:
        """Return what was revoked and what was assigned since the last call."""
        changes = frozenset(self._revoked), frozenset(self._assigned)
        self._revoked.clear()
        self._assigned.clear()
        return changes

    @property
    def changed(self) -> bool:
        """Whether `changes` has anything to tell."""
        return bool(self._revoked or self._assigned)


@dataclass
class Backoff:
    """Waiting times that double while losses follow each other.

    Attributes
    ----------
    first_s, most_s : float
        The first waiting time and the longest, in seconds.
    """

    first_s: float
    most_s: float
    _last: float = float("-inf")
    _wait: float = 0.0

    def next(self, now: float) -> float:
        """Return how long to wait from `now` (seconds of any clock that does not jump)."""
        calm = now - self._last > 2 * self.most_s
        self._wait = self.first_s if calm else min(self.most_s, 2 * self._wait)
        self._last = now
        return self._wait


@dataclass
class Strikes:
    """How often something happened that must not happen again and again.

    Attributes
    ----------
    most : int
        So many within `window_s` are too many.
    window_s : float
        In seconds.
    """

    most: int = 3
    window_s: float = 600.0
    _times: deque[float] = field(default_factory=deque)

    def add(self, now: float) -> bool:
        """Count one; say whether it was one too many."""
        self._times.append(now)
        while now - self._times[0] > self.window_s:
            self._times.popleft()
        return len(self._times) >= self.most


@dataclass
class Replacements:
    """How often another of our static name took our place.

    Each of our member ids is lost to one join of the other, so it counts once, however many answers
    tell of it, and only while it is in hand: whoever joins anew has let the old one go. So of two
    copies the one that counted its last never joins again, and the other is replaced no more.
    """

    _strikes: Strikes = field(default_factory=Strikes)
    _last: str = ""

    def add(self, replaced: str, in_hand: str, now: float) -> bool:
        """Hear that a member id was replaced; say whether that was once too often.

        Parameters
        ----------
        replaced, in_hand : str
            The member id that the group no longer knows, and ours now; empty while we have none.
        now : float
            In seconds.
        """
        if not replaced or replaced != in_hand or replaced == self._last:
            return False
        self._last = replaced
        return self._strikes.add(now)


@dataclass
class Contact:
    """How long nothing was heard of the broker.

    Attributes
    ----------
    grace_s : float
        Silence that is still no reason to give up, in seconds.
    """

    grace_s: float
    _stamp: int | None = None
    _silent_s: float = 0.0
    _asked: float | None = None

    def lost(self, stamp: int | None, now: float) -> bool:
        """Say whether it has been silent for too long.

        A time in which nobody asked, because we were busy or stopped, says little of the broker
        and counts for a moment only.

        Parameters
        ----------
        stamp : int or None
            Anything that changes with each answer; None while no answer is due.
        now : float
            In seconds, of a clock that does not jump.
        """
        passed = 0.0 if self._asked is None else min(_MOMENT_S, now - self._asked)
        self._asked = now
        if stamp is None or stamp != self._stamp:
            self._stamp, self._silent_s = stamp, 0.0
        else:
            self._silent_s += passed
        return self._silent_s > self.grace_s
