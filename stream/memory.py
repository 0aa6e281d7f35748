"""Memory that is free: the system's again in the service, kept for the next job in a worker.

glibc gives back what lies at the end of its heap. What lies between pieces in use it keeps, and in
a process that lives for weeks that grows, though no more is in use than on the first day. So does
what each thread's own heap has at its end; and for as long as large pieces come and go, glibc takes
ever larger ones from its heaps.

A worker does the same kind of job again and again, in planes of the same size. To give some 200 MB
back after each, and to have them anew, took a third of its processor time on a virtual machine
(`ops/guide/pipeline.md`).
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["give_back", "keep_giving_back", "keep_pages", "use_few_heaps"]

_PAUSE_S: Final = 60.0

# Numbers of malloc.h; what another C library does not know it leaves alone.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_MMAP_MAX: Final = -4
_ARENA_MAX: Final = -8
_HEAPS: Final = 2
_LARGE: Final = 256 * 1024


def use_few_heaps() -> None:
    """Have all threads of a process share two heaps, and no large piece lie in one.

    Threads started before may have heaps of their own already. Python's lock lets one thread run at
    a time, so that more heaps than these serve nobody.
    """
    _set({_ARENA_MAX: _HEAPS, _MMAP_THRESHOLD: _LARGE})


def keep_pages() -> None:
    """Have large pieces lie in the heap, which keeps what is free: the most that a job had."""
    _set({_MMAP_MAX: 0, _TRIM_THRESHOLD: -1})


def _set(options: Mapping[int, int]) -> None:
    option: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        for number, value in options.items():
            option(number, value)


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
