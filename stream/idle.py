"""Those who rest and those who wait for one of them; who has waited before goes first."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Idle"]

T = TypeVar("T")


class Idle(Generic[T]):
    """What `asyncio.Queue` is, with a way to the front."""

    def __init__(self) -> None:
        self._resting: deque[T] = deque()
        self._waiting: deque[asyncio.Future[T]] = deque()

    def put(self, one: T) -> None:
        """Give one to whoever is next, or let it rest."""
        while self._waiting:
            given = self._waiting.popleft()
            if not given.done():
                given.set_result(one)
                return
        self._resting.append(one)

    async def get(self, *, first: bool = False) -> T:
        """Return one, in the order of asking.

        Parameters
        ----------
        first : bool
            Whether to go before all who wait.
        """
        if self._resting:
            return self._resting.popleft()
        given: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if first else self._waiting.append)(given)
        try:
            return await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self.put(given.result())  # it was given at the very moment
            raise
