"""Revisions of one partition that are due, and whose turn it is to be worked on.

A group that is begun asks for a job for each of its members. Whoever takes a partition over with
hundreds of them due would ask for thousands of jobs that wait for a few workers, ask again after
the next rebalance, and be done with none: so no more groups are begun than keep workers busy, the
most urgent first. One that is more urgent than what is at work need not wait for its end.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

from core import groups
from stream.slots import due_time

__all__ = ["DueLines"]


class DueLines:
    """The lines.

    Parameters
    ----------
    most_groups : int
        At work at the same time.
    enough : int
        Members of the groups at work with which no group is begun but a more urgent one.
    """

    def __init__(self, most_groups: int, enough: int) -> None:
        self._most_groups = most_groups
        self._enough = enough
        self._lines: dict[str, deque[groups.Frozen]] = {}
        self._waiting: list[tuple[int, int, str]] = []
        self._at_work: dict[str, tuple[int, int]] = {}
        self._numbers = count()

    @property
    def revision_count(self) -> int:
        """How many are due."""
        return sum(map(len, self._lines.values()))

    @property
    def group_count(self) -> int:
        """How many have a revision due."""
        return len(self._lines)

    def put(self, key: str, frozen: groups.Frozen) -> None:
        """Put a revision behind the earlier ones of its group; they are published in order."""
        line = self._lines.setdefault(key, deque())
        line.append(frozen)
        if len(line) == 1:
            due = due_time(frozen.at, len(frozen.members))
            heapq.heappush(self._waiting, (due, next(self._numbers), key))

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

    def begin(self) -> str | None:
        """Return the group that is to be begun now, which is at work then; None if none is."""
        if not self._waiting or len(self._at_work) >= self._most_groups:
            return None
        due, _, key = self._waiting[0]
        if self._has_enough() and due >= max(latest for latest, _ in self._at_work.values()):
            return None
        heapq.heappop(self._waiting)
        self._at_work[key] = due, len(self._lines[key][0].members)
        return key

    def end(self, key: str) -> None:
        """Note that a group is at work no more."""
        self._at_work.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._lines.clear()
        self._waiting.clear()
        self._at_work.clear()

    def _has_enough(self) -> bool:
        members = sum(many for _, many in self._at_work.values())
        return bool(self._at_work) and members >= self._enough
