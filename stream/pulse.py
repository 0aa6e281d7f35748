"""Whether the service moves: its own progress, never the broker's.

A task that exists may hang for ever, as a Kafka client can after a restart of its broker; and an
outage of the broker must not make a supervisor kill every copy. So health is the age of the event
loop's last tick and of the last poll of the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Pulse"]

MOST_SINCE_TICK_S: Final = 10.0
MOST_SINCE_POLL_S: Final = 60.0


class Pulse:
    """Remembers when the loop last ticked and the log was last polled.

    Parameters
    ----------
    on_lag : callable
        Told, at every beat, by how many seconds the loop was late.
    clock : callable
        A clock that only goes forward, in seconds.
    """

    def __init__(
        self, on_lag: Callable[[float], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_lag = on_lag
        self._clock = clock
        self._ticked = self._polled = clock()

    async def beat(self, every_s: float = 0.5) -> None:
        """Tick until cancelled."""
        while True:
            due = self._clock() + every_s
            await asyncio.sleep(every_s)
            self.tick(due)

    def tick(self, due: float) -> None:
        """Note a tick that should have come at `due`."""
        self._ticked = self._clock()
        self._on_lag(max(0.0, self._ticked - due))

    def polled(self) -> None:
        """Note that the log was polled."""
        self._polled = self._clock()

    @property
    def since_tick_s(self) -> float:
        """Seconds since the loop's last tick."""
        return self._clock() - self._ticked

    @property
    def since_poll_s(self) -> float:
        """Seconds since the last poll of the log; before the first, since the start."""
        return self._clock() - self._polled

    def ailments(self) -> tuple[str, ...]:
        """Say what does not move; nothing if all is well."""
        found = []
        if self.since_tick_s >= MOST_SINCE_TICK_S:
            found.append(f"the event loop has not ticked for {self.since_tick_s:.0f} s")
        if self.since_poll_s >= MOST_SINCE_POLL_S:
            found.append(f"the log has not been polled for {self.since_poll_s:.0f} s")
        return tuple(found)
