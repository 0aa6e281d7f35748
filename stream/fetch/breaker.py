"""A storage that fails is left alone for a while: one breaker for each.

Closed, it lets everybody ask. After some failures in a row it is open, and nobody asks until its
pause is over; then it is half open, and one asks for all. If that fails, the pause is doubled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from stream.faults import NotThereError, StoreAwayError, StoreTrouble, WarpError
from stream.fetch.limits import FetchLimits

__all__ = ["Breaker", "Timing"]


class Timing(Protocol):
    """The part of an event loop that a breaker goes by."""

    def time(self) -> float:
        """Return the time, seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        """Call something at a time."""
        ...

    def create_future(self) -> asyncio.Future[None]:
        """Return something to wait for."""
        ...


class Breaker:
    """Whether one storage may be asked.

    Parameters
    ----------
    store : str
        Its name.
    limits : FetchLimits
        Pauses, and after how many failures it counts as away.
    on_change : callable
        Called with the error when the storage goes away, and with None when it is back.
    timing : Timing
        The event loop.

    Attributes
    ----------
    store : str
        As given.
    served : int
        How often it has answered as it should.
    """

    def __init__(
        self,
        store: str,
        limits: FetchLimits,
        on_change: Callable[[StoreAwayError | None], None],
        timing: Timing,
    ) -> None:
        self.store = store
        self._limits = limits
        self._on_change = on_change
        self._timing = timing
        self.served = 0
        self._failures = 0
        self._pause_s = 0.0
        self._until: float | None = None
        self._probing = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def away(self) -> bool:
        """Whether the storage counts as away."""
        return self._until is not None

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Ask the storage for the time of the context, whose end tells how it went.

        Raises
        ------
        StoreAwayError
            It may not be asked now, or this was raised by the context.
        """
        probing = self.away
        if self._until is not None and (self._probing or self._timing.time() < self._until):
            raise StoreAwayError(self.store, "it is not asked before its pause is over", _AWAY)
        self._probing |= probing
        try:
            yield
        except StoreAwayError as error:
            self._heard(error, probing=probing)
            raise
        except WarpError:
            self._answered()
            raise
        else:
            self._answered()
        finally:
            if probing:
                self._probing = False

    async def available(self) -> None:
        """Wait until the storage can be asked: in turn, one for each of its pauses."""
        if not self.away:
            return
        turn = self._timing.create_future()
        self._waiting.append(turn)
        self._set_alarm()
        await turn

    def _heard(self, error: StoreAwayError, *, probing: bool) -> None:
        if error.store != self.store or error.trouble is _AWAY:
            return
        if isinstance(error, NotThereError):
            self._answered()
            return
        self._failures += 1
        fresh = not self.away
        if self._failures < self._limits.away_after if fresh else not probing:
            return  # of those who asked before it went away, none says anything new
        longer = max(self._limits.away_s, 2 * self._pause_s)
        self._pause_s = min(longer, self._limits.longest_away_s)
        self._until = self._timing.time() + self._pause_s
        self._set_alarm(anew=True)
        if fresh:
            self._on_change(error)

    def _answered(self) -> None:
        self._failures, self._pause_s = 0, 0.0
        self.served += 1
        if not self.away:
            return
        self._until = None
        self._on_change(None)
        while self._waiting:
            self._wake()

    def _set_alarm(self, *, anew: bool = False) -> None:
        """See to it that somebody is woken once the pause is over."""
        if self._alarm is not None:
            if not anew:
                return
            self._alarm.cancel()
        due = max(self._timing.time(), self._until or 0.0)
        self._alarm = self._timing.call_at(due, self._ring)

    def _ring(self) -> None:
        """Wake who waits longest; should nothing come of it, the next one a while later."""
        self._alarm = None
        if not self.away or not self._waiting:
            return
        if not self._probing:
            self._wake()
        if self._waiting:
            again = self._timing.time() + self._limits.away_s
            self._alarm = self._timing.call_at(again, self._ring)

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


_AWAY = StoreTrouble.AWAY
