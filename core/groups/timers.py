"""The timers of a partition: one a group at most, woken in the order of (due, group key)."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

__all__ = ["Timers"]


class Timers:
    """A heap with lazy deletion.

    A timer that moves to a later time keeps its place in the heap and is put off when that place
    comes up: an arrival that only prolongs the quiet of its group costs a look into a dictionary.
    """

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._placed: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._due)

    def due(self) -> dict[str, int]:
        """Return a copy of all timers, by group key, in ms."""
        return dict(self._due)

    def arm(self, key: str, due: int | None) -> None:
        """Set the timer of a group, or switch it off with None."""
        if due is None:
            self._due.pop(key, None)
            return
        self._due[key] = due
        placed = self._placed.get(key)
        if placed is None or due < placed:
            self._place(key, due)

    def next_due(self) -> int | None:
        """Return when the first timer is due, ms."""
        self._tidy()
        return self._heap[0][0] if self._heap else None

    def pop(self, until: int) -> tuple[int, str] | None:
        """Take out the first timer that is due at or before `until`, as (due, group key)."""
        self._tidy()
        if not self._heap or self._heap[0][0] > until:
            return None
        due, key = heappop(self._heap)
        del self._due[key], self._placed[key]
        return due, key

    def _place(self, key: str, due: int) -> None:
        self._placed[key] = due
        heappush(self._heap, (due, key))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._rebuild()

    def _rebuild(self) -> None:
        self._placed = dict(self._due)
        self._heap = [(due, key) for key, due in self._due.items()]
        heapify(self._heap)

    def _tidy(self) -> None:
        """Put off or drop what stands first until a true timer does."""
        while self._heap:
            due, key = self._heap[0]
            if self._placed.get(key) == due:
                wanted = self._due.get(key)
                if wanted == due:
                    return
                del self._placed[key]
                if wanted is not None:
                    self._place(key, wanted)
            heappop(self._heap)


_SLACK = 64
