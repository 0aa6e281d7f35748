"""Revisions of one partition that are due, and whose turn it is to be worked on.

A group that is begun asks for a job for each new member. Whoever takes a partition over
with hundreds of groups due would ask for thousands of jobs that wait for a few workers, ask again
after the next rebalance, and be done with none: so no more are begun than keep workers busy, the
most urgent first. One that is more urgent than what is at work need not wait for its end, and what
waits for a storage that is away, or lies on another storage, keeps no worker busy here; nor does
what needs no job, as where a visit was withdrawn, which is begun at once.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Collection
from itertools import count
from typing import NamedTuple

from core import groups
from stream.slots import due_time

__all__ = ["DueLines"]


class _Turn(NamedTuple):
    """A group that waits, or is at work; the least is the most urgent."""

    due: int
    number: int
    key: str
    work: int


def _none() -> Collection[str]:
    return ()


class DueLines:
    """The lines.

    Parameters
    ----------
    most_groups : int
        At work at the same time.
    enough : int
        Work of the groups at work with which no group of their storage is begun but a more urgent
        one.
    """

    def __init__(self, most_groups: int, enough: int) -> None:
        self._most_groups = most_groups
        self._enough = enough
        self._lines: dict[str, deque[groups.Frozen]] = {}
        self._waiting: defaultdict[str | None, list[_Turn]] = defaultdict(list)
        self._at_work: dict[str, tuple[_Turn, str | None]] = {}
        self._numbers = count()

    @property
    def revision_count(self) -> int:
        """How many are due."""
        return sum(map(len, self._lines.values()))

    @property
    def group_count(self) -> int:
        """How many have a revision due."""
        return len(self._lines)

    def put(self, key: str, frozen: groups.Frozen, work: int, store: str = "") -> None:
        """Put a revision behind the earlier ones of its group; they are published in order.

        Parameters
        ----------
        key : str
            Of the group.
        frozen : Frozen
        work : int
            How many of its members have to be measured or matched.
        store : str
            Where its warps lie.
        """
        line = self._lines.setdefault(key, deque())
        line.append(frozen)
        if len(line) == 1:
            due = due_time(frozen.at, len(frozen.members))
            turn = _Turn(due, next(self._numbers), key, work)
            heapq.heappush(self._waiting[store if work else None], turn)

    def first(self, key: str) -> groups.Frozen | None:
        """Return a group's revision that comes next; None if all are published."""
        line = self._lines.get(key)
        return line[0] if line else None

    def published(self, key: str) -> None:
        """Take the first revision of a group out, unless all were forgotten meanwhile."""
        line = self._lines.get(key)
        if line is not None:
            line.popleft()
            if not line:
                del self._lines[key]

    def begin(self, away: Callable[[], Collection[str]] = _none) -> str | None:
        """Return the group that is to be begun now, which is at work then; None if none is.

        Parameters
        ----------
        away : callable
            Groups that wait for a storage.
        """
        if len(self._at_work) >= self._most_groups or not self._waiting:
            return None
        idle = away() if self._at_work else ()
        for store in sorted(self._waiting, key=lambda one: self._waiting[one][0]):
            if self._is_wanted(self._waiting[store][0], store, idle):
                return self._taken(store)
        return None

    def end(self, key: str) -> None:
        """Note that a group is at work no more."""
        self._at_work.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._lines.clear()
        self._waiting.clear()
        self._at_work.clear()

    def _is_wanted(self, turn: _Turn, store: str | None, idle: Collection[str]) -> bool:
        """Tell whether workers could want for work, or what is at work is less urgent."""
        beside = [
            one for one, where in self._at_work.values() if where == store and one.key not in idle
        ]
        work = sum(one.work for one in beside)
        return not beside or work < self._enough or turn.due < max(one.due for one in beside)

    def _taken(self, store: str | None) -> str:
        turn = heapq.heappop(self._waiting[store])
        if not self._waiting[store]:
            del self._waiting[store]
        self._at_work[turn.key] = turn, store
        return turn.key
