"""Results in the memory of this process, for when they are kept nowhere else."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["MemoryKeeper"]


class MemoryKeeper:
    """Keeps bytes in memory; those used longest ago go first.

    Parameters
    ----------
    max_bytes : int
        Most that the results may take together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under a name; None if nothing is."""
        if name in self._kept:
            self._kept.move_to_end(name)
        return self._kept.get(name)

    async def put(self, name: str, data: bytes) -> None:
        """Keep bytes; more than the bound at once would drive out all others, and are not kept."""
        await self.drop(name)
        if len(data) > self._max_bytes:
            return
        self._kept[name] = data
        self._bytes += len(data)
        while self._bytes > self._max_bytes:
            _, old = self._kept.popitem(last=False)
            self._bytes -= len(old)

    async def drop(self, name: str) -> None:
        """Keep nothing under a name any more."""
        self._bytes -= len(self._kept.pop(name, b""))

    def close(self) -> None:
        """Let go of everything."""
        self._kept.clear()
        self._bytes = 0
