"""Memory that is free, and the system's again.

glibc gives back what lies at the end of its heap. What lies between pieces in use it keeps, and in
a process that lives for weeks that grows, though no more is in use than on the first day.
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import Any, Final

__all__ = ["give_back", "keep_giving_back"]

_PAUSE_S: Final = 60.0


def give_back() -> None:
    """Give free pages back to the system, where the C library can do that; some milliseconds."""
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def keep_giving_back(pause_s: float = _PAUSE_S) -> None:
    """Give free pages back again and again, in a thread.

    Parameters
    ----------
    pause_s : float
        Seconds between.
    """
    while True:
        await asyncio.sleep(pause_s)
        await asyncio.to_thread(give_back)
