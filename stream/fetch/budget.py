"""Bytes that may be in flight at once, lent in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["ByteBudget"]


class ByteBudget:
    """Lends bytes in the order in which they were asked for.

    Parameters
    ----------
    most : int
        Bytes that are lent at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.used = 0

    @asynccontextmanager
    async def lent(self, size: int) -> AsyncIterator[None]:
        """Wait until so many bytes are free, and have them; one larger than all has them alone."""
        size = min(size, self._most)
        await self._borrow(size)
        try:
            yield
        finally:
            self.used -= size
            self._serve()

    async def _borrow(self, size: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.used -= size
            self._serve()
            raise

    def _serve(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done() and self.used + size > self._most:
                return
            self._waiting.popleft()
            if not turn.done():
                self.used += size
                turn.set_result(None)
