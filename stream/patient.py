"""A store for whoever waits at a terminal: one that stays away ends the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from stream.faults import StoreAwayError
from stream.fetch import Held, Want
from stream.runner import Store

__all__ = ["GaveUpError", "PatientStore"]


class GaveUpError(Exception):
    """A storage gave nothing for too long; its text says which and why."""


class PatientStore:
    """Gives what a store gives, and waits only for so long for one that gives nothing.

    Parameters
    ----------
    store : Store
    patience_s : float
        Seconds without any file after which it is given up.
    """

    def __init__(self, store: Store, patience_s: float) -> None:
        self._store = store
        self._patience_s = patience_s
        self._since: float | None = None

    @asynccontextmanager
    async def hold(self, *wants: Want) -> AsyncIterator[Sequence[Held]]:
        """Give files, as the store does."""
        async with self._store.hold(*wants) as held:
            self._since = None
            yield held

    async def available(self, error: StoreAwayError) -> None:
        """Wait until a storage may be asked again.

        Raises
        ------
        GaveUpError
            It was waited for long enough.
        """
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        left = self._since + self._patience_s - now
        try:
            async with asyncio.timeout(max(0.0, left)):
                await self._store.available(error)
        except TimeoutError:
            raise GaveUpError(f"{error}; given up after {self._patience_s:g} s") from error
