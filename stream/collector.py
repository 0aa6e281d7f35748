"""Python's collector of cycles, kept away from the state: it has none, and millions of objects.

Left alone, the collector looks at all of a partition's state again and again while that is read
back, which doubles the time, and for as long as the service runs it would now and then stop the
event loop to look through everything.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]

_YOUNG = 1


@contextmanager
def uncollected() -> Iterator[None]:
    """Do not look for cycles for a while, and never among what was made meanwhile.

    What is dropped later is freed as ever, by its count of references.
    """
    enabled = gc.isenabled()
    gc.collect(_YOUNG)
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()
